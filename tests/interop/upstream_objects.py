"""Objects of every type of upstream's client library, with what their rules ask for.

``Objects`` makes, on one server, a fresh object of a type with the parent it needs. Types, parents
and references are those the library's generated classes declare: this side knows only what the
rules of some types ask for beyond a name.
"""

from __future__ import annotations

import inspect
from typing import Any

from vnc_api import vnc_api
from vnc_api.gen import resource_client
from vnc_api.gen import resource_xsd as xsd

CLASSES: dict[str, Any] = {
    one.resource_type: one
    for _, one in inspect.getmembers(resource_client, inspect.isclass)
    if one.__module__ == resource_client.__name__ and hasattr(one, "resource_type")
}
"""The library's class of each type, by its name with dashes."""

ROOTS: dict[str, list[str]] = {
    "domain": ["default-domain"],
    "project": ["default-domain", "default-project"],
    "global-system-config": ["default-global-system-config"],
    "routing-instance": ["default-domain", "default-project", "ip-fabric", "__default__"],
    "policy-management": ["default-policy-management"],
}
"""Parents that the server has from its start."""

SINGLE = frozenset({"config-root", "global-system-config"})
"""Types of which there is one object, which the server makes."""


class Objects:
    """Makes objects through ``api``; each is new, its parents are shared."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self._count = 0
        self._parents: dict[str, Any] = {}
        ipam = api.network_ipam_read(["default-domain", "default-project", "default-network-ipam"])
        self.network = vnc_api.VirtualNetwork("shared", parent_obj=self.read("project"))
        subnet = xsd.IpamSubnetType(subnet=xsd.SubnetType("10.0.0.0", 16))
        self.network.add_network_ipam(ipam, xsd.VnSubnetsType([subnet]))
        api.virtual_network_create(self.network)
        self._parents["virtual-network"] = self.network

    def call(self, type_: str, action: str, *args: Any, **kwargs: Any) -> Any:
        """``api.<type>_<action>(...)``; the list of a type is its plural's."""
        name = type_.replace("-", "_") + ("s" if action == "list" else "")
        return getattr(self.api, f"{name}_{action}")(*args, **kwargs)

    def read(self, type_: str, **how: Any) -> Any:
        """An object as the server has it; without a key, the one made at its start."""
        return self.call(type_, "read", **(how or {"fq_name": ROOTS[type_]}))

    def names(self, type_: str) -> str:
        """A name that is free."""
        self._count += 1
        if type_ == "route-target":
            return f"target:64512:{self._count}"
        return f"{type_}-{self._count}"

    def parent(self, type_: str) -> Any:
        """The parent for objects of a type, made when there is none yet."""
        kinds = CLASSES[type_].parent_types
        kind = "project" if type_ == "virtual-machine-interface" else kinds[0]
        if kind not in self._parents:
            if kind in ROOTS:
                self._parents[kind] = self.read(kind)
            else:
                self._parents[kind] = self.create(kind)
        return self._parents[kind]

    def build(self, type_: str) -> Any:
        """An object that is not on the server yet."""
        cls, name = CLASSES[type_], self.names(type_)
        match type_:
            case "tag":
                return cls(tag_type_name="label", tag_value=name)
            case "host-based-service":
                quota = xsd.QuotaType(host_based_service=1)
                project = vnc_api.Project(name, parent_obj=self.read("domain"), quota=quota)
                self.api.project_create(project)
                return cls(name, parent_obj=project)
            case "bridge-domain":
                return cls(name, parent_obj=self.create("virtual-network"))
        kinds = cls.parent_types
        if not kinds or kinds == ["config-root"]:
            made = cls(name)
        elif kinds[0] == "config-root":
            made = cls(name, parent_type="config-root", fq_name=[name])
        else:
            made = cls(name, parent_obj=self.parent(type_))
        self._fill(type_, made)
        return made

    def _fill(self, type_: str, made: Any) -> None:
        """Set what the rules of a type ask for."""
        match type_:
            case "virtual-machine-interface" | "instance-ip":
                made.set_virtual_network(self.network)
            case "alarm":
                compared = xsd.AlarmOperand2(json_value="true")
                rule = xsd.AlarmExpression("==", "NodeStatus.process_info", compared)
                made.set_alarm_rules(xsd.AlarmOrList([xsd.AlarmAndList([rule])]))
                made.set_alarm_severity(1)
            case "firewall-rule":
                made.set_service(xsd.FirewallServiceType(protocol="tcp"))
            case "forwarding-class":
                made.set_forwarding_class_id(self._count % 256)
            case "loadbalancer-healthmonitor":
                made.set_loadbalancer_healthmonitor_properties(
                    xsd.LoadbalancerHealthmonitorType(True, "PING", 5, 5, 3)
                )
            case "sub-cluster":
                made.set_sub_cluster_asn(64000 + self._count)
            case "virtual-DNS":
                made.set_virtual_DNS_data(
                    xsd.VirtualDnsType(
                        domain_name=f"{made.name}.example",
                        record_order="random",
                        default_ttl_seconds=300,
                    )
                )
            case "virtual-DNS-record":
                made.set_virtual_DNS_record_data(
                    xsd.VirtualDnsRecordType("www", "A", "IN", "192.0.2.1", 300)
                )

    def create(self, type_: str) -> Any:
        """An object of a type, on the server."""
        made = self.build(type_)
        self.call(type_, "create", made)
        return made
