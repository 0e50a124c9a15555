"""Virtual DNS."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Resource
from tungsten.model.fields import Complex, Default, Required
from tungsten.model.scalars import (
    DnsRecordClassType,
    DnsRecordOrderType,
    DnsRecordTypeType,
    FloatingIpDnsNotation,
)


class DnsSoaRecordType(Complex):
    """Fields of the SOA record."""

    negative_cache_ttl_seconds: int | None = None


class VirtualDnsType(Complex):
    """A DNS domain that is served to workloads."""

    domain_name: str | None = None
    #: Workloads' names are served.
    dynamic_records_from_client: bool | None = None
    record_order: Annotated[DnsRecordOrderType | None, Default("random")] = None
    default_ttl_seconds: int | None = None
    #: Who is asked about other names: another virtual DNS (fq_name) or an address.
    next_virtual_DNS: str | None = None
    floating_ip_record: FloatingIpDnsNotation | None = None
    external_visible: Annotated[bool | None, Default(False)] = None
    reverse_resolution: Annotated[bool | None, Default(False)] = None
    soa_record: DnsSoaRecordType | None = None


class VirtualDns(Resource, type="virtual-DNS", parents=("domain",)):
    """A DNS server for workloads."""

    virtual_DNS_data: Annotated[VirtualDnsType | None, Required] = None


class VirtualDnsRecordType(Complex):
    """A name and what is known of it."""

    record_name: str | None = None
    record_type: DnsRecordTypeType | None = None
    record_class: DnsRecordClassType | None = None
    record_data: str | None = None
    record_ttl_seconds: int | None = None
    record_mx_preference: int | None = None
    #: Which view of the name the record is for.
    record_source_name: str | None = None


class VirtualDnsRecord(Resource, type="virtual-DNS-record", parents=("virtual-DNS",)):
    """A record of a virtual DNS server."""

    virtual_DNS_record_data: Annotated[VirtualDnsRecordType | None, Required] = None
