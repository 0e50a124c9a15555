"""Servers without an agent: their interfaces, the ports of switches, and the groups of those."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.api.api_server import PROJECT, Answer, Api

SYSTEM = "default-global-system-config"
PORT = "virtual-machine-interface"
GROUP = "virtual-port-group"


@pytest.fixture
async def fabric(api: Api) -> Api:
    """A fabric of two switches with two ports each, and two networks."""
    await api.create("fabric", fq_name=[SYSTEM, "f"], parent_type="global-system-config")
    for switch in ("s1", "s2"):
        await api.create(
            "physical-router",
            fq_name=[SYSTEM, switch],
            parent_type="global-system-config",
            fabric_refs=[{"to": [SYSTEM, "f"]}],
        )
        for port in ("p1", "p2"):
            name = {"fq_name": [SYSTEM, switch, port], "parent_type": "physical-router"}
            await api.create("physical-interface", **name)
    await api.network("vn1", "10.0.1.0/24")
    await api.network("vn2", "10.0.2.0/24")
    return api


def bindings(*links: str, **more: str) -> dict[str, Any]:
    said = [dict(zip(("switch_info", "port_id"), link.split("/"), strict=True)) for link in links]
    values = {"vnic_type": "baremetal", **more}
    if links:
        values["profile"] = json.dumps({"local_link_information": said})
    return {"key_value_pair": [{"key": key, "value": value} for key, value in values.items()]}


async def attach(
    api: Api, name: str, *links: str, network: str = "vn1", vlan: int = 0, **more: str
) -> Answer:
    body: dict[str, Any] = {
        "fq_name": [*PROJECT, name],
        "parent_type": "project",
        "virtual_network_refs": [{"to": [*PROJECT, network]}],
        "virtual_machine_interface_bindings": bindings(*links, **more),
    }
    if vlan:
        body["virtual_machine_interface_properties"] = {"sub_interface_vlan_tag": vlan}
    return await api.post(f"/{PORT}s", {PORT: body})


async def attached(api: Api, name: str, *links: str, **more: Any) -> str:
    answer = await attach(api, name, *links, **more)
    assert answer.status == 200, answer.text
    return str(answer.json[PORT]["uuid"])


async def groups(api: Api) -> dict[str, tuple[list[str], list[str]]]:
    """The groups: the ports and the interfaces that they refer to."""
    found = {}
    for one in (await api.get(f"/{GROUP}s?detail=true"))[f"{GROUP}s"]:
        said = one[GROUP]
        found[said["name"]] = (
            ["/".join(ref["to"][1:]) for ref in said.get("physical_interface_refs", [])],
            [ref["to"][-1] for ref in said.get("virtual_machine_interface_refs", [])],
        )
    return found


async def test_a_group_comes_and_goes_with_its_interfaces(fabric: Api) -> None:
    one = await attached(fabric, "a", "s1/p1", vlan=10)
    assert await groups(fabric) == {"vpg-internal-0": (["s1/p1"], ["a"])}
    two = await attached(fabric, "b", "s1/p1", vlan=20, network="vn2")
    assert await groups(fabric) == {"vpg-internal-0": (["s1/p1"], ["a", "b"])}
    await attached(fabric, "c", "s2/p1", vlan=10)
    assert (await groups(fabric))["vpg-internal-1"] == (["s2/p1"], ["c"])
    assert (await fabric.post("/db-check", {})).json == {"results": []}
    assert (await fabric.delete(PORT, one)).status == 200
    assert (await fabric.delete(PORT, two)).status == 200
    assert list(await groups(fabric)) == ["vpg-internal-1"]
    await attached(fabric, "d", "s1/p2", vlan=10)
    assert "vpg-internal-0" in await groups(fabric)


async def test_several_links_are_one_aggregate_on_each_switch(fabric: Api) -> None:
    await attached(fabric, "a", "s1/p1", "s1/p2", "s2/p1", vlan=10)
    (shown,) = (await fabric.get(f"/{GROUP}s?detail=true"))[f"{GROUP}s"]
    refs = shown[GROUP]["physical_interface_refs"]
    assert [ref["attr"] for ref in refs] == [{"ae_num": 0}] * 3
    await attached(fabric, "b", "s2/p2", vlan=10)
    assert (await fabric.post("/db-check", {})).json == {"results": []}
    answer = await attach(fabric, "c", "s1/p1", "s2/p2", vlan=30)
    assert (answer.status, "several virtual port groups" in answer.text) == (400, True)


async def test_a_group_of_a_client_stays(fabric: Api) -> None:
    refs = [{"to": [SYSTEM, "s1", port], "attr": None} for port in ("p1", "p2")]
    name = {"fq_name": [SYSTEM, "f", "mine"], "parent_type": "fabric"}
    uuid = await fabric.create(GROUP, **name, physical_interface_refs=refs)
    port = await attached(fabric, "a", vpg="mine", vlan=10)
    assert await groups(fabric) == {"mine": (["s1/p1", "s1/p2"], ["a"])}
    assert (await fabric.delete(PORT, port)).status == 200
    assert await groups(fabric) == {"mine": (["s1/p1", "s1/p2"], [])}
    other = {"fq_name": [SYSTEM, "f", "other"], "parent_type": "fabric"}
    body = {GROUP: {**other, "physical_interface_refs": refs[:1]}}
    answer = await fabric.post(f"/{GROUP}s", body)
    assert (answer.status, "is already in virtual port group" in answer.text) == (400, True)
    await fabric.put(GROUP, uuid, physical_interface_refs=refs[:1])
    assert (await fabric.post("/db-check", {})).json == {"results": []}


async def test_vlans_of_a_group_and_of_its_switches(fabric: Api) -> None:
    await attached(fabric, "a", "s1/p1", vlan=10)
    refused = [
        (("b", "s1/p1"), {"vlan": 10, "network": "vn2"}, "VLAN 10 is used in virtual port group"),
        (("b", "s1/p2"), {"vlan": 10, "network": "vn2"}, "that of another virtual network"),
        (("b", "s1/p2"), {"vlan": 11}, "on the same switch, not 11"),
        (("b", "s1/p2"), {"tor_port_vlan_id": "5000"}, "must be a VLAN, 0 to 4094"),
    ]
    for (name, link), said, text in refused:
        answer = await attach(fabric, name, link, **said)  # type: ignore[arg-type]
        assert (answer.status, text in answer.text) == (400, True), answer.text
    await attached(fabric, "b", "s1/p1", network="vn2", tor_port_vlan_id="40")
    answer = await attach(fabric, "c", "s1/p1", network="vn2")
    assert (answer.status, "has an untagged interface already" in answer.text) == (400, True)
    # Another switch has VLANs of its own.
    await attached(fabric, "d", "s2/p1", vlan=10, network="vn2")


async def test_a_fabric_says_how_strict_it_is(fabric: Api) -> None:
    body = {"type": "fabric", "fq_name": [SYSTEM, "f"]}
    uuid = (await fabric.post("/fqname-to-id", body)).json["uuid"]
    await attached(fabric, "a", "s1/p1", vlan=10)
    await fabric.put("fabric", uuid, disable_vlan_vn_uniqueness_check=True)
    await attached(fabric, "b", "s1/p2", vlan=11)
    answer = await attach(fabric, "c", "s1/p2", vlan=10, network="vn2")
    assert answer.status == 400
    await fabric.put("fabric", uuid, fabric_enterprise_style=False)
    await attached(fabric, "c", "s1/p2", vlan=10, network="vn2")


async def test_an_interface_moves_with_its_profile(fabric: Api) -> None:
    uuid = await fabric.port_of()
    said = bindings("s1/p1")
    pairs = said["key_value_pair"]
    updates = [
        {"field": "virtual_machine_interface_bindings", "operation": "set", "value": pair}
        for pair in pairs
    ]
    body = {"uuid": uuid, "updates": updates}
    assert (await fabric.post("/prop-collection-update", body)).status == 200
    assert await groups(fabric) == {"vpg-internal-0": (["s1/p1"], ["port1"])}
    moved = bindings("s2/p2")
    await fabric.put(PORT, uuid, virtual_machine_interface_bindings=moved)
    assert await groups(fabric) == {"vpg-internal-0": (["s2/p2"], ["port1"])}


@pytest.mark.parametrize(
    ("profile", "status", "text"),
    [
        ("{", 400, "binding profile is not JSON"),
        ('{"local_link_information": 5}', 400, "must be a list"),
        ('{"local_link_information": [{}]}', 400, "needs switch_info and port_id"),
        (
            '{"local_link_information": [{"switch_info": "s1", "port_id": "p9"}]}',
            404,
            "Unable to find physical interface",
        ),
        (
            '{"local_link_information": [{"switch_info": "s1", "port_id": "p1", "fabric": "x"}]}',
            404,
            "Unable to find fabric",
        ),
    ],
)
async def test_what_a_profile_must_say(fabric: Api, profile: str, status: int, text: str) -> None:
    answer = await attach(fabric, "a", profile=profile)
    assert (answer.status, text in answer.text) == (status, True), answer.text
    answer = await attach(fabric, "a", vpg="none")
    assert (answer.status, "Unable to find virtual port group" in answer.text) == (404, True)
