"""Bad input: a 4xx that names the object, the field and the reason, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.unit.api.api_server import IPAM, PROJECT, Answer, Api, network_body, serving

UNKNOWN = "11111111-1111-4111-8111-111111111111"
VN = [*PROJECT, "vn1"]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A server with a project, a network, and a port with an address.

    All tests here share it: what is refused leaves it as it was.
    """
    async with serving(tmp_path_factory.mktemp("api"), max_body=100_000) as api:
        await api.project()
        await api.network()
        await api.port_of()
        await api.address("a")
        yield api


async def unchanged(api: Api, before: Any) -> bool:
    """Whether the store holds the records and claims that it held."""
    return bool(await state(api) == before)


async def state(api: Api) -> Any:
    """All records and claims."""
    records = (await api.store.load())[1]
    claims = await api.store.read(
        lambda snapshot: [(r.uuid, snapshot.owned_claims(r.uuid)) for r in records]
    )
    return sorted(map(repr, records)), sorted(claims)


async def refused(api: Api, answer: Answer, status: int, *parts: str) -> None:
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=UTF-8"
    for part in parts:
        assert part in answer.text


NEW_VN = {"fq_name": [*PROJECT, "new"], "parent_type": "project"}
NEW_PORT = {**NEW_VN, "virtual_network_refs": [{"to": VN}]}
NEW_IP = {"fq_name": ["new"], "virtual_network_refs": [{"to": VN}]}


def with_subnet(**fields: Any) -> dict[str, Any]:
    return network_body("new", "10.0.2.0/24", **fields)


