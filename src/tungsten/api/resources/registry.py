"""All rules of all types."""

from __future__ import annotations

from typing import Any

from tungsten.api.resources import (
    addresses,
    drafting,
    firewall,
    interfaces,
    networks,
    port_groups,
    projects,
    routing,
    secrets,
    security,
    services,
    small_rules,
    system,
    tags,
    virtual_routers,
)
from tungsten.api.resources.hooks import Hooks

_NONE: Hooks[Any] = Hooks()
_ALL: dict[str, Hooks[Any]] = {
    **addresses.HOOKS,
    **drafting.HOOKS,
    **firewall.HOOKS,
    **interfaces.HOOKS,
    **networks.HOOKS,
    **port_groups.HOOKS,
    **projects.HOOKS,
    **routing.HOOKS,
    **secrets.HOOKS,
    **security.HOOKS,
    **services.HOOKS,
    **small_rules.HOOKS,
    **system.HOOKS,
    **tags.HOOKS,
    **virtual_routers.HOOKS,
}


def hooks_of(type_: str) -> Hooks[Any]:
    """The rules of a type; without any, the steps that all types share are all there is."""
    return _ALL.get(type_, _NONE)
