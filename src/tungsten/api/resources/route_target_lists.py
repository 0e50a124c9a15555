"""Configured route targets, checked against the system's autonomous system."""

from __future__ import annotations

from tungsten.api.errors import BadRequest
from tungsten.api.pairs import GLOBAL_SYSTEM_CONFIG
from tungsten.api.resources.route_targets import normalise
from tungsten.api.transactions import Write, find
from tungsten.model import GlobalSystemConfig
from tungsten.model.routes import RouteTargetList

DEFAULT_ASN = 64_512


def system_asn(write: Write) -> tuple[int, bool]:
    """The system's autonomous system, and whether it uses 4-byte numbers."""
    config = find(write.tx, GlobalSystemConfig, "global-system-config", (GLOBAL_SYSTEM_CONFIG,))
    if config is None:
        return DEFAULT_ASN, False
    return config.autonomous_system or DEFAULT_ASN, bool(config.enable_4byte_as)


def normalise_list(write: Write, targets: RouteTargetList | None) -> None:
    """Check the configured targets and bring them to their stored form."""
    if targets is None or not targets.route_target:
        return
    asn, four_byte = system_asn(write)
    for target in targets.route_target:
        if not target:
            raise BadRequest(
                "Route target must be of the format 'target:<asn>:<number>' or "
                "'target:<ip>:<number>', not ''"
            )
    targets.route_target = [normalise(target, asn, four_byte) for target in targets.route_target]
