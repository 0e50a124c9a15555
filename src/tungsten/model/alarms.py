"""Alarms: conditions on what the system reports of itself."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Resource
from tungsten.model.fields import Complex, ListOf, Required
from tungsten.model.scalars import AlarmOperation, AlarmSeverity


class UveKeysType(Complex):
    """Kinds of reports, as analytics names them."""

    uve_key: list[str] | None = None


class AlarmOperand2(Complex):
    """What a field is compared with: a value, or another field."""

    uve_attribute: str | None = None
    #: A value in JSON.
    json_value: str | None = None


class AlarmExpression(Complex):
    """A comparison of a field of the report."""

    operation: AlarmOperation | None = None
    #: A path into the report.
    operand1: str | None = None
    operand2: AlarmOperand2 | None = None
    #: Fields that are shown when the alarm is raised.
    variables: list[str] | None = None


class AlarmAndList(Complex):
    """Conditions which all must hold."""

    and_list: list[AlarmExpression] | None = None


class AlarmOrList(Complex):
    """Conditions of which one must hold."""

    or_list: list[AlarmAndList] | None = None


class Alarm(Resource, type="alarm", parents=("global-system-config", "project")):
    """A condition on reports; while it holds, the alarm is raised."""

    uve_keys: Annotated[UveKeysType | None, Required] = None
    #: 0 critical, 1 major, 2 minor.
    alarm_severity: Annotated[AlarmSeverity | None, Required] = None
    alarm_rules: Annotated[AlarmOrList | None, ListOf("or_list")] = None