CREATE: list[tuple[str, Any, int, list[str]]] = [
    ("nonsense", {"fq_name": ["x"]}, 404, ["Resource type 'nonsense' not found"]),
    ("virtual-network", {}, 400, ["no fq_name in POST body"]),
    ("virtual-network", {"fq_name": []}, 400, ["no fq_name in POST body"]),
    ("virtual-network", {"fq_name": "abc"}, 400, ["fq_name", "abc"]),
    ("virtual-network", {"fq_name": ["a", 5]}, 400, ["fq_name", "5"]),
    ("virtual-network", {"fq_name": ["a", ""]}, 400, ["fq_name"]),
    ("virtual-machine", {"fq_name": ["a\x07b"]}, 400, ["name has illegal xml characters"]),
    ("virtual-machine", {"fq_name": ["a\u202eb"]}, 400, ["name has illegal xml characters"]),
    ("virtual-machine", {"fq_name": ["a\ud800b"]}, 400, ["not valid JSON"]),
    ("virtual-machine", {"fq_name": ["a" * 300]}, 400, ["longer than 255 bytes"]),
    ("virtual-machine", {"fq_name": ["a:b"]}, 400, ["name has one of invalid chars {':'}"]),
    ("virtual-machine", {"fq_name": ["a"], "uuid": "A-B"}, 400, ["Invalid UUID format: A-B"]),
    ("virtual-machine", {"fq_name": ["a"], "uuid": 7}, 400, ["uuid", "7"]),
    (
        "virtual-machine",
        {"fq_name": ["a", "b"]},
        400,
        ["Invalid fq-name of an object with no parent"],
    ),
    ("domain", {"fq_name": ["a"], "parent_type": "project"}, 400, ["Invalid parent type: project"]),
    ("virtual-network", {"fq_name": ["a"]}, 400, ["Invalid fq-name for object with parent_type"]),
    (
        "virtual-network",
        {"fq_name": ["default-domain", "nope", "v"], "parent_type": "project"},
        400,
        ["Parent ['default-domain', 'nope'] type project does not exist"],
    ),
    (
        "virtual-machine-interface",
        {"fq_name": [*PROJECT, "x"], "virtual_network_refs": [{"to": VN}]},
        400,
        ["Missing parent type: None. Allowed types: ["],
    ),
    ("virtual-network", {**NEW_VN, "bogus": 1}, 400, ["bogus", "virtual-network"]),
    (
        "virtual-network",
        {**NEW_VN, "mtu": "abc"},
        400,
        ["mtu: integer value expected instead of abc"],
    ),
    ("virtual-network", {**NEW_VN, "mtu": 1.5}, 400, ["mtu"]),
    ("virtual-network", {**NEW_VN, "mtu": True}, 400, ["mtu"]),
    ("virtual-network", {**NEW_VN, "is_shared": "yes"}, 400, ["is_shared: true/false expected"]),
    (
        "virtual-network",
        {**NEW_VN, "display_name": 5},
        400,
        ["display_name: string value expected"],
    ),
    (
        "virtual-network",
        {**NEW_VN, "virtual_network_properties": {"bogus": 1}},
        400,
        ["virtual_network_properties", "does not have field bogus"],
    ),
    (
        "virtual-network",
        {**NEW_VN, "virtual_network_properties": {"forwarding_mode": "l9"}},
        400,
        ["forwarding_mode", "value must be one of ['l2_l3', 'l2', 'l3']"],
    ),
    (
        "virtual-network",
        {**NEW_VN, "virtual_network_properties": 5},
        400,
        ["virtual_network_properties"],
    ),
    (
        "virtual-network",
        {**NEW_VN, "virtual_network_network_id": 9},
        403,
        ["Cannot set the virtual network ID"],
    ),
    ("virtual-network", {**NEW_VN, "network_ipam_refs": {"to": IPAM}}, 400, ["network_ipam_refs"]),
    (
        "virtual-network",
        {**NEW_VN, "network_ipam_refs": [{}]},
        400,
        ["network_ipam_refs", "network-ipam"],
    ),
    (
        "virtual-network",
        {**NEW_VN, "network_ipam_refs": [{"to": ["a", "b", "c"], "attr": None}]},
        400,
        ["Unknown reference in resource create", "network_ipam_refs", "['a', 'b', 'c']"],
    ),
    (
        "virtual-network",
        {**NEW_VN, "network_ipam_refs": [{"uuid": UNKNOWN, "attr": None}]},
        400,
        ["Unknown reference in resource create", UNKNOWN],
    ),
    (
        "virtual-network",
        {**NEW_VN, "qos_config_refs": [{"to": ["a", "b", "c"]}]},
        400,
        ["Unknown reference in resource create", "qos-config"],
    ),
    (
        "virtual-network",
        with_subnet(default_gateway="10.9.9.9"),
        409,
        ["gateway Ip 10.9.9.9 out of cidr"],
    ),
    (
        "virtual-network",
        with_subnet(allocation_pools=[{"start": "10.0.3.1", "end": "10.0.3.2"}]),
        409,
        ["allocation pool start:10.0.3.1, end:10.0.3.2 out of cidr"],
    ),
    ("virtual-network", network_body("new", "10.0.2.0/31"), 409, ["Pool range<=block_alloc_unit"]),
    (
        "virtual-network",
        network_body("new", "10.0.2.0/99"),
        400,
        ["Subnet type '10.0.2.0/99' is invalid"],
    ),
    (
        "virtual-network",
        network_body("new", "nonsense/8"),
        400,
        ["Subnet type 'nonsense/8' is invalid"],
    ),
    (
        "virtual-network",
        {**NEW_VN, "route_target_list": {"route_target": ["target:64512:8000001"]}},
        400,
        ["must be less than 8000000", "target:64512:8000001"],
    ),
    (
        "virtual-network",
        {**NEW_VN, "import_route_target_list": {"route_target": ["1:2"]}},
        400,
        ["Route target must be of the format", "1:2"],
    ),
    ("route-target", {"fq_name": ["target:64512"]}, 400, ["Route target must be of the format"]),
    ("route-target", {"fq_name": ["target:70000L:70000"]}, 400, ["4 byte ASN"]),
    ("virtual-machine-interface", NEW_VN, 400, ["virtual_network_refs", "'new'"]),
    (
        "virtual-machine-interface",
        {**NEW_PORT, "virtual_machine_interface_mac_addresses": {"mac_address": ["zz"]}},
        400,
        ["zz", "MAC"],
    ),
    (
        "virtual-machine-interface",
        {**NEW_PORT, "virtual_machine_interface_properties": {"sub_interface_vlan_tag": 5000}},
        400,
        ["Invalid sub-interface VLAN tag ID: 5000"],
    ),
    (
        "virtual-machine-interface",
        {
            **NEW_PORT,
            "port_security_enabled": False,
            "virtual_machine_interface_allowed_address_pairs": {
                "allowed_address_pair": [{"ip": {"ip_prefix": "10.0.1.9", "ip_prefix_len": 32}}]
            },
        },
        400,
        ["Allowed address pairs are not allowed when port security is disabled"],
    ),
    ("instance-ip", {"fq_name": ["new"]}, 400, ["virtual_network_refs", "'new'"]),
    (
        "instance-ip",
        {**NEW_IP, "instance_ip_address": "10.9.9.9"},
        400,
        ["10.9.9.9", "vn1", "10.0.1.0/24"],
    ),
    ("instance-ip", {**NEW_IP, "instance_ip_address": "ten"}, 400, ["instance_ip_address", "ten"]),
    (
        "instance-ip",
        {**NEW_IP, "instance_ip_address": "10.0.1.255"},
        400,
        ["10.0.1.255", "broadcast"],
    ),
    (
        "instance-ip",
        {**NEW_IP, "instance_ip_address": "10.0.1.252"},
        409,
        ["IP address already in use"],
    ),
    ("instance-ip", {**NEW_IP, "instance_ip_family": "v6"}, 400, ["vn1", "has no defined subnets"]),
    ("instance-ip", {**NEW_IP, "subnet_uuid": UNKNOWN}, 400, [f"has invalid subnet({UNKNOWN})"]),
    (
        "security-group",
        {**NEW_VN, "security_group_id": 8000005},
        403,
        ["Cannot set the security group ID"],
    ),
    ("tag", {"fq_name": ["x"]}, 400, ["Tag must be created with a type and a value"]),
    (
        "tag",
        {"fq_name": ["x"], "tag_type_name": "a=b", "tag_value": "v"},
        400,
        ["a=b"],
    ),
    ("global-system-config", {"fq_name": ["two"]}, 400, ["Global System Config already exists"]),
    ("virtual-DNS", {"fq_name": ["default-domain", "a b"]}, 403, ["a b"]),
]


