"""Rules of types that have one or two each: records, marks, alarms, monitors, bridge domains."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from tungsten.api.errors import BadRequest, Forbidden, echo
from tungsten.api.resources.hooks import Hooks
from tungsten.api.resources.system import DOMAIN_NAME, MAX_TTL
from tungsten.api.transactions import Write
from tungsten.model.alarms import Alarm
from tungsten.model.dns import VirtualDnsRecord
from tungsten.model.loadbalancers import LoadbalancerHealthmonitor
from tungsten.model.networks import BridgeDomain
from tungsten.model.qos import ForwardingClass, QosConfig, QosIdForwardingClassPairs
from tungsten.store.records import from_record

NAMED_TARGETS = frozenset({"CNAME", "PTR", "NS", "MX"})
"""Kinds of DNS records that lead to a name."""

MOST_MARKS = {"dscp_entries": 63, "vlan_priority_entries": 7, "mpls_exp_entries": 7}
"""The largest mark by the property that it is in."""


def check_dns_record(write: Write, record: VirtualDnsRecord) -> None:
    """A record leads to what its type says: an address, or a name."""
    data = record.virtual_DNS_record_data
    if data is None or data.record_type is None:
        return
    target = data.record_data or ""
    kind = data.record_type
    if kind in ("A", "AAAA"):
        try:
            _ = IPv4Address(target) if kind == "A" else IPv6Address(target)
        except ValueError as error:
            raise Forbidden(
                f"Invalid IP address in record_data of a record of type {kind}: {echo(target)}"
            ) from error
    elif kind in NAMED_TARGETS and not DOMAIN_NAME.fullmatch(target):
        raise Forbidden(f"Invalid name in record_data of type {kind}: {echo(target)}")
    ttl = data.record_ttl_seconds
    if ttl is not None and not 0 <= ttl <= MAX_TTL:
        raise Forbidden(f"Invalid value for record_ttl_seconds: {ttl}, 0 to {MAX_TTL}")
    preference = data.record_mx_preference
    if kind == "MX" and preference is not None and not 0 <= preference <= 0xFFFF:
        raise Forbidden(f"Invalid value for record_mx_preference: {preference}, 0 to 65535")


def refuse_taken_class(write: Write, forwarding: ForwardingClass) -> None:
    """The number of a forwarding class is its own."""
    number = forwarding.forwarding_class_id or 0
    for record in write.tx.records("forwarding-class"):
        other = from_record(record)
        assert isinstance(other, ForwardingClass)
        if other.uuid != forwarding.uuid and (other.forwarding_class_id or 0) == number:
            raise BadRequest(
                f"Forwarding class {':'.join(other.fq_name)} is configured with "
                f"forwarding_class_id {number}"
            )


def check_marks(write: Write, config: QosConfig) -> None:
    """The marks of a QoS configuration are ones that packets can carry."""
    for name, most in MOST_MARKS.items():
        pairs: QosIdForwardingClassPairs | None = getattr(config, name)
        for pair in (pairs.qos_id_forwarding_class_pair if pairs else None) or []:
            if pair.key is not None and not 0 <= pair.key <= most:
                raise BadRequest(f"{name}: key {pair.key} is not between 0 and {most}")


def check_alarm(write: Write, alarm: Alarm) -> None:
    """An alarm has rules, and each compares with one thing: a value, or another field."""
    rules = (alarm.alarm_rules.or_list if alarm.alarm_rules else None) or []
    if not rules:
        raise BadRequest("alarm_rules not specified or null")
    for rule in rules:
        for expression in rule.and_list or []:
            operand = expression.operand2
            said = (operand.uve_attribute, operand.json_value) if operand else ()
            if sum(one is not None for one in said) != 1:
                raise BadRequest(
                    "operand2 should have either uve_attribute or json_value, one of the two"
                )


def refuse_second_domain(write: Write, domain: BridgeDomain) -> None:
    """A network has one bridge domain."""
    for record in write.tx.children(domain.parent_uuid or "", "bridge-domain"):
        if record.uuid != domain.uuid:
            raise BadRequest(
                "Virtual network can have only one bridge domain. Bridge domain "
                f"{':'.join(record.fq_name)} is already configured under this virtual network"
            )


def require_monitor(write: Write, monitor: LoadbalancerHealthmonitor) -> None:
    """A health monitor says what it does."""
    if monitor.loadbalancer_healthmonitor_properties is None:
        raise BadRequest("loadbalancer_healthmonitor_properties property is missing")


HOOKS: dict[str, Hooks[Any]] = {
    "virtual-DNS-record": Hooks[VirtualDnsRecord](
        create=(check_dns_record,), update=(lambda write, old, new: check_dns_record(write, new),)
    ),
    "forwarding-class": Hooks[ForwardingClass](
        create=(refuse_taken_class,),
        update=(lambda write, old, new: refuse_taken_class(write, new),),
    ),
    "qos-config": Hooks[QosConfig](
        create=(check_marks,), update=(lambda write, old, new: check_marks(write, new),)
    ),
    "alarm": Hooks[Alarm](
        create=(check_alarm,), update=(lambda write, old, new: check_alarm(write, new),)
    ),
    "bridge-domain": Hooks[BridgeDomain](create=(refuse_second_domain,)),
    "loadbalancer-healthmonitor": Hooks[LoadbalancerHealthmonitor](create=(require_monitor,)),
}
