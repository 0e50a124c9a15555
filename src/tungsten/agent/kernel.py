"""What the kernel of this host knows: devices, and the next router towards tunnel ends.

:class:`Kernel` listens to rtnetlink (rtnetlink(7)) and keeps two views: devices by name, and per
watched remote address the device and MAC its packets must be sent with (*neighbours*). The
kernel's own tables decide: its route to the address, then its neighbour entry of the gateway, or
of the address itself when it is on-link. Nothing is written to them, except that entries in use
are asked to be kept fresh (the ``use`` of ip-neighbour(8)), as the kernel does for packets of
its own; tunnelled packets do not pass there.

Both views are recomputed whole from the kernel after any event, and once in a while without
one, so a missed event is healed. Only events of neighbours, which are many and change neither
devices nor routes, leave those as they were read.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

import structlog
from pyroute2 import AsyncIPRoute, NetlinkError
from pyroute2.netlink.rtnl import RTMGRP_IPV4_ROUTE, RTMGRP_LINK, RTMGRP_NEIGH

from tungsten.agent.oper import Device

log = structlog.get_logger("tungsten.agent")

REFRESH_SECONDS = 10.0
SETTLE_SECONDS = 0.01
USE_SECONDS = 1.0
_NEIGHBOUR_EVENTS = frozenset({"RTM_NEWNEIGH", "RTM_DELNEIGH"})
_IFF_UP = 0x1
_NTF_USE = 0x1
_NUD_USABLE = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80
"""REACHABLE, STALE, DELAY, PROBE, NOARP, PERMANENT."""
_NUD_SETTLED = _NUD_USABLE & ~0x04
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENONET, errno.EACCES, errno.EINVAL}


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Where packets to a remote address go first. ``mac`` is None while it is not resolved."""

    ifindex: int
    via: IPv4Address
    mac: str | None