@pytest.mark.parametrize(("type_", "fields", "status", "parts"), CREATE)
async def test_a_bad_create_says_why_and_writes_nothing(
    api: Api, type_: str, fields: Any, status: int, parts: list[str]
) -> None:
    before = await state(api)
    await refused(api, await api.post(f"/{type_}s", {type_: fields}), status, *parts)
    assert await unchanged(api, before)


REF_UPDATE: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "type/uuid/ref-type/operation is null"),
    ({"operation": "MOVE"}, 400, "operation should be add or delete: MOVE"),
    ({"ref-uuid": None}, 400, "ref-uuid or ref-fq-name must be specified"),
    ({"type": "nonsense"}, 404, "Resource type 'nonsense' not found"),
    ({"ref-type": "nonsense"}, 404, "Resource type 'nonsense' not found"),
    ({"ref-type": "virtual-DNS"}, 400, "virtual-network has no reference to virtual-DNS"),
    ({"ref-uuid": UNKNOWN}, 404, UNKNOWN),
    ({"attr": {"bogus": 1}}, 400, "bogus"),
]


@pytest.mark.parametrize(("change", "status", "part"), REF_UPDATE)
async def test_a_bad_ref_update_says_why_and_writes_nothing(
    api: Api, change: dict[str, Any], status: int, part: str
) -> None:
    ipam = (await api.post("/fqname-to-id", {"type": "network-ipam", "fq_name": IPAM})).json
    vn = (await api.post("/fqname-to-id", {"type": "virtual-network", "fq_name": VN})).json
    body = {
        "type": "virtual-network",
        "uuid": vn["uuid"],
        "ref-type": "network-ipam",
        "ref-uuid": ipam["uuid"],
        "operation": "ADD",
        **change,
    }
    before = await state(api)
    await refused(api, await api.post("/ref-update", body if change else {}), status, part)
    assert await unchanged(api, before)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"nonsense", "not valid JSON"),
        (b'{"virtual-network": NaN}', "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"5", "must be a JSON object"),
        (b"{}", "virtual-network"),
        (b'{"virtual-network": []}', "virtual-network"),
        (b'{"project": {}}', "virtual-network"),
        (b"[" * 50_000, "nests deeper"),
        (b'{"a":' * 15_000, "nests deeper"),
        (b'{"virtual-network": {"fq_name": ["\\ud800"]}}', "not valid JSON"),
    ],
)
async def test_a_malformed_body_is_a_bad_request(api: Api, data: bytes, part: str) -> None:
    answer = await api.ask("POST", "/virtual-networks", data=data)
    await refused(api, answer, 400, part)


async def test_the_type_of_the_body_does_not_matter(api: Api) -> None:
    data = json.dumps({"virtual-machine": {"fq_name": ["vm"]}}).encode()
    answer = await api.ask(
        "POST", "/virtual-machines", data=data, headers={"content-type": "text/plain"}
    )
    assert answer.status == 200


async def test_a_body_over_the_limit_is_refused(api: Api) -> None:
    data = b" " * 200_000
    answer = await api.ask("POST", "/virtual-networks", data=data)
    await refused(api, answer, 413, "100000 bytes")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 10_000

    async with api.session.post(f"{api.url}/virtual-networks", data=chunks()) as response:
        assert response.status == 413


