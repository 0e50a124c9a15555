"""Types that many areas use: permissions, key-value pairs, orders, learning limits."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.fields import Complex, Default
from tungsten.model.scalars import (
    AccessType,
    DateTime,
    MACLimitExceedActionType,
    MACMoveTimeWindow,
    UnsignedLong,
)


class KeyValuePair(Complex):
    """A key and its value."""

    key: str | None = None
    value: str | None = None


class KeyValuePairs(Complex):
    """A map of strings, as a list of pairs."""

    key_value_pair: list[KeyValuePair] | None = None


class ShareType(Complex):
    """Access that the owner grants to a tenant or domain."""

    #: ``tenant:<uuid>``, ``domain:<uuid>``, or a tenant's uuid.
    tenant: str | None = None
    tenant_access: AccessType | None = None


class PermType(Complex):
    """Owner, group and access bits as on a file."""

    owner: str | None = None
    owner_access: AccessType | None = None
    group: str | None = None
    group_access: AccessType | None = None
    other_access: AccessType | None = None


class PermType2(Complex):
    """Who owns a resource, and what owner, others and named tenants may do with it."""

    owner: str | None = None
    owner_access: Annotated[AccessType | None, Default(7)] = None
    #: What everybody may do.
    global_access: Annotated[AccessType | None, Default(0)] = None
    share: list[ShareType] | None = None


class UuidType(Complex):
    """A UUID as two unsigned halves of 64 bits."""

    uuid_mslong: UnsignedLong | None = None
    uuid_lslong: UnsignedLong | None = None


class IdPermsType(Complex):
    """Life data of a resource: who made it, when, and whether users see it."""

    permissions: PermType | None = None
    uuid: UuidType | None = None
    #: False takes the resource out of service.
    enable: bool | None = None
    created: DateTime | None = None
    last_modified: DateTime | None = None
    description: str | None = None
    #: False hides it from all but administrators.
    user_visible: Annotated[bool | None, Default(True)] = None
    creator: str | None = None


class SequenceType(Complex):
    """A place in an order: major number first."""

    major: int | None = None
    minor: int | None = None


class TimerType(Complex):
    """When a policy is in force."""

    start_time: DateTime | None = None
    on_interval: str | None = None
    off_interval: str | None = None
    end_time: DateTime | None = None


class EcmpHashingIncludeFields(Complex):
    """Which fields of a packet choose among equal paths."""

    hashing_configured: Annotated[bool | None, Default(False)] = None
    source_ip: Annotated[bool | None, Default(True)] = None
    destination_ip: Annotated[bool | None, Default(True)] = None
    ip_protocol: Annotated[bool | None, Default(True)] = None
    source_port: Annotated[bool | None, Default(True)] = None
    destination_port: Annotated[bool | None, Default(True)] = None


class MACLimitControlType(Complex):
    """How many MAC addresses may be learned, and what happens beyond."""

    mac_limit: int | None = None
    mac_limit_action: Annotated[MACLimitExceedActionType | None, Default("log")] = None


class MACMoveLimitControlType(Complex):
    """How often a MAC address may move within a window of seconds."""

    mac_move_limit: int | None = None
    mac_move_time_window: Annotated[MACMoveTimeWindow | None, Default(10)] = None
    mac_move_limit_action: Annotated[MACLimitExceedActionType | None, Default("log")] = None


class UserCredentials(Complex):
    """A user's name and password."""

    username: str | None = None
    password: str | None = None
