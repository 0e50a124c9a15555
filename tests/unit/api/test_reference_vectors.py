"""Requests as clients of upstream send them and the answers that they get, one after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.api.api_server import IPAM, PROJECT, network_body, serving

VN = [*PROJECT, "vn1"]


async def test_a_first_session(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = await api.post(
            "/projects", {"project": {"fq_name": PROJECT, "parent_type": "domain"}}
        )
        assert (made.status, made.json["project"]["parent_type"]) == (200, "domain")
        shown = await api.show("project", made.json["project"]["uuid"])
        assert shown["application_policy_sets"][0]["to"][-1] == "default-application-policy-set"
        assert len(shown["application_policy_set_refs"]) == 1

        vn = await api.create("virtual-network", **network_body("vn1", "10.0.1.0/24"))
        shown = await api.show("virtual-network", vn)
        (subnet,) = shown["network_ipam_refs"][0]["attr"]["ipam_subnets"]
        assert (subnet["default_gateway"], subnet["dns_server_address"]) == (
            "10.0.1.254",
            "10.0.1.253",
        )
        assert subnet["subnet_uuid"]
        assert (shown["is_shared"], shown["virtual_network_network_id"]) == (False, 5)

        first, address = await api.address("a")
        assert address == "10.0.1.252"
        _, second = await api.address("b")
        assert second == "10.0.1.251"
        await api.delete("instance-ip", first)
        third, address = await api.address("c")
        assert address == "10.0.1.252"
        answer = await api.try_address("d", instance_ip_address="10.0.1.251")
        assert (answer.status, answer.text) == (409, "IP address already in use")

        answer = await api.delete("virtual-network", vn)
        assert answer.status == 409
        assert answer.text.startswith("Delete when resource still referred: ['http://")
        assert f"/instance-ip/{third}'" in answer.text
        body = {"virtual-network": network_body("vn1", "10.0.1.0/24")}
        answer = await api.post("/virtual-networks", body)
        assert (answer.status, answer.text) == (
            409,
            f"['default-domain', 'p1', 'vn1'] already exists with uuid: {vn}",
        )
        assert await api.get("/virtual-networks?count=True") == {"virtual-networks": {"count": 5}}
        listed = await api.get("/virtual-networks?filters=is_shared==false&fields=is_shared")
        assert vn in [one["uuid"] for one in listed["virtual-networks"]]


async def test_references_values_tags_and_texts(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.project()
        vn = await api.create("virtual-network", **network_body("vn1", "10.0.1.0/24"))
        fabric = {"type": "virtual_network", "fq_name": [*IPAM[:2], "ip-fabric"]}
        other = (await api.post("/fqname-to-id", fabric)).json["uuid"]
        update: dict[str, Any] = {"type": "virtual-network", "uuid": vn}
        update["ref-type"] = "virtual-network"
        update |= {"ref-uuid": other, "operation": "ADD", "attr": None}
        assert (await api.post("/ref-update", update)).json == {"uuid": vn}
        for one, its in ((vn, other), (other, vn)):
            refs = (await api.show("virtual-network", one))["virtual_network_refs"]
            assert [ref["uuid"] for ref in refs] == [its]

        answer = await api.put("virtual-network", vn, mtu=70000)
        assert (answer.status, answer.text) == (
            400,
            "Bad property in http_put: Error validating property mtu: value must be between 0 "
            "and 9216",
        )
        tag = await api.create("tag", fq_name=["x"], tag_type_name="Tier", tag_value="web")
        shown = await api.show("tag", tag)
        assert (shown["name"], shown["tag_id"]) == ("tier=web", "0x00020000")
        wanted: dict[str, Any] = {"obj_type": "virtual_network", "obj_uuid": vn}
        wanted["tier"] = {"is_global": True, "value": "web"}
        assert (await api.post("/set-tag", wanted)).json == {}
        (ref,) = (await api.show("virtual-network", vn))["tag_refs"]
        assert ref["uuid"] == tag

        port = await api.port_of(uuid="1a2b3c4d-5e6f-4000-8000-000000000001")
        shown = await api.show("virtual-machine-interface", port)
        macs = shown["virtual_machine_interface_mac_addresses"]["mac_address"]
        assert macs == ["02:1a:2b:3c:4d:5e"]
        answer = await api.post("/useragent-kv", {"operation": "RETRIEVE", "key": "k"})
        assert (answer.status, answer.text) == (404, "Unknown User-Agent key k")
