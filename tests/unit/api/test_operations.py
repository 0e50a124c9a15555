"""Operations beside those on single objects: texts, numbers, addresses, references, batches."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.unit.api.api_server import PROJECT, Answer, Api, network_body


async def kv(api: Api, operation: str, key: Any, **more: Any) -> Answer:
    return await api.post("/useragent-kv", {"operation": operation, "key": key, **more})


async def test_texts_are_kept_under_keys(api: Api) -> None:
    assert (await kv(api, "STORE", "a", value="1")).text == ""
    assert (await kv(api, "STORE", "b:c", value="zwei\n")).status == 200
    assert (await kv(api, "STORE", "a", value="")).status == 200
    assert (await kv(api, "STORE", "a", value="one")).status == 200
    assert (await kv(api, "RETRIEVE", "a")).json == {"value": "one"}
    assert (await kv(api, "RETRIEVE", ["b:c", "none", "a"])).json == {"value": ["zwei\n", "one"]}
    everything = [{"key": "a", "value": "one"}, {"key": "b:c", "value": "zwei\n"}]
    assert (await kv(api, "RETRIEVE", None)).json == {"value": everything}
    assert (await kv(api, "RETRIEVE", "")).json == {"value": everything}
    assert (await kv(api, "DELETE", "a")).status == 200
    assert (await kv(api, "RETRIEVE", "a")).text == "Unknown User-Agent key a"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"key": "a"}, 400, "Error: Key/value store API needs 'operation' parameter"),
        ({"operation": "STORE"}, 400, "Error: Key/value store API needs 'key' parameter"),
        ({"operation": "DROP", "key": "a"}, 404, "Invalid Operation DROP"),
        ({"operation": "RETRIEVE", "key": "k"}, 404, "Unknown User-Agent key k"),
        ({"operation": "DELETE", "key": "k"}, 404, "Unknown User-Agent key k"),
    ],
)
async def test_refusals_of_texts_are_as_clients_know_them(
    api: Api, body: dict[str, Any], status: int, text: str
) -> None:
    answer = await api.post("/useragent-kv", body)
    assert (answer.status, answer.text) == (status, text)


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "STORE", "key": "a", "value": 5},
        {"operation": "STORE", "key": "a"},
        {"operation": "STORE", "key": ["a"], "value": "b"},
        {"operation": "RETRIEVE", "key": [1]},
        {"operation": "RETRIEVE", "key": {"a": 1}},
        {"operation": ["STORE"], "key": "a", "value": "b"},
    ],
)
async def test_what_is_no_text_is_refused(api: Api, body: dict[str, Any]) -> None:
    assert (await api.post("/useragent-kv", body)).status in (400, 404)


# -- numbers ---------------------------------------------------------------------------------


async def test_numbers_of_a_pool_have_one_owner(api: Api) -> None:
    pool = {"pool": "p", "start": 10, "end": 12}
    assert (await api.post("/int-pools", pool)).status == 200
    assert (await api.post("/int-pools", pool)).status == 200
    assert (await api.post("/int-pools", {**pool, "end": 13})).status == 409
    given = [(await api.post("/int-pool", {"pool": "p", "owner": f"o{n}"})).json for n in range(3)]
    assert given == [{"value": 10}, {"value": 11}, {"value": 12}]
    assert (await api.post("/int-pool", {"pool": "p", "owner": "late"})).status == 409
    assert await api.get("/int-pool?pool=p&value=11") == {"owner": "o1"}
    freed = await api.ask("DELETE", "/int-pool", {"pool": "p", "value": 11})
    assert freed.status == 200
    assert await api.get("/int-pool?pool=p&value=11") == {"owner": None}
    asked = {"pool": "p", "owner": "x", "value": 11}
    assert (await api.post("/int-pool", asked)).json == {"value": 11}
    assert (await api.post("/int-pool", asked)).json == {"value": 11}
    taken = await api.post("/int-pool", {**asked, "owner": "y"})
    assert (taken.status, taken.text) == (409, "11 of pool p belongs to x")
    assert (await api.post("/int-pool", {**asked, "value": 13})).status == 400
    assert (await api.ask("DELETE", "/int-pools", {"pool": "p"})).status == 200
    assert (await api.ask("GET", "/int-pool?pool=p&value=11")).status == 404
    await api.post("/int-pools", pool)
    assert (await api.post("/int-pool", {"pool": "p", "owner": "new"})).json == {"value": 10}


async def test_numbers_are_given_once_to_many_at_once(api: Api) -> None:
    await api.post("/int-pools", {"pool": "p", "start": 0, "end": 99})
    answers = await asyncio.gather(
        *(api.post("/int-pool", {"pool": "p", "owner": str(n)}) for n in range(100))
    )
    assert sorted(one.json["value"] for one in answers) == list(range(100))


# -- addresses of no object ------------------------------------------------------------------


async def test_addresses_can_be_taken_without_an_object(api: Api) -> None:
    network = await api.network()
    path = f"/virtual-network/{network}"
    subnet = (await api.show("virtual-network", network))["network_ipam_refs"][0]["attr"]
    uuid = subnet["ipam_subnets"][0]["subnet_uuid"]
    assert (await api.post(path + "/ip-alloc", {})).json == {"ip_addr": ["10.0.1.252"]}
    asked = {"count": 2, "subnet": uuid, "family": None}
    two = (await api.post(path + "/ip-alloc", asked)).json
    assert two == {"ip_addr": ["10.0.1.251", "10.0.1.250"]}
    assert (await api.address("x"))[1] == "10.0.1.249"
    counted = await api.post(path + "/subnet-ip-count", {"subnet_list": [uuid, "none"]})
    assert counted.json == {"ip_count_list": [8, 0]}  # four, and the four that are never given
    freed = await api.post(path + "/ip-free", {"ip_addr": ["10.0.1.251", "10.0.1.7"]})
    assert freed.status == 200
    assert (await api.address("y"))[1] == "10.0.1.251"
    held = await api.post(path + "/ip-free", {"ip_addr": ["10.0.1.251"]})
    assert held.status == 409
    assert "instance-ip" in held.text


async def test_addresses_of_no_object_go_with_their_network(api: Api) -> None:
    network = await api.network(cidr="10.0.1.0/29")
    taken = await api.post(f"/virtual-network/{network}/ip-alloc", {"count": 4})
    assert taken.status == 200
    full = await api.post(f"/virtual-network/{network}/ip-alloc", {})
    text = "Virtual-Network(['default-domain', 'p1', 'vn1']) has exhausted subnet(['10.0.1.0/29'])"
    assert (full.status, full.text) == (409, text)
    assert (await api.delete("virtual-network", network)).status == 200
    again = await api.network(cidr="10.0.1.0/29")
    assert (await api.post(f"/virtual-network/{again}/ip-alloc", {"count": 4})).status == 200


async def test_a_failed_allocation_takes_nothing(api: Api) -> None:
    network = await api.network(cidr="10.0.1.0/29")
    path = f"/virtual-network/{network}/ip-alloc"
    assert (await api.post(path, {"count": 5})).status == 409
    assert len((await api.post(path, {"count": 4})).json["ip_addr"]) == 4


async def test_addresses_are_refused_where_there_are_none(api: Api) -> None:
    none = "00000000-0000-4000-8000-000000000000"
    missing = await api.post(f"/virtual-network/{none}/ip-alloc", {})
    assert (missing.status, missing.text) == (404, f"Virtual Network {none} not found!")
    network = await api.network()
    path = f"/virtual-network/{network}/ip-alloc"
    assert (await api.post(path, {"subnet": none})).status == 404
    assert (await api.post(path, {"family": "v6"})).status == 404
    for count in (0, -1, True, "2", 10**9):
        assert (await api.post(path, {"count": count})).status == 400
    assert (await api.ask("GET", path)).status == 405


# -- references that do not keep -------------------------------------------------------------


async def test_a_relaxed_reference_does_not_keep_its_target(api: Api) -> None:
    network = await api.network()
    port = await api.port_of()
    relaxed = await api.post("/ref-relax-for-delete", {"uuid": port, "ref-uuid": network})
    assert relaxed.json == {"uuid": port}
    assert (await api.delete("virtual-network", network)).status == 200
    assert "virtual_network_refs" not in await api.show("virtual-machine-interface", port)


async def test_a_reference_made_anew_keeps_its_target_again(api: Api) -> None:
    group = await api.create("security-group", fq_name=[*PROJECT, "g"], parent_type="project")
    await api.network()
    port = await api.port_of(security_group_refs=[{"to": [*PROJECT, "g"]}])
    await api.post("/ref-relax-for-delete", {"uuid": port, "ref-uuid": group})
    await api.put("virtual-machine-interface", port, security_group_refs=[])
    await api.put("virtual-machine-interface", port, security_group_refs=[{"uuid": group}])
    assert (await api.delete("security-group", group)).status == 409


async def test_relaxing_names_what_is_missing(api: Api) -> None:
    network = await api.network()
    none = "00000000-0000-4000-8000-000000000000"
    for body, status in (
        ({"uuid": network}, 400),
        ({"uuid": none, "ref-uuid": network}, 404),
        ({"uuid": network, "ref-uuid": none}, 404),
    ):
        assert (await api.post("/ref-relax-for-delete", body)).status == status


async def test_ref_update_may_relax_the_reference_it_adds(api: Api) -> None:
    group = await api.create("security-group", fq_name=[*PROJECT, "g"], parent_type="project")
    await api.network()
    port = await api.port_of()
    body = {
        "type": "virtual-machine-interface",
        "uuid": port,
        "ref-type": "security-group",
        "ref-uuid": group,
        "operation": "ADD",
        "relax_ref_for_delete": True,
    }
    assert (await api.post("/ref-update", body)).status == 200
    assert (await api.delete("security-group", group)).status == 200


# -- batches ---------------------------------------------------------------------------------


def create(type_: str, **fields: Any) -> dict[str, Any]:
    return {"operation": "create", "type": type_, "object": fields}


async def test_a_transaction_makes_objects_that_refer_to_each_other(api: Api) -> None:
    port = {
        "fq_name": [*PROJECT, "port"],
        "parent_type": "project",
        "virtual_network_refs": [{"to": [*PROJECT, "vn1"]}],
    }
    operations = [
        create("virtual-network", **network_body("vn1", "10.0.1.0/24")),
        create("virtual-machine-interface", **port),
        {
            "operation": "update",
            "type": "virtual_machine_interface",
            "fq_name": port["fq_name"],
            "object": {"display_name": "web"},
        },
    ]
    before = (await api.get("/healthz"))["revision"]
    results = (await api.post("/transaction", {"operations": operations})).json["results"]
    assert (await api.get("/healthz"))["revision"] == before + 1
    assert [one["type"] for one in results][:2] == ["virtual-network", "virtual-machine-interface"]
    shown = await api.get(results[1]["href"].removeprefix(api.url))
    assert shown["virtual-machine-interface"]["display_name"] == "web"
    gone = [
        {"operation": "delete", "type": "virtual-machine-interface", "uuid": results[1]["uuid"]},
        {"operation": "delete", "type": "virtual-network", "fq_name": [*PROJECT, "vn1"]},
    ]
    assert (await api.post("/transaction", {"operations": gone})).status == 200
    assert (await api.ask("GET", f"/virtual-network/{results[0]['uuid']}")).status == 404


async def test_a_transaction_is_done_whole_or_not_at_all(api: Api) -> None:
    operations = [
        create("virtual-network", **network_body("vn1", "10.0.1.0/24")),
        create("virtual-network", **network_body("vn1", "10.0.2.0/24")),
    ]
    before = (await api.get("/healthz"))["revision"]
    refused = await api.post("/transaction", {"operations": operations})
    assert refused.status == 409
    assert refused.text.startswith("operation 1 (create virtual-network): [")
    assert (await api.get("/healthz"))["revision"] == before
    assert (await api.get("/virtual-networks?parent_fq_name_str=default-domain:p1")) == {
        "virtual-networks": []
    }


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        ("x", "operations must be a list"),
        ([5], "operations must be a list of objects"),
        ([{"operation": "rename"}], "operation 0 (rename): Bad Request, operation must be one of"),
        ([{"operation": "create", "type": "virtual-network"}], "operation 0"),
        ([{"operation": "delete", "type": "virtual-network"}], "operation 0"),
        ([{"operation": "create", "type": "x", "object": {}}], "Resource type 'x' not found"),
    ],
)
async def test_a_transaction_names_the_operation_that_is_wrong(
    api: Api, operations: Any, text: str
) -> None:
    answer = await api.post("/transaction", {"operations": operations})
    assert 400 <= answer.status < 500
    assert text in answer.text


async def test_a_watch_begins_after_a_revision(api: Api) -> None:
    revision = (await api.get("/healthz"))["revision"]
    await api.network("late")
    path = f"{api.url}/watch?resource_type=virtual_network&since={revision}"
    async with api.session.get(path) as response:
        lines = [await response.content.readline() for _ in range(3)]
    assert lines[0].startswith(b"id: ")
    assert lines[1] == b"event: create\n"
    said = json.loads(lines[2].removeprefix(b"data: "))
    assert said["virtual-network"]["name"] == "late"
    assert (await api.ask("GET", "/watch?resource_type=project&since=x")).status == 400


# -- the whole store -------------------------------------------------------------------------


async def test_the_store_is_looked_over_and_there_is_nothing_to_find(api: Api) -> None:
    network = await api.network()
    port = await api.port_of()
    await api.address("a")
    await api.post(f"/virtual-network/{network}/ip-alloc", {"count": 3})
    await api.post("/int-pools", {"pool": "p", "start": 0, "end": 9})
    await api.post("/int-pool", {"pool": "p", "owner": "x"})
    await kv(api, "STORE", "a", value="1")
    await api.post("/ref-relax-for-delete", {"uuid": port, "ref-uuid": network})
    assert (await api.post("/db-check", {})).json == {"results": []}


async def test_all_records_are_told_by_type(api: Api) -> None:
    network = await api.network()
    results = (await api.ask("POST", "/fetch-records")).json["results"]
    assert all(results)
    told = [one for kind in results for one in kind]
    assert network in [one["uuid"] for one in told]
    assert len({one["uuid"] for one in told}) == len(told)
