"""``POST /apply``: what documents say is so, all or nothing, and nothing is written twice."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.unit.api.api_server import IPAM, PROJECT, Answer, Api, network_body

from tungsten.api.access_lists import RULED, Call, Part, parts_of
from tungsten.store.base import Snapshot

Json = dict[str, Any]


async def apply(api: Api, *documents: Json, delete: tuple[Json, ...] = ()) -> Answer:
    return await api.post("/apply", {"apply": [*documents], "delete": [*delete]})


async def results(api: Api, *documents: Json, delete: tuple[Json, ...] = ()) -> list[str]:
    answer = await apply(api, *documents, delete=delete)
    assert answer.status == 200, answer.text
    return [f"{one['fq_name'][-1]} {one['result']}" for one in answer.json["objects"]]


async def revision(api: Api) -> int:
    return int((await api.get("/healthz"))["revision"])


PROJECT_P1 = {"project": {"fq_name": PROJECT, "parent_type": "domain"}}
NETWORK = {"virtual-network": network_body("vn1", "10.0.1.0/24")}
PORT = {
    "virtual-machine-interface": {
        "fq_name": [*PROJECT, "port1"],
        "parent_type": "project",
        "virtual_network_refs": [{"to": [*PROJECT, "vn1"]}],
    }
}
ADDRESS = {
    "instance-ip": {
        "fq_name": ["address1"],
        "virtual_network_refs": [{"to": [*PROJECT, "vn1"]}],
        "virtual_machine_interface_refs": [{"to": [*PROJECT, "port1"]}],
    }
}
ALL = (ADDRESS, PORT, NETWORK, PROJECT_P1)


async def test_documents_in_any_order_are_created_in_order_of_need(api: Api) -> None:
    assert await results(api, *ALL) == [
        "p1 unchanged",
        "vn1 created",
        "port1 created",
        "address1 created",
    ]


async def test_the_second_time_nothing_changes(api: Api) -> None:
    await results(api, *ALL)
    before = await revision(api)
    assert {one.split()[1] for one in await results(api, *ALL)} == {"unchanged"}
    assert await revision(api) == before


async def test_what_was_read_can_be_applied(api: Api) -> None:
    await results(api, *ALL)
    types = [next(iter(each)) for each in ALL]
    shown: list[Json] = []
    for name in types:
        listed = await api.get(f"/{name}s?detail=true")
        shown += listed[f"{name}s"]
    before = await revision(api)
    outcome = await results(api, *shown)
    assert len(outcome) == len(shown)
    assert {one.split()[-1] for one in outcome} == {"unchanged"}
    assert await revision(api) == before


async def test_only_what_differs_is_changed_and_null_takes_away(api: Api) -> None:
    await results(api, PROJECT_P1, NETWORK)
    name = {"fq_name": [*PROJECT, "vn1"]}
    change = {"virtual-network": {**name, "display_name": "Blue", "external_ipam": True}}
    assert await results(api, PROJECT_P1, change) == ["p1 unchanged", "vn1 updated"]
    (uuid,) = [
        one["uuid"]
        for one in (await api.get("/virtual-networks"))["virtual-networks"]
        if one["fq_name"] == name["fq_name"]
    ]
    shown = await api.show("virtual-network", uuid)
    assert (shown["display_name"], shown["external_ipam"]) == ("Blue", True)
    assert shown["network_ipam_refs"]
    assert await results(api, {"virtual-network": {**name, "external_ipam": None}}) == [
        "vn1 updated"
    ]
    assert "external_ipam" not in await api.show("virtual-network", uuid)


async def test_all_or_nothing(api: Api) -> None:
    before = await revision(api)
    wrong = {"virtual-network": {"fq_name": [*PROJECT, "vn2"], "no_such": 1}}
    answer = await apply(api, PROJECT_P1, NETWORK, wrong)
    assert answer.status == 400
    assert answer.text.startswith("virtual-network default-domain:p1:vn2: ")
    assert "no_such" in answer.text
    assert await revision(api) == before


async def test_references_in_a_circle_are_all_there_in_the_end(api: Api) -> None:
    def port(name: str, *others: str) -> Json:
        refs = [{"to": [*PROJECT, other]} for other in others]
        fields = PORT["virtual-machine-interface"]
        return {
            "virtual-machine-interface": {
                **fields,
                "fq_name": [*PROJECT, name],
                "virtual_machine_interface_refs": refs,
            }
        }

    circle = [port("a", "b", "c"), port("b", "a", "c"), port("c", "a", "b")]
    outcome = await results(api, *circle, NETWORK)
    assert sorted(outcome) == ["a created", "b created", "c created", "vn1 created"]
    listed = await api.get("/virtual-machine-interfaces?detail=true")
    kind, field = "virtual-machine-interface", "virtual_machine_interface_refs"
    shown = {
        one[kind]["fq_name"][-1]: sorted(ref["to"][-1] for ref in one[kind][field])
        for one in listed[f"{kind}s"]
    }
    assert shown == {"a": ["b", "c"], "b": ["a", "c"], "c": ["a", "b"]}
    assert {one.split()[1] for one in await results(api, *circle)} == {"unchanged"}


async def test_documents_are_taken_to_another_installation_by_name(api: Api) -> None:
    elsewhere = network_body("vn1", "10.0.1.0/24")
    elsewhere["network_ipam_refs"][0]["uuid"] = "00000000-0000-4000-8000-000000000001"
    elsewhere["uuid"] = "00000000-0000-4000-8000-000000000002"
    elsewhere["parent_uuid"] = "00000000-0000-4000-8000-000000000003"
    assert await results(api, PROJECT_P1, {"virtual-network": elsewhere}) == [
        "p1 unchanged",
        "vn1 created",
    ]
    shown = await api.show("virtual-network", elsewhere["uuid"])
    assert shown["network_ipam_refs"][0]["to"] == IPAM
    elsewhere["uuid"] = "00000000-0000-4000-8000-000000000009"
    answer = await apply(api, {"virtual-network": elsewhere})
    assert answer.status == 409
    assert "its uuid here is 00000000-0000-4000-8000-000000000002" in answer.text


async def test_deletions_go_from_users_to_what_they_use(api: Api) -> None:
    await results(api, *ALL)
    assert await results(api, delete=ALL[::-1]) == [
        "address1 deleted",
        "port1 deleted",
        "vn1 deleted",
        "p1 deleted",
    ]
    assert {one.split()[1] for one in await results(api, delete=ALL)} == {"absent"}


async def test_what_others_use_is_not_deleted(api: Api) -> None:
    await results(api, *ALL)
    before = await revision(api)
    answer = await apply(api, delete=(NETWORK, ADDRESS))
    assert answer.status == 409
    assert answer.text.startswith("virtual-network default-domain:p1:vn1: ")
    assert await revision(api) == before


async def test_malformed_requests_are_refused(api: Api) -> None:
    for body, word in (
        ({"appply": []}, "appply"),
        ({"apply": {}}, "list"),
        ({"apply": [5]}, "apply[0]"),
        ({"apply": [{"virtual-network": []}]}, "apply[0]"),
        ({"apply": [{"virtual-network": {}}]}, "fq_name"),
        ({"apply": [{"no-such-type": {}}]}, "no-such-type"),
        ({"apply": [PROJECT_P1, PROJECT_P1]}, "twice"),
        ({"apply": [PROJECT_P1], "delete": [PROJECT_P1]}, "twice"),
        ({"apply": [{"project": {"fq_name": PROJECT, "tag_refs": [7]}}]}, "tag_refs"),
        ({"apply": [{"project": {"fq_name": PROJECT, "tag_refs": [{"to": 7}]}}]}, "tag_refs"),
    ):
        answer = await api.post("/apply", body)
        assert 400 <= answer.status < 500, answer.text
        assert word in answer.text


async def test_applying_is_creating_updating_and_deleting_for_the_rules(api: Api) -> None:
    body = {"apply": [NETWORK, 5], "delete": [{"security-group": {"fq_name": ["a"]}}]}
    fields = tuple(NETWORK["virtual-network"])
    for path in ("apply", "plan"):
        assert f"/{path}" in RULED
        call = Call(f"/{path}", "C", body, {})
        parts = list(await api.store.read(partial(parts_of, call=call)))
        assert parts == [
            ("C", path, ()),
            ("C", "virtual-network", fields),
            ("U", "virtual-network", fields),
            ("D", "security-group", ()),
        ]


async def set_of(api: Api, owner: str, *documents: Json, prune: bool = True) -> list[str]:
    body = {"apply": [*documents], "owner": owner, "prune": prune}
    answer = await api.post("/apply", body)
    assert answer.status == 200, answer.text
    return [f"{one['fq_name'][-1]} {one['result']}" for one in answer.json["objects"]]


async def test_what_left_a_set_is_pruned_and_nothing_else(api: Api) -> None:
    await api.network("other")
    assert await set_of(api, "shop", NETWORK, PORT, ADDRESS) == [
        "vn1 created",
        "port1 created",
        "address1 created",
    ]
    group = {"security-group": {"fq_name": [*PROJECT, "web"], "parent_type": "project"}}
    assert await set_of(api, "office", group) == ["web created"]
    before = await revision(api)
    assert {one.split()[1] for one in await set_of(api, "shop", PORT, NETWORK, ADDRESS)} == {
        "unchanged"
    }
    assert await revision(api) == before
    assert await set_of(api, "shop", NETWORK, prune=False) == ["vn1 unchanged"]
    assert await set_of(api, "shop", NETWORK) == [
        "vn1 unchanged",
        "address1 pruned",
        "port1 pruned",
    ]
    names = {one["fq_name"][-1] for one in (await api.get("/virtual-networks"))["virtual-networks"]}
    assert {"vn1", "other"} <= names
    assert await set_of(api, "office", group) == ["web unchanged"]


async def test_what_is_in_use_by_others_is_not_pruned_and_nothing_happens(api: Api) -> None:
    await set_of(api, "shop", NETWORK)
    await results(api, PORT)
    body = {"apply": [], "owner": "shop", "prune": True}
    refused = await api.post("/apply", body)
    assert refused.status == 409
    assert "virtual-network default-domain:p1:vn1" in refused.text
    assert await set_of(api, "shop", NETWORK) == ["vn1 unchanged"]


async def test_an_object_of_another_set_is_not_taken(api: Api) -> None:
    await set_of(api, "shop", NETWORK)
    refused = await api.post("/apply", {"apply": [NETWORK], "owner": "office"})
    assert refused.status == 409
    assert "belongs to the set shop" in refused.text
    # Annotations of its own stay, and the mark with them.
    pairs = [{"key": "colour", "value": "blue"}]
    fields = {**NETWORK["virtual-network"], "annotations": {"key_value_pair": pairs}}
    assert await set_of(api, "shop", {"virtual-network": fields}) == ["vn1 updated"]
    assert await set_of(api, "shop", NETWORK) == ["vn1 unchanged"]
    uuid = await api.post(
        "/fqname-to-id", {"type": "virtual-network", "fq_name": [*PROJECT, "vn1"]}
    )
    shown = await api.show("virtual-network", uuid.json["uuid"])
    assert shown["annotations"]["key_value_pair"] == [
        *pairs,
        {"key": "tungsten.owner", "value": "shop"},
    ]
    await api.put("virtual-network", uuid.json["uuid"], annotations=None)
    assert await set_of(api, "office", NETWORK) == ["vn1 updated"]


async def test_pruning_without_an_owner_is_refused(api: Api) -> None:
    for body in ({"prune": True}, {"owner": "a\nb"}, {"owner": 3}, {"owner": "a", "prune": "yes"}):
        refused = await api.post("/apply", {"apply": [], **body})
        assert refused.status == 400
        assert "owner" in refused.text or "prune" in refused.text


async def test_rules_are_asked_for_what_pruning_deletes(api: Api) -> None:
    await set_of(api, "shop", NETWORK)
    for path in ("/apply", "/plan"):
        call = Call(path, "C", {"apply": [], "owner": "shop", "prune": True}, {})
        asked = await api.store.read(partial(_parts, call))
        assert ("D", "virtual-network", ()) in asked


def _parts(call: Call, snapshot: Snapshot) -> list[Part]:
    return list(parts_of(snapshot, call))
