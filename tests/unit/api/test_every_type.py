"""Every type through REST, with every property and reference set: what is declared is served.

The objects are made from the declarations. Where the rules of a type want more than its
declaration says, :data:`FITTING` has the values they want.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.unit.model.model_samples import complex_value, sample, wrong_values

from tungsten.api import openapi
from tungsten.api.references import is_system_made
from tungsten.model import (
    RESOURCE_TYPES,
    ROOT,
    Complex,
    Field,
    Resource,
    ResourceType,
    decode,
    fields_of,
    resource_type,
    to_fields,
)
from tungsten.model.addresses import IpamSubnetType, VnSubnetsType
from tungsten.model.alarms import AlarmExpression
from tungsten.model.bgp import BgpRouterParams
from tungsten.model.dns import VirtualDnsRecordType, VirtualDnsType
from tungsten.model.firewall import FirewallServiceType
from tungsten.model.interfaces import VirtualMachineInterfacePropertiesType
from tungsten.model.networks import VirtualNetworkType
from tungsten.model.security import PolicyRuleType
from tungsten.store import open_store
from tungsten.store.base import Transaction
from tungsten.store.records import from_record, to_record

CONFIG = "default-global-system-config"
PROJECT = ["default-domain", "default-project"]
EXISTING = {
    "global-system-config": [CONFIG],
    "global-vrouter-config": [CONFIG, "default-global-vrouter-config"],
    "global-qos-config": [CONFIG, "default-global-qos-config"],
    "domain": ["default-domain"],
    "project": PROJECT,
    "policy-management": ["default-policy-management"],
    "tag-type": ["label"],
}
"""Objects that are there from the start."""

SERVER_MADE = frozenset({"id_perms", "perms2"})
"""Properties that the server fills, whatever is sent."""

UNMADE = frozenset({"config-root", "global-system-config"})
"""Types of which clients make no object."""

Values = dict[str, Any]
Made = Callable[["Server", int], Any]
NOT_SENT = object()
"""In :data:`FITTING`: the property or reference is left out."""


def always(value: Any) -> Made:
    return lambda server, n: value


never = always(NOT_SENT)


def list_of(key: str, form: str) -> Made:
    """One text, made of a number, in a list."""
    return lambda server, n: {key: [form.format(n=n)]}


def numbered(form: str) -> Made:
    """A text that was not used before."""
    return lambda server, n: form.format(n=next(server.numbers))


def _address(server: Server, n: int) -> str:
    """An address of the network that is there, not used before."""
    number = next(server.numbers)
    return f"10.9.{number // 250}.{number % 250 + 3}"


def _rules(**fields: Any) -> Made:
    """Rules of a policy or a group, complete but for what they must be."""

    def made(server: Server, n: int) -> Values:
        rule = complex_value(PolicyRuleType, n) | {"protocol": "tcp", "ethertype": "IPv4"} | fields
        return {"policy_rule": [rule]}

    return made


def _subnet_of_network(server: Server, n: int) -> Values:
    return {"subnet_uuid": [server.subnet()]}


def _alarm_rules(server: Server, n: int) -> Values:
    expression = complex_value(AlarmExpression, n) | {"operand2": {"json_value": "7"}}
    return {"or_list": [{"and_list": [expression]}]}


def _record(server: Server, n: int) -> Values:
    said = {"record_type": "A", "record_data": "10.0.0.7"}
    return complex_value(VirtualDnsRecordType, n) | said


def _speaker(server: Server, n: int) -> Values:
    said = {"autonomous_system": 64512, "local_autonomous_system": 64512, "hold_time": 90}
    return complex_value(BgpRouterParams, n) | said | {"router_type": "control-node"}


def _service(server: Server, n: int) -> Values:
    return complex_value(FirewallServiceType, n) | {"protocol": "tcp", "protocol_id": 6}


def _group_end(server: Server, n: int) -> Values:
    return {"address_group": ":".join(server.existing("address-group"))}


def _dns(server: Server, n: int) -> Values:
    said = {"domain_name": "example.org", "default_ttl_seconds": n, "next_virtual_DNS": "10.0.0.1"}
    return complex_value(VirtualDnsType, n) | said


def _interface_properties(server: Server, n: int) -> Values:
    value = complex_value(VirtualMachineInterfacePropertiesType, n)
    del value["sub_interface_vlan_tag"]
    return value


def _gateway(server: Server, n: int) -> Any:
    declared = resource_type("virtual-network")
    network = server.create(declared, server.name(declared))
    attr = {"logical_router_virtual_network_type": "ExternalGateway"}
    return [{"to": network["fq_name"], "attr": attr}]


def _subnets(server: Server, n: int) -> Any:
    subnet = complex_value(IpamSubnetType, n) | {
        "subnet": {"ip_prefix": "10.8.0.0", "ip_prefix_len": 24},
        "default_gateway": "10.8.0.1",
        "dns_server_address": "10.8.0.2",
        "allocation_pools": [{"start": "10.8.0.10", "end": "10.8.0.90"}],
        "alloc_unit": 1,
    }
    del subnet["subnet_uuid"]
    attr = complex_value(VnSubnetsType, n) | {"ipam_subnets": [subnet]}
    return [{"to": [*PROJECT, "default-network-ipam"], "attr": attr}]


def _network_properties(server: Server, n: int) -> Values:
    said = {"vxlan_network_identifier": 70_000 + n, "forwarding_mode": "l2_l3"}
    return complex_value(VirtualNetworkType, n) | said


BINDINGS = {
    "key_value_pair": [{"key": "host_id", "value": "h1"}, {"key": "vnic_type", "value": "normal"}]
}
TARGETS = list_of("route_target", "target:64999:{n}")
FITTING: dict[tuple[str, str], Made] = {
    ("address-group", "draft_mode_state"): never,
    ("alarm", "alarm_rules"): _alarm_rules,
    ("alias-ip", "alias_ip_address"): _address,
    ("application-policy-set", "all_applications"): always(False),
    ("application-policy-set", "draft_mode_state"): never,
    ("bgp-as-a-service", "autonomous_system"): always(65001),
    ("bgp-router", "bgp_router_parameters"): _speaker,
    ("firewall-policy", "draft_mode_state"): never,
    ("firewall-rule", "address_group_refs"): never,
    ("firewall-rule", "draft_mode_state"): never,
    ("firewall-rule", "endpoint_1"): _group_end,
    ("firewall-rule", "endpoint_2"): always({"any": True}),
    ("firewall-rule", "match_tags"): always({"tag_list": ["application", "tier"]}),
    ("firewall-rule", "match_tag_types"): always({"tag_type": [1, 2]}),
    ("firewall-rule", "service"): _service,
    ("firewall-rule", "service_group_refs"): never,
    ("firewall-rule", "tag_refs"): never,
    ("floating-ip", "floating_ip_address"): _address,
    ("floating-ip-pool", "floating_ip_pool_subnets"): _subnet_of_network,
    ("instance-ip", "instance_ip_address"): _address,
    ("instance-ip", "instance_ip_subscriber_tag"): never,
    ("instance-ip", "network_ipam_refs"): never,
    ("instance-ip", "subnet_uuid"): lambda server, n: server.subnet(),
    ("instance-ip", "virtual_router_refs"): never,
    ("logical-router", "configured_route_target_list"): TARGETS,
    ("logical-router", "logical_router_type"): always("snat-routing"),
    ("logical-router", "virtual_network_refs"): _gateway,
    ("logical-router", "vxlan_network_identifier"): lambda server, n: str(5000 + n),
    ("network-ipam", "ipam_subnet_method"): always("user-defined-subnet"),
    ("network-ipam", "ipam_subnets"): never,
    ("network-ipam", "ipam_subnetting"): never,
    ("network-policy", "network_policy_entries"): _rules(src_addresses=[], dst_addresses=[]),
    ("route-aggregate", "aggregate_route_entries"): list_of("route", "10.{n}.0.0/16"),
    ("routing-instance", "routing_instance_is_default"): never,
    ("security-group", "security_group_id"): never,
    ("security-group", "security_group_entries"): _rules(
        src_addresses=[{"security_group": "local"}], dst_addresses=[]
    ),
    ("service-group", "draft_mode_state"): never,
    ("service-group", "service_group_firewall_service_list"): lambda server, n: {
        "firewall_service": [_service(server, n)]
    },
    ("sub-cluster", "sub_cluster_id"): lambda server, n: 1000 + next(server.numbers),
    ("tag", "display_name"): never,
    ("tag", "tag_id"): never,
    ("tag", "tag_type_name"): always("label"),
    ("tag", "tag_type_refs"): never,
    ("tag", "tag_value"): numbered("value {n}"),
    ("virtual-DNS", "virtual_DNS_data"): _dns,
    ("virtual-DNS-record", "virtual_DNS_record_data"): _record,
    ("virtual-machine-interface", "port_security_enabled"): always(True),
    ("virtual-machine-interface", "virtual_machine_interface_bindings"): always(BINDINGS),
    ("virtual-machine-interface", "virtual_machine_interface_mac_addresses"): list_of(
        "mac_address", "02:00:00:00:00:0{n}"
    ),
    ("virtual-machine-interface", "virtual_machine_interface_properties"): _interface_properties,
    ("virtual-network", "is_provider_network"): always(False),
    ("virtual-network", "is_shared"): always(True),
    ("virtual-network", "multi_policy_service_chains_enabled"): always(False),
    ("virtual-network", "network_ipam_refs"): _subnets,
    ("virtual-network", "perms2"): never,
    ("virtual-network", "router_external"): always(False),
    ("virtual-network", "virtual_network_refs"): always([{"to": [*PROJECT, "ip-fabric"]}]),
    ("virtual-network", "virtual_network_network_id"): never,
    ("virtual-network", "virtual_network_properties"): _network_properties,
    ("virtual-network", "route_target_list"): TARGETS,
    ("virtual-network", "import_route_target_list"): TARGETS,
    ("virtual-network", "export_route_target_list"): TARGETS,
    ("virtual-router", "network_ipam_refs"): never,
}
"""Values that the rules of a type want, made of a number."""

FROZEN = frozenset(
    {
        ("alias-ip", "alias_ip_address"),
        ("bgp-as-a-service", "bgpaas_shared"),
        ("floating-ip", "floating_ip_address"),
        ("sub-cluster", "sub_cluster_asn"),
        ("sub-cluster", "sub_cluster_id"),
        ("instance-ip", "instance_ip_address"),
        ("logical-router", "logical_router_type"),
        ("tag", "tag_value"),
        ("tag-type", "tag_type_id"),
    }
)
"""Properties that stay as they were made."""


@dataclass(frozen=True)
class Answer:
    """An answer of the server."""

    status_code: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class Server:
    """Requests to the server of this module, and objects for others to refer to.

    On one connection, by the standard library: there are many thousand of them.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = HTTPConnection(url.removeprefix("http://"), timeout=60)
        self.headers: dict[str, str] = {}
        self.numbers: Iterator[int] = iter(range(1, 100_000))
        self.made: dict[str, list[str]] = {}

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if data else {}
        self.connection.request(method, path, data, {**self.headers, **headers})
        answer = self.connection.getresponse()
        return Answer(answer.status, answer.read().decode())

    def json(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.ask(method, path, body)
        assert answer.status_code == 200, (method, path, body, answer.text)
        return answer.json() if answer.text else None

    def name(self, declared: ResourceType) -> Values:
        """Identity of a new object, below a parent that exists."""
        last = f"{declared.name}-{next(self.numbers)}"
        parents = [one for one in declared.parents if one != ROOT]
        if not parents:
            return {"fq_name": [last]}
        chosen = "project" if "project" in parents else parents[0]
        return {"fq_name": [*self.existing(chosen), last], "parent_type": chosen}

    def existing(self, type_: str) -> list[str]:
        """The name of an object of a type, made when there is none."""
        if type_ in EXISTING:
            return EXISTING[type_]
        if type_ not in self.made:
            declared = resource_type(type_)
            self.made[type_] = self.create(declared, self.minimal(declared))["fq_name"]
        return self.made[type_]

    def minimal(self, declared: ResourceType) -> Values:
        more = MINIMAL.get(declared.name)
        return {**self.name(declared), **(more(self) if more else {})}

    def subnet(self) -> str:
        """The uuid of the subnet of the network that is there."""
        name = ":".join(self.existing("virtual-network"))
        path = f"/virtual-networks?fq_names={name}&fields=network_ipam_refs"
        (network,) = self.json("GET", path)["virtual-networks"]
        (held,) = network["network_ipam_refs"]
        return str(held["attr"]["ipam_subnets"][0]["subnet_uuid"])

    def create(self, declared: ResourceType, fields: Values) -> Any:
        body = {declared.name: fields}
        return self.json("POST", f"/{declared.plural}", body)[declared.name]


def _of_network(server: Server) -> Values:
    return {"virtual_network_refs": [{"to": server.existing("virtual-network")}]}


def _with_subnet(server: Server) -> Values:
    subnet = {"subnet": {"ip_prefix": "10.9.0.0", "ip_prefix_len": 16}}
    ipam = [*PROJECT, "default-network-ipam"]
    return {"network_ipam_refs": [{"to": ipam, "attr": {"ipam_subnets": [subnet]}}]}


def _with_quota(server: Server) -> Values:
    body = {"type": "project", "fq_name": PROJECT}
    uuid = server.json("POST", "/fqname-to-id", body)["uuid"]
    quota = {"defaults": -1, "host_based_service": 1}
    server.json("PUT", f"/project/{uuid}", {"project": {"quota": quota}})
    return {}


MINIMAL: dict[str, Callable[[Server], Values]] = {
    "tag": lambda server: {"tag_type_name": "label", "tag_value": f"v{next(server.numbers)}"},
    "virtual-machine-interface": _of_network,
    "instance-ip": _of_network,
    "route-target": lambda server: {"fq_name": [f"target:64999:{next(server.numbers)}"]},
    "virtual-network": _with_subnet,
    "host-based-service": _with_quota,
    "firewall-rule": lambda server: {"service": {"protocol": "tcp"}},
    "sub-cluster": lambda server: {"sub_cluster_asn": 64512},
    "loadbalancer-healthmonitor": lambda server: {
        "loadbalancer_healthmonitor_properties": {"delay": 1}
    },
}
"""What an object of a type must have at least."""


@pytest.fixture(scope="module")
def server(url: str) -> Server:
    return Server(url)


def everything(server: Server, declared: ResourceType, n: int) -> Values:
    """All properties, and a reference of each kind, that clients may send."""
    fields: Values = {}
    for name, field in declared.properties.items():
        fitting = FITTING.get((declared.name, name))
        fields[name] = fitting(server, n) if fitting else sample(field, n)
    for name, reference in declared.references.items():
        if is_system_made(declared.name, reference):
            continue
        fitting = FITTING.get((declared.name, name))
        if fitting is not None:
            fields[name] = fitting(server, n)
            continue
        ref: Values = {"to": server.existing(reference.target)}
        if reference.attr is not None:
            ref["attr"] = complex_value(reference.attr, n)
        fields[name] = [ref]
    return {name: value for name, value in fields.items() if value is not NOT_SENT}


def conforms(schema: str, value: Any) -> None:
    """The document says so."""
    validator(schema).validate(value)


@cache
def validator(schema: str) -> Any:
    components = openapi.document()["components"]
    return jsonschema_rs.validator_for(
        {"$ref": f"#/components/schemas/{schema}", "components": components}
    )


def expected(declared: ResourceType, sent: Values) -> Values:
    """What is kept of what was sent: in normal form, without what the server makes."""
    kept = to_fields(decode(declared.name, sent))
    return {name: value for name, value in kept.items() if name in declared.properties}


def like(value: Any, shown: Any) -> Any:
    """A value with its passwords as they are shown, which must be encrypted."""
    if isinstance(value, list) and isinstance(shown, list):
        return [like(one, other) for one, other in zip(value, shown, strict=True)]
    if not isinstance(value, dict) or not isinstance(shown, dict):
        return value
    hidden = dict(value)
    for name, one in value.items():
        if one and (name.endswith("password") or name == "v2_community"):
            assert shown[name].startswith("enc:1:"), name
            hidden[name] = shown[name]
        else:
            hidden[name] = like(one, shown.get(name))
    return hidden


def check_shown(declared: ResourceType, shown: Values, sent: Values) -> None:
    """An object shows what was sent."""
    conforms(declared.name, shown)
    for name, value in expected(declared, sent).items():
        if name == "physical_router_encryption_type":
            assert shown[name] == "local"
        elif name not in SERVER_MADE:
            assert shown.get(name) == like(value, shown.get(name)), name
    for name in declared.references:
        if name in sent:
            assert [ref["to"] for ref in shown[name]] == [ref["to"] for ref in sent[name]]


@pytest.mark.parametrize("type_", sorted(RESOURCE_TYPES.keys() - UNMADE))
def test_an_object_with_everything_lives_through_rest(server: Server, type_: str) -> None:
    declared = resource_type(type_)
    sent = {**server.minimal(declared), **everything(server, declared, 0)}
    made = server.create(declared, sent)
    conforms("identity", made)
    path = f"/{type_}/{made['uuid']}"

    shown = server.json("GET", path)[type_]
    check_shown(declared, shown, sent)
    (one,) = server.json("GET", f"/{declared.plural}?obj_uuids={made['uuid']}&detail=true")[
        declared.plural
    ]
    conforms(type_, one[type_])
    assert one[type_].items() <= {**shown, **one[type_]}.items()

    server.json("PUT", path, {type_: shown})
    assert server.json("GET", path)[type_] == shown
    changed = {
        name: value
        for name, value in everything(server, declared, 1).items()
        if name in declared.properties and (type_, name) not in FROZEN
    }
    server.json("PUT", path, {type_: changed})
    check_shown(declared, server.json("GET", path)[type_], changed)

    server.json("PUT", path, {type_: {"annotations": None, "display_name": None}})
    assert not server.json("GET", path)[type_].keys() & {"annotations", "display_name"}
    server.json("DELETE", path)
    assert server.ask("GET", path).status_code == 404


# -- what is refused ------------------------------------------------------------------------


NO_FIELD = {"no_such_field": 1}
COMMON = frozenset({"id_perms", "perms2", "annotations", "display_name", "tag_refs"})
"""What every type has: tried with one of them."""


def wrong_bodies(declared: ResourceType, told: set[type[Complex]]) -> Iterator[tuple[Values, str]]:
    """Members that a type does not take, each with the field that is wrong.

    Fields of a complex type are tried where ``told`` does not have it yet.
    """

    def inside(field: Field, wrap: Callable[[Any], Values]) -> Iterator[tuple[Values, str]]:
        for value in wrong_values(field):
            inner = value in (NO_FIELD, [NO_FIELD])
            yield wrap(value), "no_such_field" if inner else field.name
        if field.struct is None or field.struct in told:
            return
        told.add(field.struct)
        for name, one in fields_of(field.struct).items():

            def deeper(value: Any, name: str = name) -> Values:
                held = {name: value}
                return wrap([held] if field.many else held)

            yield from inside(one, deeper)

    def property_of(name: str) -> Callable[[Any], Values]:
        return lambda value: {name: value}

    for name, field in declared.properties.items():
        if name not in COMMON or declared.name == "virtual-network":
            yield from inside(field, property_of(name))
    for name, reference in declared.references.items():
        left_out = FITTING.get((declared.name, name)) is never
        if is_system_made(declared.name, reference) or name in COMMON or left_out:
            continue
        wrong: list[Any] = ["no list", [7], [{"to": "no list"}], [{"to": [7]}], [{"uuid": 7}], [{}]]
        for value in wrong:
            yield {name: value}, name
        yield {name: [{"to": ["nothing", "of that name"]}]}, name
        if reference.attr is not None:
            for name_, one in fields_of(reference.attr).items():
                for value in wrong_values(one)[:1]:
                    yield {name: [{"to": ["x"], "attr": {name_: value}}]}, name_
        else:
            yield {name: [{"to": ["x"], "attr": {"a": 1}}]}, name
    yield NO_FIELD, "no_such_field"


def first_users() -> dict[str, list[tuple[Values, str]]]:
    """The wrong bodies of each type; those about a complex type are with its first user."""
    told: set[type[Complex]] = set()
    return {
        name: list(wrong_bodies(RESOURCE_TYPES[name], told))
        for name in sorted(RESOURCE_TYPES.keys() - {"config-root"})
    }


WRONG = first_users()


@pytest.mark.parametrize("type_", sorted(WRONG))
def test_a_wrong_value_of_any_field_is_refused_by_name_and_nothing_is_written(
    server: Server, type_: str
) -> None:
    declared = resource_type(type_)
    identity = server.minimal(declared)
    before = server.json("GET", "/healthz")["revision"]
    for fields, name in WRONG[type_]:
        answer = server.ask("POST", f"/{declared.plural}", {type_: {**identity, **fields}})
        assert 400 <= answer.status_code < 500, (fields, answer.text)
        assert name in answer.text, (fields, answer.text)
    for fields, status in (
        ({"fq_name": "no list"}, 400),
        ({"fq_name": []}, 400),
        ({"fq_name": [7]}, 400),
        ({"fq_name": ["a", "b", "c", "d", "e", "f"], "parent_type": declared.parents[0]}, 400)
        if declared.has_parents and declared.parents[0] != ROOT
        else ({"fq_name": ["a", "b"], "parent_type": None}, 400),
        ({"parent_type": "no-such-type"}, 400),
        ({"uuid": "no uuid"}, 400),
        ({"uuid": 7}, 400),
    ):
        answer = server.ask("POST", f"/{declared.plural}", {type_: {**identity, **fields}})
        assert answer.status_code == status, (fields, answer.text)
    assert server.json("GET", "/healthz")["revision"] == before


# -- whole systems --------------------------------------------------------------------------


def test_a_dump_with_every_type_goes_through_another_store(server: Server, tmp_path: Path) -> None:
    """All that a server answers, put into the store of another one, is answered there again."""
    for type_ in sorted(RESOURCE_TYPES.keys() - UNMADE):
        declared = resource_type(type_)
        if type_ not in server.made:
            fields = {**server.minimal(declared), **everything(server, declared, 0)}
            server.made.setdefault(type_, server.create(declared, fields)["fq_name"])
    dump = dumped(server)
    assert {name for name, held in dump.items() if held} == RESOURCE_TYPES.keys() - {"config-root"}

    async def restore() -> dict[str, dict[str, Resource]]:
        store = open_store(f"sqlite:{tmp_path / 'restored.db'}")
        try:
            records = [
                to_record(decode(type_, shown, strict=False))
                for type_, objects in dump.items()
                for shown in objects
            ]

            def add(tx: Transaction) -> None:
                for record in records:
                    tx.create(record)

            await store.transact(add)
            _, kept = await store.load()
            found: dict[str, dict[str, Resource]] = {}
            for record in kept:
                found.setdefault(record.type, {})[record.uuid] = from_record(record)
            return found
        finally:
            await store.close()

    restored = asyncio.run(restore())
    for type_, objects in dump.items():
        assert len(objects) == len(restored.get(type_, {})), type_
        for shown in objects:
            again = to_fields(restored[type_][shown["uuid"]])
            assert shown.items() >= _comparable(again, shown).items(), (type_, shown["fq_name"])


def dumped(server: Server) -> dict[str, list[Values]]:
    """All objects by type."""
    dump = {}
    for name, declared in RESOURCE_TYPES.items():
        listed = server.json("GET", f"/{declared.plural}?detail=true&exclude_hrefs=true")
        dump[name] = [one[name] for one in listed[declared.plural]]
    return dump


def _comparable(fields: Values, shown: Values) -> Values:
    """Members as they are answered: references with what their links say, or null."""
    compared = {}
    for name, value in fields.items():
        if name.endswith("_refs"):
            compared[name] = [{"attr": None, **ref} for ref in value]
        elif isinstance(shown.get(name), dict) and "key_value_pair" in shown[name]:
            continue  # a map is answered in the order of its keys
        else:
            compared[name] = value
    return compared
