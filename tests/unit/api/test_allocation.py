"""Addresses and numbers: never twice, never reserved, free again when their owner is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from tests.unit.api.api_server import PROJECT, Api, network_body

from tungsten.api.engine import Engine
from tungsten.api.errors import ApiFault, Conflict
from tungsten.model import InstanceIp, resource_type
from tungsten.store import open_store

CIDR = "10.0.1.0/28"
VN = [*PROJECT, "vn1"]


@contextmanager
def engine_in(directory: Path) -> Iterator[tuple[Engine, asyncio.Runner]]:
    """An engine on a fresh store, and a loop to run it in."""
    with asyncio.Runner() as runner:
        store = open_store(f"sqlite:{directory / 'config.db'}")
        engine = Engine(store)
        runner.run(engine.ensure_defaults())
        try:
            yield engine, runner
        finally:
            runner.run(store.close())


class Addresses(RuleBasedStateMachine):
    """Instance-ips of one small network, against a model: the set of addresses in use."""

    owners = Bundle("owners")

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.context = engine_in(Path(self.directory.name))
        self.engine, self.runner = self.context.__enter__()
        self.used: dict[str, str] = {}
        self.made = 0

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)
        self.directory.cleanup()

    def create(self, type_: str, fields: dict[str, Any]) -> Any:
        return self.runner.run(self.engine.create(resource_type(type_), fields))

    @initialize(from_start=st.booleans(), gateway=st.sampled_from([None, "10.0.1.5", "0.0.0.0"]))
    def network(self, from_start: bool, gateway: str | None) -> None:
        self.create("project", {"fq_name": PROJECT, "parent_type": "domain"})
        body = network_body("vn1", CIDR, addr_from_start=from_start, default_gateway=gateway)
        network = self.create("virtual-network", body)
        subnet = network.network_ipam_refs[0].attr.ipam_subnets[0]
        self.from_start = from_start
        self.reserved = {"10.0.1.0", "10.0.1.15"}
        self.reserved |= {subnet.default_gateway, subnet.dns_server_address} - {"0.0.0.0"}
        self.usable = {str(one) for one in ip_network(CIDR)} - self.reserved

    def ask(self, address: str | None) -> InstanceIp:
        self.made += 1
        fields: dict[str, Any] = {
            "fq_name": [f"ip{self.made}"],
            "virtual_network_refs": [{"to": VN}],
        }
        if address is not None:
            fields["instance_ip_address"] = address
        made = self.create("instance-ip", fields)
        assert isinstance(made, InstanceIp)
        return made

    @rule(target=owners)
    def any_address(self) -> str:
        free = self.usable - set(self.used.values())
        if not free:
            with pytest.raises(ApiFault, match="has exhausted subnet") as caught:
                self.ask(None)
            assert caught.value.status == 400
            return ""
        made = self.ask(None)
        choose = min if self.from_start else max
        assert made.instance_ip_address == choose(free, key=ip_address)
        self.used[made.uuid] = made.instance_ip_address
        return made.uuid

    @rule(target=owners, number=st.integers(0, 15))
    def certain_address(self, number: int) -> str:
        address = f"10.0.1.{number}"
        if address in self.used.values():
            with pytest.raises(Conflict, match="already in use"):
                self.ask(address)
            return ""
        if address in ("10.0.1.0", "10.0.1.15"):
            with pytest.raises(ApiFault, match="network or broadcast"):
                self.ask(address)
            return ""
        made = self.ask(address)
        if address in self.usable:
            self.used[made.uuid] = address
        return made.uuid

    @rule(owner=consumes(owners))
    def free(self, owner: str) -> None:
        if owner:
            self.runner.run(self.engine.delete(resource_type("instance-ip"), owner, ""))
            self.used.pop(owner, None)

    @rule()
    def fail_half_way(self) -> None:
        """A create that is refused after the address was chosen gives it back."""
        fields = {
            "fq_name": ["other"],
            "virtual_network_refs": [{"to": VN}],
            "tag_refs": [{"to": ["no=such"]}],
        }
        with pytest.raises(ApiFault):
            self.create("instance-ip", fields)

    @invariant()
    def claims_are_the_addresses_in_use(self) -> None:
        def claimed(snapshot: Any) -> dict[str, str]:
            return {
                owner: str(ip_address(int(key, 16)))
                for uuid in self.used
                for space, key in snapshot.owned_claims(uuid)
                for owner in [uuid]
                if space.startswith("address:")
            }

        if self.used:
            assert self.runner.run(self.engine.read(claimed)) == self.used
        assert len(set(self.used.values())) == len(self.used)
        assert not set(self.used.values()) & self.reserved


Addresses.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestAddresses = Addresses.TestCase


async def test_a_hundred_addresses_at_once_are_all_distinct(api: Api) -> None:
    await api.network()
    made = await asyncio.gather(*(api.address(f"ip{n}") for n in range(100)))
    addresses = {ip_address(address) for _, address in made}
    assert len(addresses) == 100
    assert max(addresses) == ip_address("10.0.1.252")
    assert min(addresses) == ip_address("10.0.1.153")


async def test_of_a_hundred_that_want_one_address_one_gets_it(api: Api) -> None:
    await api.network()
    answers = await asyncio.gather(
        *(api.try_address(f"ip{n}", instance_ip_address="10.0.1.7") for n in range(100))
    )
    assert sorted(answer.status for answer in answers) == [200] + [409] * 99


async def test_of_a_hundred_that_want_one_name_one_gets_it(api: Api) -> None:
    body = {"virtual-network": network_body("same", "10.0.1.0/24")}
    answers = await asyncio.gather(*(api.post("/virtual-networks", body) for _ in range(100)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 99
    assert await api.get("/virtual-networks?count=true") == {"virtual-networks": {"count": 5}}


async def network_id(api: Api, name: str) -> int:
    uuid = await api.create("virtual-network", fq_name=[*PROJECT, name], parent_type="project")
    return int((await api.show("virtual-network", uuid))["virtual_network_network_id"])


async def test_network_ids_are_the_lowest_free_ones(api: Api) -> None:
    assert [await network_id(api, name) for name in "abc"] == [5, 6, 7]
    name = {"type": "virtual-network", "fq_name": [*PROJECT, "b"]}
    uuid = (await api.post("/fqname-to-id", name)).json["uuid"]
    assert (await api.delete("virtual-network", uuid)).status == 200
    assert await network_id(api, "d") == 6
    assert await network_id(api, "e") == 8


async def test_vxlan_ids_come_from_the_network_ids(api: Api) -> None:
    uuid = await api.create(
        "virtual-network",
        fq_name=[*PROJECT, "a"],
        parent_type="project",
        virtual_network_properties={"vxlan_network_identifier": 7},
    )
    assert [await network_id(api, name) for name in "bc"] == [6, 8]
    answer = await api.put(
        "virtual-network", uuid, virtual_network_properties={"vxlan_network_identifier": 8}
    )
    expected = (400, "Cannot set VXLAN_ID: 8, it has already been set")
    assert (answer.status, answer.text) == expected
    answer = await api.put(
        "virtual-network", uuid, virtual_network_properties={"vxlan_network_identifier": 100}
    )
    assert answer.status == 200
    assert await network_id(api, "d") == 7


async def test_group_ids_follow_the_configured_one(api: Api) -> None:
    async def shown(uuid: str) -> int:
        return int((await api.show("security-group", uuid))["security_group_id"])

    one = await api.create("security-group", fq_name=[*PROJECT, "a"], parent_type="project")
    two = await api.create(
        "security-group",
        fq_name=[*PROJECT, "b"],
        parent_type="project",
        configured_security_group_id=77,
    )
    assert (await shown(one), await shown(two)) == (8000002, 77)
    assert (await api.put("security-group", one, configured_security_group_id=78)).status == 200
    assert (await api.put("security-group", two, configured_security_group_id=0)).status == 200
    assert (await shown(one), await shown(two)) == (78, 8000002)


async def test_floating_addresses_come_from_the_pools_network(api: Api) -> None:
    network = await api.network()
    subnets = (await api.show("virtual-network", network))["network_ipam_refs"][0]["attr"]
    subnet = subnets["ipam_subnets"][0]["subnet_uuid"]
    pool = [*VN, "pool"]
    await api.create(
        "floating-ip-pool",
        fq_name=pool,
        parent_type="virtual-network",
        floating_ip_pool_subnets={"subnet_uuid": [subnet]},
    )
    _, first = await api.address("a")
    uuid = await api.create("floating-ip", fq_name=[*pool, "f"], parent_type="floating-ip-pool")
    floating = await api.show("floating-ip", uuid)
    assert (first, floating["floating_ip_address"]) == ("10.0.1.252", "10.0.1.251")
    assert floating["project_refs"][0]["to"] == PROJECT
    body = {
        "fq_name": [*pool, "g"],
        "parent_type": "floating-ip-pool",
        "floating_ip_address": first,
    }
    answer = await api.post("/floating-ips", {"floating-ip": body})
    assert (answer.status, answer.text) == (409, "IP address already in use")
    answer = await api.put("virtual-network", network, network_ipam_refs=[])
    assert (answer.status, "is in use" in answer.text) == (409, True)
    assert (await api.delete("floating-ip", uuid)).status == 200
    assert (await api.address("b"))[1] == "10.0.1.251"


async def test_networks_of_a_flat_ipam_share_its_addresses(api: Api) -> None:
    ipam = [*PROJECT, "flat"]
    uuid = await api.create(
        "network-ipam",
        fq_name=ipam,
        parent_type="project",
        ipam_subnet_method="flat-subnet",
        ipam_subnets={"subnets": [{"subnet": {"ip_prefix": "10.7.0.0", "ip_prefix_len": 28}}]},
    )
    subnets = (await api.show("network-ipam", uuid))["ipam_subnets"]["subnets"]
    assert subnets[0]["default_gateway"] == "10.7.0.14"
    refs = [{"to": ipam, "attr": {}}]
    for name in ("x", "y"):
        body = {
            "fq_name": [*PROJECT, name],
            "parent_type": "project",
            "network_ipam_refs": refs,
        }
        refused = await api.post("/virtual-networks", {"virtual-network": body})
        assert refused.text == "flat-subnet is allowed only with l3 network"
        await api.create(
            "virtual-network", **body, virtual_network_properties={"forwarding_mode": "l3"}
        )
    assert (await api.address("a", "x"))[1] == "10.7.0.12"
    assert (await api.address("b", "y"))[1] == "10.7.0.11"
    answer = await api.put("network-ipam", uuid, ipam_subnets={"subnets": []})
    assert (answer.status, answer.text) == (409, "Cannot Delete IP Block, IP(10.7.0.11) is in use")


async def test_a_gateways_address_is_not_for_workloads(api: Api) -> None:
    await api.network()
    await api.create("virtual-machine", fq_name=["vm"])
    workload = await api.port_of(virtual_machine_refs=[{"to": ["vm"]}])
    router = await api.port_of(name="port2")
    asked = {"instance_ip_address": "10.0.1.254"}
    answer = await api.try_address(
        "a", virtual_machine_interface_refs=[{"uuid": workload}], **asked
    )
    assert (answer.status, answer.text) == (400, "Gateway IP cannot be used by VM port")
    refs = [{"uuid": router}]
    _, address = await api.address("b", virtual_machine_interface_refs=refs, **asked)
    assert address == "10.0.1.254"
    answer = await api.put(
        "virtual-machine-interface", router, virtual_machine_refs=[{"to": ["vm"]}]
    )
    assert (answer.status, answer.text) == (400, "Gateway IP cannot be used by VM port")
