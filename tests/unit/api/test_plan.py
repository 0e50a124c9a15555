"""``POST /plan`` foretells what then happens, compiler included, and writes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.api.api_server import PROJECT, Api, network_body

from tungsten.compiler.service import CompilerService

Json = dict[str, Any]

VN = {"virtual-network": network_body("vn1", "10.0.1.0/24")}
PORT = {
    "virtual-machine-interface": {
        "fq_name": [*PROJECT, "port1"],
        "parent_type": "project",
        "virtual_network_refs": [{"to": [*PROJECT, "vn1"]}],
    }
}
GROUP = {
    "security-group": {
        "fq_name": [*PROJECT, "web"],
        "parent_type": "project",
        "security_group_entries": {
            "policy_rule": [
                {
                    "direction": ">",
                    "protocol": "tcp",
                    "src_addresses": [{"security_group": "local"}],
                    "dst_addresses": [{"subnet": {"ip_prefix": "0.0.0.0", "ip_prefix_len": 0}}],
                    "src_ports": [{"start_port": 0, "end_port": 65535}],
                    "dst_ports": [{"start_port": 80, "end_port": 80}],
                }
            ]
        },
    }
}


async def foretell(api: Api, *documents: Json, **members: Any) -> Json:
    answer = await api.post("/plan", {"apply": [*documents], **members})
    assert answer.status == 200, answer.text
    told: Json = answer.json
    return told


def brief(changes: list[Json]) -> list[str]:
    return [f"{one['action']} {one['type']} {':'.join(one['fq_name'])}" for one in changes]


async def held(api: Api) -> tuple[int, Any]:
    """The store's revision and everything in it."""
    return await api.store.load()


async def settled(api: Api) -> None:
    """Compile what there is to compile, once."""
    service = CompilerService(api.store)
    await service.start()
    while not service.idle:
        await asyncio.sleep(0.01)
    await service.stop()


async def test_a_plan_shows_what_is_compiled_and_writes_nothing(api: Api) -> None:
    before = await held(api)
    told = await foretell(api, VN, PORT, GROUP)
    assert await held(api) == before
    assert told["revision"] == before[0]
    assert brief(told["intent"]) == [
        "create security-group default-domain:p1:web",
        "create virtual-machine-interface default-domain:p1:port1",
        "create virtual-network default-domain:p1:vn1",
    ]
    web, vn1 = "default-domain:p1:web", "default-domain:p1:vn1"
    derived = brief(told["derived"])
    assert derived[:2] == [
        f"create access-control-list {web}:egress-access-control-list",
        f"create access-control-list {web}:ingress-access-control-list",
    ]
    assert derived[2].startswith("create route-target target:64512:80000")
    assert derived[3:] == [
        f"create routing-instance {vn1}:vn1",
        "update virtual-machine-interface default-domain:p1:port1",
    ]
    (instance,) = [one for one in told["derived"] if one["type"] == "routing-instance"]
    assert instance["derived_from"]["fq_name"] == [*PROJECT, "vn1"]
    assert instance["before"] is None
    assert instance["after"]["routing_instance_is_default"] is True
    joined = told["derived"][-1]
    assert "routing_instance_refs" not in joined["before"]
    assert joined["after"]["routing_instance_refs"][0]["to"] == [*PROJECT, "vn1", "vn1"]
    assert told["faults"] == []


async def test_what_a_plan_said_is_what_happens(api: Api) -> None:
    await settled(api)
    told = await foretell(api, VN, PORT, GROUP)
    before = {record.uuid for record in (await held(api))[1]}
    assert (await api.post("/apply", {"apply": [VN, PORT, GROUP]})).status == 200
    await settled(api)
    made = {
        (record.type, record.fq_name)
        for record in (await held(api))[1]
        if record.uuid not in before
    }
    foretold = {
        (one["type"], tuple(one["fq_name"]))
        for one in [*told["intent"], *told["derived"]]
        if one["action"] == "create"
    }
    assert made == foretold
    assert brief((again := await foretell(api, VN, PORT, GROUP))["intent"]) == []
    assert again["derived"] == []
    assert {one["result"] for one in again["objects"]} == {"unchanged"}


async def test_what_is_not_compiled_yet_is_no_part_of_a_plan(api: Api) -> None:
    await api.network("old")
    told = await foretell(api, GROUP)
    assert {one["type"] for one in told["derived"]} == {"access-control-list"}


async def test_deleting_shows_what_goes_along(api: Api) -> None:
    await api.post("/apply", {"apply": [VN, PORT]})
    await settled(api)
    told = await foretell(api, delete=[PORT, VN])
    assert [line.split()[0] for line in brief(told["intent"])] == ["delete", "delete"]
    assert [line.split()[:2] for line in brief(told["derived"])] == [
        ["delete", "route-target"],
        ["delete", "routing-instance"],
    ]
    assert {one["after"] for one in told["derived"]} == {None}


async def test_a_changed_rule_shows_the_changed_list(api: Api) -> None:
    await api.post("/apply", {"apply": [GROUP]})
    await settled(api)
    changed: Json = {"security-group": {**GROUP["security-group"], "security_group_entries": None}}
    told = await foretell(api, changed)
    assert brief(told["intent"]) == ["update security-group default-domain:p1:web"]
    (change,) = told["derived"]
    assert change["action"] == "update"
    assert change["fq_name"][-1] == "egress-access-control-list"
    assert change["before"]["access_control_list_entries"]["acl_rule"]


async def test_without_compiling_only_the_intent_is_told(api: Api) -> None:
    before = await held(api)
    told = await foretell(api, VN, compile=False)
    assert brief(told["intent"]) == ["create virtual-network default-domain:p1:vn1"]
    assert told["derived"] == []
    assert await held(api) == before


async def test_what_apply_refuses_plan_refuses_alike(api: Api) -> None:
    wrong = {"virtual-machine-interface": {**PORT["virtual-machine-interface"]}}
    planned = await api.post("/plan", {"apply": [wrong]})
    applied = await api.post("/apply", {"apply": [wrong]})
    assert planned.status == applied.status == 400
    assert planned.text == applied.text


async def test_operations_of_a_transaction_are_planned_as_documents_are(api: Api) -> None:
    before = await held(api)
    operations = [
        {"operation": "create", "type": "virtual-network", "object": VN["virtual-network"]},
        {
            "operation": "update",
            "type": "virtual-network",
            "fq_name": [*PROJECT, "vn1"],
            "object": {"display_name": "Blue"},
        },
    ]
    told = (await api.post("/plan", {"operations": operations})).json
    assert await held(api) == before
    assert [one["type"] for one in told["results"]] == ["virtual-network"] * 2
    assert brief(told["intent"]) == ["create virtual-network default-domain:p1:vn1"]
    assert told["intent"][0]["after"]["display_name"] == "Blue"
    assert "create routing-instance default-domain:p1:vn1:vn1" in brief(told["derived"])
    operations[1]["fq_name"] = [*PROJECT, "nothing"]
    refused = await api.post("/plan", {"operations": operations})
    assert refused.status == 404
    assert "operation 1 (update virtual-network)" in refused.text
    both = await api.post("/plan", {"operations": [], "apply": []})
    assert both.status == 400
    assert "apply" in both.text


async def test_a_plan_shows_what_would_be_pruned(api: Api) -> None:
    await api.post("/apply", {"apply": [VN, GROUP], "owner": "shop"})
    told = await foretell(api, VN, owner="shop", prune=True)
    assert brief(told["intent"]) == ["delete security-group default-domain:p1:web"]
    assert [one["result"] for one in told["objects"]] == ["unchanged", "pruned"]
