"""Rules of global-system-config and virtual-DNS."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import Any

from tungsten.api import authority
from tungsten.api.errors import ApiFault, BadRequest, Forbidden, echo, name_list
from tungsten.api.resources import route_targets
from tungsten.api.resources.drafting import begin_drafts, switch_drafts
from tungsten.api.resources.hooks import Hooks
from tungsten.api.transactions import Write
from tungsten.model import GlobalSystemConfig, VirtualDns, VirtualNetwork
from tungsten.store.records import from_record

DOMAIN_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")
DNS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
MAX_TTL = 2**31 - 1


# -- global-system-config -------------------------------------------------------------------


def refuse_second_config(write: Write, config: GlobalSystemConfig) -> None:
    """There is one system."""
    for record in write.tx.records("global-system-config"):
        raise BadRequest(
            f"Global System Config already exists with name {record.fq_name[-1]} ({record.uuid})"
        )


def check_asn(write: Write, config: GlobalSystemConfig) -> None:
    """The system's autonomous system is one that it can use."""
    if config.autonomous_system is not None:
        route_targets.check_asn(config.autonomous_system, bool(config.enable_4byte_as))


def check_log_statistics(write: Write, config: GlobalSystemConfig) -> None:
    """The patterns of log statistics are regular expressions."""
    for statistic in (
        config.user_defined_log_statistics.statlist if config.user_defined_log_statistics else None
    ) or []:
        try:
            re.compile(statistic.pattern or "")
        except re.error as error:
            raise BadRequest(
                f"Regex error in user-defined-log-statistics at {echo(statistic.name or '')}: "
                f"{error}"
            ) from error


def bgpaas_ports(config: GlobalSystemConfig) -> tuple[int, int]:
    """The first and the last port for BGP as a service."""
    ports = config.bgpaas_parameters
    return (ports and ports.port_start) or 50_000, (ports and ports.port_end) or 50_512


def check_bgpaas_ports(write: Write, config: GlobalSystemConfig) -> None:
    """The range of ports for BGP as a service."""
    start, end = bgpaas_ports(config)
    if start < 1 or start > end:
        raise BadRequest("Invalid Port range specified")


def keep_bgpaas_ports(write: Write, old: GlobalSystemConfig, new: GlobalSystemConfig) -> None:
    """The range of ports for BGP as a service only grows once there is one."""
    if old.bgpaas_parameters == new.bgpaas_parameters:
        return
    (first, last), (start, end) = bgpaas_ports(old), bgpaas_ports(new)
    shrinks = start > first or end < last
    if shrinks and any(True for _ in write.tx.records("bgp-as-a-service")):
        raise BadRequest("BGP Port range cannot be shrunk")


def recheck_targets(write: Write, old: GlobalSystemConfig, new: GlobalSystemConfig) -> None:
    """With another autonomous system no configured target may be in the automatic range."""
    if (old.autonomous_system, old.enable_4byte_as) == (new.autonomous_system, new.enable_4byte_as):
        return
    asn, four_byte = new.autonomous_system or 64_512, bool(new.enable_4byte_as)
    wrong = []
    for record in write.tx.records("virtual-network"):
        network = from_record(record)
        assert isinstance(network, VirtualNetwork)
        for targets in (
            network.route_target_list,
            network.import_route_target_list,
            network.export_route_target_list,
        ):
            for text in (targets.route_target if targets else None) or []:
                try:
                    route_targets.normalise(text, asn, four_byte)
                except ApiFault:
                    wrong.append(f"{':'.join(network.fq_name)} ({network.uuid}) {text}")
    if wrong:
        raise BadRequest(
            f"Virtual networks are configured with route targets of the range that ASN {asn} "
            f"would make automatic: {', '.join(wrong)}"
        )


def _checks(write: Write, config: GlobalSystemConfig) -> None:
    check_asn(write, config)
    check_log_statistics(write, config)
    check_bgpaas_ports(write, config)


# -- virtual-DNS ----------------------------------------------------------------------------


def check_virtual_dns(write: Write, dns: VirtualDns, old: VirtualDns | None = None) -> None:
    """The name and data of a virtual DNS server."""
    if not DNS_NAME.fullmatch(dns.fq_name[-1]):
        raise Forbidden(
            f"Special characters are not allowed in Virtual DNS server name: {echo(dns.name)}"
        )
    data = dns.virtual_DNS_data
    if data is None:
        return
    if data.domain_name is not None and not DOMAIN_NAME.fullmatch(data.domain_name):
        raise Forbidden(f"Domain name does not adhere to DNS standards: {echo(data.domain_name)}")
    if data.default_ttl_seconds is not None and not 0 <= data.default_ttl_seconds <= MAX_TTL:
        raise BadRequest(f"Invalid value for TTL: {data.default_ttl_seconds}, 0 to {MAX_TTL}")
    before = old.virtual_DNS_data.next_virtual_DNS if old and old.virtual_DNS_data else None
    if data.next_virtual_DNS and data.next_virtual_DNS != before:
        _check_next_dns(write, data.next_virtual_DNS)


def _check_next_dns(write: Write, following: str) -> None:
    """The next server is there to be referred to: naming it keeps it from being deleted."""
    try:
        IPv4Address(following)
    except ValueError:
        record = write.tx.find("virtual-DNS", tuple(following.split(":")))
        if record is None:
            raise BadRequest(
                f"Invalid Virtual Forwarder(next virtual dns server): {echo(following)}"
            ) from None
        authority.require_record(write.tx, write.caller, record, authority.LINK)


def refuse_used_dns(write: Write, dns: VirtualDns) -> None:
    """A virtual DNS server stays while another one asks it."""
    for record in write.tx.records("virtual-DNS"):
        other = from_record(record)
        assert isinstance(other, VirtualDns)
        data = other.virtual_DNS_data
        if data is not None and data.next_virtual_DNS == ":".join(dns.fq_name):
            raise Forbidden(
                f"Virtual DNS server {name_list(dns.fq_name)} is referred to by "
                f"{name_list(other.fq_name)}"
            )


HOOKS: dict[str, Hooks[Any]] = {
    "global-system-config": Hooks[GlobalSystemConfig](
        create=(refuse_second_config, _checks, begin_drafts),
        update=(
            lambda write, old, new: _checks(write, new),
            recheck_targets,
            keep_bgpaas_ports,
            switch_drafts,
        ),
    ),
    "virtual-DNS": Hooks[VirtualDns](
        create=(check_virtual_dns,),
        update=(lambda write, old, new: check_virtual_dns(write, new, old),),
        delete=(refuse_used_dns,),
    ),
}
