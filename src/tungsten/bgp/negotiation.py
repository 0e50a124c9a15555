"""What a session may do: what we offer in OPEN, and what both sides' OPENs come to.

Sources: RFC 4271 section 4.2 and 6.2, RFC 4760 section 8, RFC 5492 section 3 and 5, RFC 6286,
RFC 6793, RFC 4724, RFC 7911, RFC 7313, RFC 9494. A speaker that announces no multiprotocol
capability speaks inet only.
"""

from __future__ import annotations

from dataclasses import dataclass

from tungsten.bgp.attributes import Context
from tungsten.bgp.capabilities import (
    AddPath,
    Capability,
    EnhancedRouteRefresh,
    FourOctetAs,
    GracefulRestart,
    LongLivedGracefulRestart,
    Multiprotocol,
    RouteRefresh,
    encode_capability,
)
from tungsten.bgp.errors import ErrorCode, OpenError, ProtocolError
from tungsten.bgp.families import INET, Family
from tungsten.bgp.messages import Open, router_id_text


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What is configured for one neighbour. Times in seconds; ``router_id`` 4 octets.

    ``restart_time`` 0 announces graceful restart with no families, which tells the neighbour
    that we send End-of-RIB; else ``families`` are announced with our restart time. ``helper``
    keeps a restarting neighbour's routes. ``forwarding`` is the F bit of our families.
    ``long_lived_time`` above 0 asks neighbours to keep our routes that much longer, as a last
    resort (RFC 9494), and does the same for them; it needs ``restart_time``. ``add_paths`` are
    families of which several paths of a route are taken.
    """

    name: str
    local_as: int
    peer_as: int
    router_id: bytes
    families: frozenset[Family]
    hold_time: int = 90
    passive: bool = False
    four_octet_as: bool = True
    route_refresh: bool = True
    restart_time: int = 0
    long_lived_time: int = 0
    add_paths: frozenset[Family] = frozenset()
    restarting: bool = False
    forwarding: bool = True
    restart_notification: bool = True
    helper: bool = True
    connect_time: float = 30.0
    open_time: float = 15.0
    idle_hold: float = 1.0
    most_idle_hold: float = 120.0
    forgive_time: float = 300.0
    least_send_hold: float = 480.0

    @property
    def internal(self) -> bool:
        """Whether the neighbour is in our AS (iBGP)."""
        return self.local_as == self.peer_as

    @property
    def context(self) -> Context:
        """What attribute decoding depends on, before anything is negotiated."""
        return Context(self.internal, self.four_octet_as)


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What both OPENs come to."""

    peer_as: int
    router_id: bytes
    families: frozenset[Family]
    hold_time: int
    context: Context
    route_refresh: bool
    graceful_restart: GracefulRestart | None
    long_lived: LongLivedGracefulRestart | None = None
    enhanced_refresh: bool = False

    @property
    def add_paths(self) -> frozenset[Family]:
        """Families of which the neighbour says several paths of a route."""
        return self.context.add_paths

    @property
    def keepalive_time(self) -> float:
        """A third of the hold time; 0 when both agreed on none."""
        return self.hold_time / 3

    @property
    def four_octet_as(self) -> bool:
        """Whether AS numbers in attributes have four octets."""
        return self.context.four_octet_as

    @property
    def internal(self) -> bool:
        """Whether this is iBGP."""
        return self.context.internal


def our_open(config: SessionConfig) -> Open:
    """The OPEN we send."""
    families = sorted(config.families)
    capabilities: list[Capability] = [Multiprotocol(family) for family in families]
    if config.route_refresh:
        capabilities += [RouteRefresh(), EnhancedRouteRefresh()]
    if config.four_octet_as:
        capabilities.append(FourOctetAs(config.local_as))
    kept = tuple((f, config.forwarding) for f in families) if config.restart_time else ()
    capabilities.append(
        GracefulRestart(
            config.restart_time,
            kept,
            config.restarting and bool(config.restart_time),
            config.restart_notification and bool(config.restart_time),
        )
    )
    if config.restart_time and config.long_lived_time:
        capabilities.append(
            LongLivedGracefulRestart(
                tuple((f, config.forwarding, config.long_lived_time) for f in families)
            )
        )
    several = sorted(config.add_paths & config.families)
    if several:
        capabilities.append(AddPath(tuple((family, True, False) for family in several)))
    return Open(config.local_as, config.hold_time, config.router_id, tuple(capabilities))


def _error(subcode: int, reason: str, data: bytes = b"") -> ProtocolError:
    return ProtocolError(ErrorCode.OPEN, subcode, reason, data)


def negotiate(config: SessionConfig, theirs: Open) -> Negotiated:
    """Check the peer's OPEN against the configuration; :class:`ProtocolError` 2/x if it fails."""
    if theirs.asn != config.peer_as:
        raise _error(
            OpenError.BAD_PEER_AS,
            f"peer says AS {theirs.asn}, configured is {config.peer_as}",
        )
    if config.internal and theirs.router_id == config.router_id:
        raise _error(
            OpenError.BAD_IDENTIFIER,
            f"peer has our own identifier {router_id_text(config.router_id)}",
        )
    offered = frozenset(c.family for c in theirs.capabilities if isinstance(c, Multiprotocol))
    common = config.families & (offered or frozenset({INET}))
    if not common:
        ours = sorted(config.families)
        raise _error(
            OpenError.UNSUPPORTED_CAPABILITY,
            f"no common family: peer offers {', '.join(map(str, sorted(offered))) or 'inet'}; "
            f"configured {', '.join(map(str, ours))}",
            b"".join(encode_capability(Multiprotocol(family)) for family in ours),
        )
    restart: GracefulRestart | None = None
    long_lived: LongLivedGracefulRestart | None = None
    wide = refresh = enhanced = False
    several: set[Family] = set()
    for capability in theirs.capabilities:
        match capability:
            case GracefulRestart():
                restart = capability
            case LongLivedGracefulRestart():
                long_lived = capability
            case FourOctetAs():
                wide = True
            case RouteRefresh():
                refresh = True
            case EnhancedRouteRefresh():
                enhanced = True
            case AddPath(families):
                several |= {family for family, _, sends in families if sends}
    return Negotiated(
        peer_as=theirs.asn,
        router_id=theirs.router_id,
        families=common,
        hold_time=min(config.hold_time, theirs.hold_time),
        context=Context(
            config.internal,
            wide and config.four_octet_as,
            frozenset(several) & config.add_paths & common,
        ),
        route_refresh=refresh and config.route_refresh,
        graceful_restart=restart,
        long_lived=long_lived if config.restart_time and config.long_lived_time else None,
        enhanced_refresh=refresh and enhanced and config.route_refresh,
    )