async def test_unknown_ids_are_not_found(api: Api) -> None:
    for uuid in (UNKNOWN, "nonsense", "%00", "..%2f.."):
        for method in ("GET", "PUT"):
            answer = await api.ask(
                method, f"/virtual-network/{uuid}", {"virtual-network": {"mtu": 1400}}
            )
            assert answer.status == 404, answer.text
    answer = await api.ask("GET", f"/virtual-network/{UNKNOWN}")
    assert answer.text == f"Unknown id: {UNKNOWN}"
    answer = await api.delete("virtual-network", UNKNOWN)
    assert (answer.status, answer.text) == (404, f"ID {UNKNOWN} does not exist")
    port = (await api.get("/virtual-machine-interfaces"))["virtual-machine-interfaces"][0]["uuid"]
    answer = await api.ask("GET", f"/virtual-network/{port}")
    assert answer.text == f"No virtual-network object found for id {port}"


async def test_an_address_and_a_network_id_stay_as_given(api: Api) -> None:
    (ip,) = (await api.get("/instance-ips"))["instance-ips"]
    answer = await api.put("instance-ip", ip["uuid"], instance_ip_address="10.0.1.9")
    await refused(api, answer, 400, "Instance IP Address can not be changed")
    answer = await api.put("instance-ip", ip["uuid"], instance_ip_address="10.0.1.252")
    assert answer.status == 200
    vn = (await api.post("/fqname-to-id", {"type": "virtual-network", "fq_name": VN})).json["uuid"]
    answer = await api.put("virtual-network", vn, virtual_network_network_id=77)
    await refused(api, answer, 403, "Cannot update the virtual network ID")


async def test_a_subnet_in_use_stays(api: Api) -> None:
    vn = (await api.post("/fqname-to-id", {"type": "virtual-network", "fq_name": VN})).json["uuid"]
    before = await state(api)
    answer = await api.put("virtual-network", vn, network_ipam_refs=[])
    await refused(api, answer, 409, "Cannot Delete IP Block, IP(10.0.1.252) is in use")
    changed = network_body("vn1", "10.0.1.0/24", default_gateway="10.0.1.1")["network_ipam_refs"]
    answer = await api.put("virtual-network", vn, network_ipam_refs=changed)
    await refused(api, answer, 400, "default gateway change is not allowed")
    assert await unchanged(api, before)


async def test_an_exhausted_subnet_says_so_until_something_is_freed(api: Api) -> None:
    await api.network("small", "10.0.9.0/29")
    taken = [await api.address(f"s{n}", "small") for n in range(4)]
    assert [address for _, address in taken] == ["10.0.9.4", "10.0.9.3", "10.0.9.2", "10.0.9.1"]
    answer = await api.try_address("s5", "small")
    expected = (
        "Virtual-Network(['default-domain', 'p1', 'small']) has exhausted subnet(['10.0.9.0/29'])"
    )
    await refused(api, answer, 400, expected)
    await api.delete("instance-ip", taken[2][0])
    assert (await api.address("s6", "small"))[1] == "10.0.9.2"


async def test_unknown_fields_can_be_dropped_by_setting(tmp_path: Path) -> None:
    directory = tmp_path / "other"
    directory.mkdir()
    async with serving(directory, unknown_fields="drop") as api:
        uuid = await api.create("virtual-machine", fq_name=["vm"], bogus=1, name="x", href="y")
        assert "bogus" not in await api.show("virtual-machine", uuid)


async def test_fields_that_known_clients_send_are_left_aside(api: Api) -> None:
    body = {
        **NEW_VN,
        "fq_name": [*PROJECT, "legacy"],
        "ip_fabric_forwarding": False,
        "name": "x",
        "port_back_refs": [],
    }
    assert (await api.post("/virtual-networks", {"virtual-network": body})).status == 200


async def test_pages_of_other_sites_are_kept_out(api: Api) -> None:
    answer = await api.ask("GET", "/", headers={"host": "evil.example"})
    await refused(api, answer, 421, "evil.example", "api.allowed_hosts")
    for host in ("evil@127.0.0.1", "127.0.0.1/evil", "127.0.0.1:port", '127.0.0.1"'):
        answer = await api.ask("GET", "/", headers={"host": host})
        assert answer.status == 421, host
    answer = await api.ask("DELETE", "/x", headers={"sec-fetch-site": "cross-site"})
    assert answer.status == 403
    for host in ("localhost:8082", "10.1.2.3", "[::1]:8082"):
        answer = await api.ask("GET", "/", headers={"host": host})
        assert answer.json["href"] == f"http://{host}"
