"""Every way to read or write asks for the same permissions; no refusal tells more than it may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.api.api_server import network_body
from tests.unit.api.tenants import BLUE, EVERYTHING, RED, Person, World

RED_A = ["default-domain", "red", "a"]


def operation(**members: Any) -> dict[str, Any]:
    return {"operations": [members]}


def rule(object_: str, crud: str, field: str = "", role: str = "member") -> dict[str, Any]:
    perms = [{"role_name": role, "role_crud": crud}]
    return {"rule_object": object_, "rule_field": field, "rule_perms": perms}


# -- rules of fields -------------------------------------------------------------------------


POLICY = {"type": "virtual-network", "ref-type": "network-policy", "operation": "ADD"}
PAIR = {"field": "annotations", "operation": "set", "value": {"key": "k", "value": "v"}}
FIELD_WAYS: list[tuple[str, Callable[[str], tuple[str, str, Any]]]] = [
    (
        "display_name",
        lambda u: ("PUT", f"/virtual-network/{u}", {"virtual-network": {"display_name": "x"}}),
    ),
    (
        "display_name",
        lambda u: (
            "POST",
            "/transaction",
            operation(
                operation="update", type="virtual-network", uuid=u, object={"display_name": "x"}
            ),
        ),
    ),
    *(
        (
            "display_name",
            lambda u, path=path: (
                "POST",
                path,
                {"apply": [{"virtual_network": {"fq_name": RED_A, "display_name": "x"}}]},
            ),
        )
        for path in ("/apply", "/plan")
    ),
    (
        "network_policy_refs",
        lambda u: ("POST", "/ref-update", {**POLICY, "uuid": u, "ref-uuid": u}),
    ),
    (
        "network_policy_refs",
        lambda u: (
            "POST",
            "/transaction",
            operation(**{**POLICY, "uuid": u, "ref-uuid": u, "operation": "ref-update"}),
        ),
    ),
    (
        "tag_refs",
        lambda u: (
            "POST",
            "/set-tag",
            {"obj_type": "virtual_network", "obj_uuid": u, "tier": None},
        ),
    ),
    ("annotations", lambda u: ("POST", "/prop-collection-update", {"uuid": u, "updates": [PAIR]})),
    (
        "annotations",
        lambda u: (
            "POST",
            "/transaction",
            operation(operation="prop-collection-update", uuid=u, updates=[PAIR]),
        ),
    ),
    ("perms2", lambda u: ("POST", "/chmod", {"uuid": u, "global_access": 4})),
    ("perms2", lambda u: ("POST", "/chown", {"uuid": u, "owner": BLUE})),
]


@pytest.mark.parametrize("way", range(len(FIELD_WAYS)))
async def test_the_rule_of_a_field_holds_for_every_way_of_changing_it(
    bare: World, way: int
) -> None:
    field, ask = FIELD_WAYS[way]
    await bare.allow(EVERYTHING, rule("virtual-network", "CRUD", field, role="chief"))
    network = await bare.network(bare.root, "a", fq_name=RED_A)
    refused = await bare.red.ask(*ask(network))
    assert (refused.status, refused.text[:17]) == (403, "Permission Denied"), refused.text


async def test_the_rule_of_a_type_holds_for_what_a_transaction_has_just_made(bare: World) -> None:
    await bare.allow(EVERYTHING, rule("network-policy", "CR"))
    uuid = "5a2b3c4d-5e6f-4000-8000-000000000001"
    body = {"uuid": uuid, "fq_name": ["default-domain", "red", "p"], "parent_type": "project"}
    operations = [
        {"operation": "create", "type": "network_policy", "object": body},
        {"operation": "prop-collection-update", "uuid": uuid, "updates": [PAIR]},
    ]
    refused = await bare.red.ask("POST", "/transaction", {"operations": operations})
    assert refused.status == 403
    made = await bare.red.ask("POST", "/transaction", {"operations": operations[:1]})
    assert made.status == 200, made.text


async def test_a_rule_of_everything_is_none_of_what_belongs_to_all(world: World) -> None:
    pool = {"pool": "p", "start": 1, "end": 9}
    assert (await world.root.ask("POST", "/int-pools", pool)).status == 200
    for method, path, body in (
        ("POST", "/int-pools", {**pool, "pool": "q"}),
        ("DELETE", "/int-pools", pool),
        ("POST", "/int-pool", {"pool": "p", "owner": "me"}),
        ("DELETE", "/int-pool", {"pool": "p", "value": 1}),
    ):
        assert (await world.red.ask(method, path, body)).status == 403, path
    await world.root.create(
        "api-access-list",
        fq_name=["default-domain", "red", "pools"],
        parent_type="project",
        api_access_list_entries={"rbac_rule": [rule("int-pool", "CRUD")]},
    )
    assert (await world.red.ask("POST", "/int-pool", {"pool": "p", "owner": "me"})).status == 200


# -- who may say who may ---------------------------------------------------------------------


def perms(**said: Any) -> dict[str, Any]:
    return {"perms2": {"owner": RED, **said}}


CLAIMS: list[Callable[[str], tuple[str, str, Any]]] = [
    lambda u: ("POST", "/chown", {"uuid": u, "owner": BLUE}),
    lambda u: ("POST", "/chmod", {"uuid": u, "global_access": 7}),
    lambda u: ("POST", "/chmod", {"uuid": u, "owner": BLUE}),
    lambda u: ("POST", "/chmod", {"uuid": u, "share": []}),
    lambda u: ("PUT", f"/virtual-network/{u}", {"virtual-network": perms(owner=BLUE)}),
    lambda u: ("PUT", f"/virtual-network/{u}", {"virtual-network": perms(global_access=7)}),
    lambda u: ("PUT", f"/virtual-network/{u}", {"virtual-network": {"is_shared": True}}),
    lambda u: ("PUT", f"/virtual-network/{u}", {"virtual-network": {"router_external": True}}),
    lambda u: (
        "POST",
        "/transaction",
        operation(operation="update", type="virtual-network", uuid=u, object=perms(owner=BLUE)),
    ),
    *(
        lambda u, path=path: (
            "POST",
            path,
            {"apply": [{"virtual-network": {"fq_name": RED_A, **perms(owner=BLUE)}}]},
        )
        for path in ("/apply", "/plan")
    ),
]


@pytest.mark.parametrize("way", range(len(CLAIMS)))
async def test_who_may_write_an_object_may_not_take_it(world: World, way: int) -> None:
    network = await world.network(world.red, "a")
    share = [{"tenant": BLUE, "tenant_access": 7}]
    await world.red.ask("POST", "/chmod", {"uuid": network, "share": share})
    before = (await world.root.ask("GET", f"/virtual-network/{network}")).json
    refused = await world.blue.ask(*CLAIMS[way](network))
    assert refused.status == 403, refused.text
    after = (await world.root.ask("GET", f"/virtual-network/{network}")).json
    assert after == before
    whole = await world.blue.ask("GET", f"/virtual-network/{network}")
    back = await world.blue.ask("PUT", f"/virtual-network/{network}", whole.json)
    assert back.status == 200, back.text
    assert (await world.red.ask(*CLAIMS[way](network))).status == 200


async def test_the_domain_is_for_its_members_to_use_not_to_take(world: World) -> None:
    name = {"type": "domain", "fq_name": ["default-domain"]}
    domain = (await world.red.ask("POST", "/fqname-to-id", name)).json["uuid"]
    for path, body in (
        ("/chown", {"uuid": domain, "owner": RED}),
        ("/chmod", {"uuid": domain, "global_access": 7}),
    ):
        assert (await world.red.ask("POST", path, body)).status == 403


# -- texts -----------------------------------------------------------------------------------


async def kv(who: Person, operation: str, key: Any, value: str | None = None) -> Any:
    body = {"operation": operation, "key": key, "value": value}
    answer = await who.ask("POST", "/useragent-kv", body)
    return answer.json["value"] if answer.status == 200 and answer.text else answer.status


async def test_texts_are_a_projects_own(world: World) -> None:
    for who in (world.red, world.root):
        assert await kv(who, "STORE", "k", f"canary of {who.headers}") == 200
    assert await kv(world.blue, "RETRIEVE", "k") == 404
    assert await kv(world.blue, "RETRIEVE", "") == []
    assert await kv(world.blue, "DELETE", "k") == 404
    assert await kv(world.blue, "STORE", "k", "blue") == 200
    assert await kv(world.red, "RETRIEVE", "k") == f"canary of {world.red.headers}"
    assert await kv(world.root, "RETRIEVE", ["k"]) == [f"canary of {world.root.headers}"]
    assert await kv(world.red, "RETRIEVE", "") == [
        {"key": "k", "value": f"canary of {world.red.headers}"}
    ]


async def test_the_texts_of_a_project_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tungsten.api.user_agent.MOST_KEYS", 2)
    assert await kv(world.red, "STORE", "k", "v" * 65_537) == 400
    assert await kv(world.red, "STORE", "k" * 1025, "v") == 400
    for key, status in (("a", 200), ("b", 200), ("c", 412), ("a", 200)):
        assert await kv(world.red, "STORE", key, "v") == status
    for key in "abc":
        assert await kv(world.root, "STORE", key, "v" * 65_537) == 200


# -- what refusals tell ----------------------------------------------------------------------


async def test_refusals_do_not_tell_of_others_objects(world: World) -> None:
    network = await world.network(world.red, "a")
    taken = {**network_body("a", "10.0.2.0/24"), "fq_name": RED_A}
    free = {**taken, "fq_name": [*RED_A[:-1], "b"]}
    of_uuid = {**taken, "fq_name": ["default-domain", "blue", "c"], "uuid": network}
    answers = [
        await world.blue.ask("POST", "/virtual-networks", {"virtual-network": body})
        for body in (taken, free, of_uuid)
    ]
    assert [one.status for one in answers] == [403, 403, 409]
    assert answers[0].text == answers[1].text
    assert answers[2].text == f"{network} already exists"
    for path in ("/apply", "/plan"):
        for body in (
            {"apply": [{"virtual-network": {**taken, "uuid": BLUE}}]},
            {"apply": [{"virtual-network": {**free, "uuid": BLUE}}]},
            {"delete": [{"virtual-network": {"fq_name": RED_A}}]},
            {"delete": [{"virtual-network": {"fq_name": free["fq_name"]}}]},
        ):
            answer = await world.blue.ask("POST", path, body)
            assert answer.status == 403, answer.text
            assert network not in answer.text
    own = await world.red.ask("POST", "/virtual-networks", {"virtual-network": taken})
    assert own.text == f"{RED_A} already exists with uuid: {network}"


async def test_an_address_taken_by_another_project_is_just_taken(world: World) -> None:
    red = {"fq_name": ["an address"], "virtual_network_refs": [{"to": RED_A}]}
    await world.network(world.red, "a")
    uuid = await world.red.create("instance-ip", **red)
    blue = {**red, "virtual_network_refs": [{"to": ["default-domain", "blue", "a"]}]}
    await world.network(world.blue, "a")
    answer = await world.blue.ask("POST", "/instance-ips", {"instance-ip": blue})
    assert (answer.status, answer.text) == (409, "['an address'] already exists")
    assert uuid not in answer.text


async def test_what_keeps_an_object_is_told_as_far_as_it_may_be_seen(world: World) -> None:
    network = await world.network(world.red, "a")
    await world.red.ask("POST", "/chmod", {"uuid": network, "global_access": 5})
    port = await world.blue.create(
        "virtual-machine-interface",
        fq_name=["default-domain", "blue", "p"],
        parent_type="project",
        virtual_network_refs=[{"to": RED_A}],
    )
    refused = await world.red.ask("DELETE", f"/virtual-network/{network}")
    assert (refused.status, refused.text) == (409, "Delete when resource still referred: []")
    told = await world.root.ask("DELETE", f"/virtual-network/{network}")
    assert port in told.text


# -- names that are references ---------------------------------------------------------------


async def test_a_firewall_rule_names_only_what_may_be_referred_to(world: World) -> None:
    group = await world.red.create(
        "address-group", fq_name=["default-domain", "red", "g"], parent_type="project"
    )
    body = {
        "fq_name": ["default-domain", "blue", "r"],
        "parent_type": "project",
        "service": {"protocol": "tcp"},
        "endpoint_1": {"address_group": "default-domain:red:g"},
        "endpoint_2": {"any": True},
        "direction": "<>",
    }
    refused = await world.blue.ask("POST", "/firewall-rules", {"firewall-rule": body})
    assert refused.status == 403, refused.text
    made = await world.blue.create("firewall-rule", **{**body, "endpoint_1": {"any": True}})
    changed = await world.blue.put("firewall-rule", made, endpoint_1=body["endpoint_1"])
    assert changed.status == 403
    await world.red.ask("POST", "/chmod", {"uuid": group, "global_access": 5})
    changed = await world.blue.put("firewall-rule", made, endpoint_1=body["endpoint_1"])
    assert changed.status == 200, changed.text
    await world.red.ask("POST", "/chmod", {"uuid": group, "global_access": 0})
    assert (await world.blue.put("firewall-rule", made, display_name="x")).status == 200


async def test_a_firewall_rule_has_only_tags_that_may_be_referred_to(world: World) -> None:
    tag = await world.root.create(
        "tag", fq_name=["tier=web"], tag_type_name="tier", tag_value="web"
    )
    body = {
        "fq_name": ["default-domain", "blue", "r"],
        "parent_type": "project",
        "service": {"protocol": "tcp"},
        "endpoint_1": {"tags": ["global:tier=web"]},
        "endpoint_2": {"any": True},
        "direction": "<>",
    }
    refused = await world.blue.ask("POST", "/firewall-rules", {"firewall-rule": body})
    assert refused.status == 403, refused.text
    await world.root.ask("POST", "/chmod", {"uuid": tag, "global_access": 5})
    await world.blue.create("firewall-rule", **body)


async def test_a_dns_server_passes_on_only_to_what_may_be_referred_to(world: World) -> None:
    data = {"domain_name": "example.org", "dynamic_records_from_client": True}
    first = {"fq_name": ["default-domain", "first"], "parent_type": "domain"}
    uuid = await world.root.create("virtual-DNS", virtual_DNS_data=data, **first)
    await world.root.ask("POST", "/chmod", {"uuid": uuid, "share": []})
    body = {
        "fq_name": ["default-domain", "second"],
        "parent_type": "domain",
        "virtual_DNS_data": {**data, "next_virtual_DNS": "default-domain:first"},
    }
    refused = await world.blue.ask("POST", "/virtual-DNSs", {"virtual-DNS": body})
    assert refused.status == 403, refused.text
    await world.root.ask("POST", "/chmod", {"uuid": uuid, "global_access": 5})
    await world.blue.create("virtual-DNS", **body)


# -- plans -----------------------------------------------------------------------------------


async def test_a_plan_shows_what_its_reader_may_see(world: World) -> None:
    network = await world.network(world.red, "canary")
    await world.red.ask("POST", "/chmod", {"uuid": network, "global_access": 5})
    own = await world.network(world.blue, "own")
    await world.red.ask("POST", "/chmod", {"uuid": network, "global_access": 5})
    port = {
        "fq_name": ["default-domain", "blue", "p"],
        "parent_type": "project",
        "virtual_network_refs": [{"to": ["default-domain", "red", "canary"]}],
    }
    uuid = await world.blue.create("virtual-machine-interface", **port)
    await world.red.ask("POST", "/chmod", {"uuid": network, "global_access": 0})
    shown = await world.blue.ask("GET", f"/virtual-machine-interface/{uuid}")
    assert "canary" not in shown.text
    plan = await world.blue.ask(
        "POST",
        "/plan",
        {
            "apply": [
                {"virtual-machine-interface": {"fq_name": port["fq_name"], "display_name": "x"}},
                {
                    "virtual-network": {
                        "fq_name": ["default-domain", "blue", "own"],
                        "mac_aging_time": 1,
                    }
                },
            ]
        },
    )
    assert plan.status == 200, plan.text
    assert {one["uuid"] for one in plan.json["intent"]} == {uuid, own}
    assert "canary" not in plan.text
    assert network not in plan.text


# -- watches ---------------------------------------------------------------------------------


async def test_one_user_does_not_take_all_watches(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tungsten.api.app.MOST_WATCHES", 2)
    path = f"{world.api.url}/watch?resource_type=project"
    opened = []
    for who, status in ((world.red, 200), (world.red, 200), (world.red, 429), (world.blue, 200)):
        response = await world.api.session.get(path, headers=who.headers)
        assert response.status == status
        opened.append(response)
    for one in opened:
        one.close()


# -- drafts ----------------------------------------------------------------------------------


async def test_a_review_does_not_bring_back_what_was_taken_from_others(world: World) -> None:
    group = await world.red.create(
        "address-group", fq_name=["default-domain", "red", "g"], parent_type="project"
    )
    share = [{"tenant": BLUE, "tenant_access": 7}]
    await world.red.ask("POST", "/chmod", {"uuid": group, "share": share})
    await world.red.put("project", RED, enable_security_policy_draft=True)
    assert (await world.red.put("address-group", group, display_name="x")).status == 202
    assert (await world.red.ask("POST", "/chmod", {"uuid": group, "share": []})).status == 200
    review = {"scope_uuid": RED, "action": "commit"}
    assert (await world.blue.ask("POST", "/security-policy-draft", review)).status == 403
    done = await world.red.ask("POST", "/security-policy-draft", review)
    assert done.status == 200, done.text
    shown = (await world.red.ask("GET", f"/address-group/{group}")).json["address-group"]
    assert shown["display_name"] == "x"
    assert (await world.blue.ask("GET", f"/address-group/{group}")).status == 403


async def test_names_in_a_project_with_drafts_are_not_told_either(world: World) -> None:
    fields = {"fq_name": ["default-domain", "red", "g"], "parent_type": "project"}
    await world.red.create("address-group", **fields)
    await world.red.put("project", RED, enable_security_policy_draft=True)
    for name in ("g", "h"):
        body = {**fields, "fq_name": ["default-domain", "red", name]}
        answer = await world.blue.ask("POST", "/address-groups", {"address-group": body})
        assert answer.status == 403, answer.text


# -- sets of documents -----------------------------------------------------------------------


async def test_sets_of_the_same_name_are_each_their_projects(world: World) -> None:
    def body(project: str, *names: str, owner: str = "web") -> dict[str, Any]:
        parent = {"parent_type": "project"}
        made = [{"fq_name": ["default-domain", project, one], **parent} for one in names]
        documents = [{"network-policy": one} for one in made]
        return {"owner": owner, "prune": True, "apply": documents}

    for who, project in ((world.red, "red"), (world.blue, "blue")):
        answer = await who.ask("POST", "/apply", body(project, "a", "b"))
        assert answer.status == 200, answer.text
    pruned = await world.blue.ask("POST", "/apply", body("blue", "a"))
    assert pruned.status == 200, pruned.text
    assert "red" not in pruned.text
    assert await world.red.names("/network-policys") == ["a", "b"]
    assert await world.blue.names("/network-policys") == ["a"]
    taken = await world.blue.ask("POST", "/apply", body("red", "a", owner="other"))
    assert taken.status == 403
    assert "web" not in taken.text


async def test_a_mark_that_somebody_planted_prunes_nothing(world: World) -> None:
    """Whoever may write a shared object may mark it; the set of its owner leaves it alone."""
    share = [{"tenant": f"tenant:{BLUE}", "tenant_access": 7}]
    shared = await world.network(world.red, "shared", perms2={"share": share})
    kept = await world.network(world.red, "kept")
    pairs = {"key_value_pair": [{"key": "tungsten.owner", "value": "prod"}]}
    assert (await world.blue.put("virtual-network", shared, annotations=pairs)).status == 200
    document = {
        "security-group": {"fq_name": ["default-domain", "red", "web"], "parent_type": "project"}
    }
    body = {"owner": "prod", "prune": True, "apply": [document]}
    for path in ("/plan", "/apply"):
        answer = await world.red.ask("POST", path, body)
        assert answer.status == 200, answer.text
        assert [one["fq_name"][-1] for one in answer.json["objects"]] == ["web"]
    # Nor when the other project applies a set of the same name that has the object.
    network = {"virtual-network": {"fq_name": ["default-domain", "red", "shared"]}}
    theirs = await world.blue.ask("POST", "/apply", {**body, "apply": [network]})
    assert theirs.status == 200, theirs.text
    answer = await world.red.ask("POST", "/apply", body)
    assert [one["result"] for one in answer.json["objects"]] == ["unchanged"]
    for uuid in (shared, kept):
        assert (await world.red.ask("GET", f"/virtual-network/{uuid}")).status == 200
    # What a project's own set left is still deleted.
    answer = await world.red.ask("POST", "/apply", {**body, "apply": []})
    assert [(one["fq_name"][-1], one["result"]) for one in answer.json["objects"]] == [
        ("web", "pruned")
    ]
