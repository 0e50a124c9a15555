"""The objects that exist from the start: the system itself, and what it needs to work.

They are made when the API starts, each when it is missing, all in one transaction. They are
ordinary objects: made through the same steps as those of clients, and people may change them.

The routing-instance ``__default__`` of the network ``ip-fabric`` is where BGP speakers are; the
default routing-instances of the networks are derived by the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tungsten.api import objects
from tungsten.api.bodies import Json
from tungsten.api.pairs import GLOBAL_SYSTEM_CONFIG
from tungsten.api.resources import projects
from tungsten.api.resources.making import make
from tungsten.api.resources.route_target_lists import DEFAULT_ASN
from tungsten.api.resources.tags import TAG_TYPES
from tungsten.api.transactions import Write
from tungsten.model import Ref, resource_type
from tungsten.model.firewall import ApplicationPolicySet
from tungsten.store.records import from_record

DOMAIN = ("default-domain",)
PROJECT = (*DOMAIN, "default-project")
FABRIC = (*PROJECT, "ip-fabric")
POLICIES = ("default-policy-management",)
REQUEST_TOO_LARGE = {
    "operation": "==",
    "operand1": "UveConfigReq.err_info.*.",
    "operand2": {"json_value": "True"},
}
READ_LINK_FOR_ALL = {"owner": "cloud-admin", "owner_access": 7, "global_access": 5, "share": []}


@dataclass(frozen=True, slots=True)
class Default:
    """An object to make: its type, name, parent and what is said of it."""

    type: str
    fq_name: tuple[str, ...]
    parent_type: str | None = None
    fields: Json = field(default_factory=dict)


DEFAULTS: tuple[Default, ...] = (
    Default(
        "global-system-config",
        (GLOBAL_SYSTEM_CONFIG,),
        fields={
            "autonomous_system": DEFAULT_ASN,
            "config_version": "1.0",
            "enable_4byte_as": False,
            "ibgp_auto_mesh": True,
            "enable_security_policy_draft": False,
            "mac_aging_time": 300,
            "igmp_enable": False,
        },
    ),
    Default(
        "global-vrouter-config",
        (GLOBAL_SYSTEM_CONFIG, "default-global-vrouter-config"),
        "global-system-config",
    ),
    Default("domain", DOMAIN),
    Default("namespace", (*DOMAIN, "default-namespace"), "domain"),
    Default("project", PROJECT, "domain", {"quota": {"defaults": -1}}),
    Default("virtual-network", (*PROJECT, "default-virtual-network"), "project"),
    Default(
        "network-ipam",
        (*PROJECT, "default-network-ipam"),
        "project",
        {"perms2": READ_LINK_FOR_ALL},
    ),
    Default("fabric", (GLOBAL_SYSTEM_CONFIG, "default-fabric"), "global-system-config"),
    Default("policy-management", POLICIES),
    Default("virtual-network", FABRIC, "project", {"is_provider_network": True}),
    Default("virtual-network", (*PROJECT, "__link_local__"), "project"),
    Default("virtual-network", (*PROJECT, "dci-network"), "project"),
    Default("routing-instance", (*FABRIC, "__default__"), "virtual-network"),
    Default(
        "security-group",
        (*PROJECT, "__no_rule__"),
        "project",
        {"security_group_entries": {"policy_rule": []}, "perms2": READ_LINK_FOR_ALL},
    ),
    Default(
        "network-ipam",
        (*PROJECT, "service-chain-flat-ipam"),
        "project",
        {
            "ipam_subnet_method": "flat-subnet",
            "ipam_subnets": {
                "subnets": [
                    {"subnet": {"ip_prefix": "0.0.0.0", "ip_prefix_len": 8}},  # noqa: S104
                    {"subnet": {"ip_prefix": "::ffff", "ip_prefix_len": 104}},
                ]
            },
        },
    ),
    Default("discovery-service-assignment", ("default-discovery-service-assignment",)),
    Default(
        "global-qos-config",
        (GLOBAL_SYSTEM_CONFIG, "default-global-qos-config"),
        "global-system-config",
    ),
    Default(
        "alarm",
        (GLOBAL_SYSTEM_CONFIG, "system-defined-bottle-request-size-limit"),
        "global-system-config",
        {
            "alarm_severity": 1,
            "uve_keys": {"uve_key": ["config-node"]},
            "alarm_rules": {"or_list": [{"and_list": [REQUEST_TOO_LARGE]}]},
        },
    ),
    *(
        Default("tag-type", (name,), fields={"id_perms": {"user_visible": False}})
        for name in TAG_TYPES
    ),
)


def ensure(write: Write) -> list[str]:
    """Make the default objects that are missing; returns their names."""
    made = []
    for default in DEFAULTS:
        if write.tx.find(default.type, default.fq_name) is not None:
            continue
        body = {**default.fields, "fq_name": list(default.fq_name)}
        if default.parent_type is not None:
            body["parent_type"] = default.parent_type
        objects.create(write, resource_type(default.type), body)
        made.append(f"{default.type} {':'.join(default.fq_name)}")
    made += _global_policy_set(write)
    projects.complete_projects(write)
    _share_default_ipam(write)
    return made


def _global_policy_set(write: Write) -> list[str]:
    """The policy set for all workloads of all projects; below the default policy management."""
    name = (*POLICIES, projects.DEFAULT_SET)
    if write.tx.find("application-policy-set", name) is not None:
        return []
    policies = write.tx.find("policy-management", POLICIES)
    config = write.tx.find(
        "global-vrouter-config", (GLOBAL_SYSTEM_CONFIG, "default-global-vrouter-config")
    )
    assert policies is not None
    assert config is not None
    policy_set = ApplicationPolicySet(
        fq_name=list(name),
        all_applications=True,
        global_vrouter_config_refs=[Ref(list(config.fq_name), config.uuid)],
    )
    make(write, policy_set, from_record(policies))
    return [f"application-policy-set {':'.join(name)}"]


def _share_default_ipam(write: Write) -> None:
    """Every project may use the default IPAM, whatever was made of its permissions."""
    record = write.tx.find("network-ipam", (*PROJECT, "default-network-ipam"))
    assert record is not None
    ipam = from_record(record)
    if ipam.perms2 is not None and ipam.perms2.global_access != 5:
        ipam.perms2.global_access = 5
        write.touch(ipam)
        write.save(ipam, record)
