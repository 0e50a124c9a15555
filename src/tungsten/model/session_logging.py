"""Which sessions of policies and groups are logged."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Ref, Resource
from tungsten.model.fields import Complex, Default, To


class SloRateType(Complex):
    """One of so many sessions is logged; -1: none."""

    rate: Annotated[int | None, Default(-1)] = None


class SecurityLoggingObjectRuleEntryType(Complex):
    """A rule, of whose sessions one in ``rate`` is logged."""

    rule_uuid: str | None = None
    rate: Annotated[int | None, Default(100)] = None


class SecurityLoggingObjectRuleListType(Complex):
    """Rules whose sessions are logged."""

    rule: list[SecurityLoggingObjectRuleEntryType] | None = None


class SecurityLoggingObject(
    Resource, type="security-logging-object", parents=("global-vrouter-config", "project")
):
    """Rules whose sessions are logged."""

    security_logging_object_rules: SecurityLoggingObjectRuleListType | None = None
    #: One of so many sessions is logged.
    security_logging_object_rate: Annotated[int | None, Default(100)] = None
    network_policy_refs: Annotated[
        list[Ref[SecurityLoggingObjectRuleListType]], To("network-policy")
    ] = []
    security_group_refs: Annotated[
        list[Ref[SecurityLoggingObjectRuleListType]], To("security-group")
    ] = []