class Kernel:
    """Devices and neighbours; ``changed`` is called after either differs."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._watched: frozenset[IPv4Address] = frozenset()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._query = AsyncIPRoute()
        self._monitor = AsyncIPRoute()
        self._layout_differs = True
        self._hops: dict[IPv4Address, tuple[int, IPv4Address] | None] = {}
        self._used: dict[tuple[int, IPv4Address], float] = {}
        self.devices: dict[str, Device] = {}
        self.neighbours: dict[IPv4Address, Neighbour] = {}

    async def start(self) -> None:
        """Read the kernel's tables and begin to follow them."""
        await self._monitor.bind(groups=RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE)
        await self._refresh()
        self._tasks = [
            asyncio.create_task(self._listen(), name="rtnetlink"),
            asyncio.create_task(self._follow(), name="kernel view"),
        ]

    async def stop(self) -> None:
        """Stop following."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for socket in (self._monitor, self._query):
            with contextlib.suppress(OSError):
                socket.close()

    def watch(self, remotes: Iterable[IPv4Address]) -> None:
        """Resolve these tunnel ends from now on, and no others."""
        remotes = frozenset(remotes)
        if remotes != self._watched:
            self._watched = remotes
            self._wake.set()

    async def address_of(self, device: str) -> IPv4Address | None:
        """The first IPv4 address of a device."""
        found = self.devices.get(device)
        if found is None:
            return None
        async for message in await self._query.addr("dump", index=found.ifindex, family=2):
            text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if text:
                return IPv4Address(text)
        return None

    async def device_towards(self, address: IPv4Address) -> str | None:
        """The device of the kernel's route to an address."""
        hop = await self._route_to(address)
        by_index = {device.ifindex: device.name for device in self.devices.values()}
        return by_index.get(hop[0]) if hop else None

    async def _listen(self) -> None:
        while True:
            try:
                async for message in self._monitor.get():
                    if message.get("event") not in _NEIGHBOUR_EVENTS:
                        self._layout_differs = True
                    self._wake.set()
            except (OSError, NetlinkError) as error:
                log.warning("rtnetlink_lost_events", reason=str(error))
                self._layout_differs = True
                self._wake.set()
                await asyncio.sleep(SETTLE_SECONDS)

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                self._layout_differs = True
            await asyncio.sleep(SETTLE_SECONDS)
            self._wake.clear()
            try:
                if await self._refresh():
                    self._changed()
            except (OSError, NetlinkError) as error:
                log.warning("kernel_view_failed", reason=str(error))
                await asyncio.sleep(1.0)
                self._layout_differs = True
                self._wake.set()

    async def _refresh(self) -> bool:
        """Recompute both views; says whether either differs."""
        devices = self.devices
        if self._layout_differs:
            self._layout_differs = False
            self._hops.clear()
            devices = await self._read_devices()
        neighbours = await self._read_neighbours()
        differs = devices != self.devices or neighbours != self.neighbours
        self.devices, self.neighbours = devices, neighbours
        return differs

    async def reread(self) -> bool:
        """Recompute both views from nothing; says whether either differs."""
        self._layout_differs = True
        return await self._refresh()

    async def _read_devices(self) -> dict[str, Device]:
        devices = {}
        async for link in await self._query.link("dump"):
            name = link.get_attr("IFLA_IFNAME")
            devices[name] = Device(
                name=name,
                ifindex=link["index"],
                mac=link.get_attr("IFLA_ADDRESS") or "",
                mtu=link.get_attr("IFLA_MTU") or 0,
                up=bool(link["flags"] & _IFF_UP),
                kind=link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
            )
        return devices

    async def _read_neighbours(self) -> dict[IPv4Address, Neighbour]:
        if not self._watched:
            return {}
        entries = await self._read_entries()
        found = {}
        for remote in sorted(self._watched):
            if remote not in self._hops:
                self._hops[remote] = await self._route_to(remote)
            hop = self._hops[remote]
            if hop is None:
                continue
            ifindex, via = hop
            state, mac = entries.get(hop, (0, None))
            found[remote] = Neighbour(ifindex, via, mac if state & _NUD_USABLE else None)
        for hop in {(n.ifindex, n.via) for n in found.values()}:
            if not entries.get(hop, (0, None))[0] & _NUD_SETTLED:
                await self._ask_for(hop)
        return found

    async def _read_entries(self) -> Mapping[tuple[int, IPv4Address], tuple[int, str | None]]:
        entries = {}
        async for entry in await self._query.neigh("dump", family=2):
            address = entry.get_attr("NDA_DST")
            if address:
                key = (entry["ifindex"], IPv4Address(address))
                entries[key] = (entry["state"], entry.get_attr("NDA_LLADDR"))
        return entries

    async def _route_to(self, address: IPv4Address) -> tuple[int, IPv4Address] | None:
        """Device and next router of the kernel's route to an address; None when it has none."""
        try:
            answer: list[Any] = await self._query.route("get", dst=str(address))
        except NetlinkError as error:
            if error.code in _NO_ROUTE:
                return None
            raise
        for route in answer:
            ifindex = route.get_attr("RTA_OIF")
            if ifindex is not None:
                return ifindex, IPv4Address(route.get_attr("RTA_GATEWAY") or str(address))
        return None

    async def _ask_for(self, hop: tuple[int, IPv4Address]) -> None:
        """Have a neighbour resolved, but each at most once in a while; what comes too soon is
        looked at again then."""
        loop = asyncio.get_running_loop()
        wait = self._used.get(hop, -USE_SECONDS) + USE_SECONDS - loop.time()
        if wait > 0:
            loop.call_later(wait, self._wake.set)
            return
        self._used[hop] = loop.time()
        await self._use(*hop)

    async def _use(self, ifindex: int, address: IPv4Address) -> None:
        """Have the kernel resolve, or confirm, a neighbour."""
        try:
            await self._query.neigh(
                "replace", dst=str(address), ifindex=ifindex, state=0, flags=_NTF_USE
            )
        except NetlinkError as error:
            log.debug("neighbour_not_used", address=str(address), reason=str(error))
