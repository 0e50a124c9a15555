"""Structured syslog: which messages of devices analytics keeps, and what it adds to them."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Resource
from tungsten.model.fields import Complex, Default, Required
from tungsten.model.scalars import StructuredSyslogMessageForwardType


class GlobalAnalyticsConfig(
    Resource, type="global-analytics-config", parents=("global-system-config",)
):
    """Settings of analytics. There is one."""


class StructuredSyslogConfig(
    Resource, type="structured-syslog-config", parents=("global-analytics-config", "project")
):
    """The structured syslog settings of the system or of a project."""


class FieldNamesList(Complex):
    """Names of fields of a message."""

    field_names: list[str] | None = None


class StructuredSyslogMessage(
    Resource, type="structured-syslog-message", parents=("structured-syslog-config",)
):
    """A kind of message, and what is done with it."""

    structured_syslog_message_tagged_fields: Annotated[FieldNamesList | None, Required] = None
    structured_syslog_message_integer_fields: Annotated[FieldNamesList | None, Required] = None
    structured_syslog_message_process_and_store: Annotated[
        bool | None, Default(False), Required
    ] = None
    structured_syslog_message_process_and_summarize: Annotated[
        bool | None, Default(False), Required
    ] = None
    structured_syslog_message_process_and_summarize_user: Annotated[
        bool | None, Default(False), Required
    ] = None
    structured_syslog_message_forward: Annotated[
        StructuredSyslogMessageForwardType | None, Required
    ] = None


class StructuredSyslogApplicationRecord(
    Resource, type="structured-syslog-application-record", parents=("structured-syslog-config",)
):
    """What is known of an application that messages name."""

    structured_syslog_app_category: Annotated[str | None, Required] = None
    structured_syslog_app_subcategory: str | None = None
    structured_syslog_app_groups: str | None = None
    structured_syslog_app_risk: str | None = None
    structured_syslog_app_service_tags: str | None = None


class StructuredSyslogLinkType(Complex):
    """A link of a device."""

    overlay: str | None = None
    underlay: str | None = None
    link_type: str | None = None
    traffic_destination: str | None = None
    metadata: str | None = None


class StructuredSyslogLinkmap(Complex):
    """The links of a device."""

    links: list[StructuredSyslogLinkType] | None = None


class StructuredSyslogLANSegmentType(Complex):
    """A LAN segment: its VPN and addresses."""

    vpn: str | None = None
    network_ranges: str | None = None


class StructuredSyslogLANSegmentList(Complex):
    """The LAN segments of a device."""

    LANSegmentList: list[StructuredSyslogLANSegmentType] | None = None


class StructuredSyslogHostnameRecord(
    Resource, type="structured-syslog-hostname-record", parents=("structured-syslog-config",)
):
    """What is known of a device that messages come from."""

    structured_syslog_hostaddr: Annotated[str | None, Required] = None
    structured_syslog_tenant: Annotated[str | None, Required] = None
    structured_syslog_location: Annotated[str | None, Required] = None
    structured_syslog_device: str | None = None
    structured_syslog_hostname_tags: str | None = None
    structured_syslog_linkmap: StructuredSyslogLinkmap | None = None
    structured_syslog_lan_segment_list: StructuredSyslogLANSegmentList | None = None


class StructuredSyslogDSCPType(Complex):
    """A DSCP value and its name."""

    dscp_value: str | None = None
    alias_code: str | None = None


class StructuredSyslogDSCPMap(Complex):
    """What DSCP values mean to a tenant."""

    dscpListIPv4: list[StructuredSyslogDSCPType] | None = None
    dscpListIPv6: list[StructuredSyslogDSCPType] | None = None


class StructuredSyslogTenantRecord(
    Resource, type="structured-syslog-tenant-record", parents=("structured-syslog-config",)
):
    """What is known of a tenant that messages name."""

    structured_syslog_tenant: Annotated[str | None, Required] = None
    structured_syslog_tenantaddr: Annotated[str | None, Required] = None
    structured_syslog_tenant_tags: str | None = None
    structured_syslog_dscpmap: StructuredSyslogDSCPMap | None = None


class StructuredSyslogSlaProfile(
    Resource, type="structured-syslog-sla-profile", parents=("structured-syslog-config",)
):
    """What was promised for the traffic of an application."""

    structured_syslog_sla_params: Annotated[str | None, Required] = None
