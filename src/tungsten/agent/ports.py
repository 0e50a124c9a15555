"""Ports: what an orchestrator says it plugged into this host, one per virtual machine interface.

Two forms come in, as upstream's drivers send them: the *port* form (``POST /port``, nova, neutron
and namespace drivers) says everything, addresses included; the *vm* form (``POST /vm``, the CNI
plugin) names the interface and leaves MAC and addresses to the configuration.

Each is kept in a file (``ports/<vmi>`` or ``ports/vm/<vm>/<vmi>`` below the state directory,
upstream's layout), written atomically. The agent is the only writer. Files are read again at
start, before configuration arrives.

Life: a port that was read from a file, or was not sent again after :meth:`PortStore.begin_sync`,
is *unconfirmed*. Sending it again confirms it. :meth:`PortStore.expire` removes unconfirmed ports
after a grace period unless the caller vouches for them (the configuration knows them, and their
device exists).

A file that cannot be read is left where it is and reported in :attr:`PortStore.problems`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import msgspec

from tungsten.agent.files import sync_directory, write_atomically

AUTHOR = "tungsten-agent"
NO_VLAN = -1
NIL = str(uuid.UUID(int=0))

_INTERFACE_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,15}")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class PortError(ValueError):
    """A port description that cannot be accepted; the text is the answer's."""


class PortType(IntEnum):
    """``type`` of the port form."""

    NOVA_VM = 0
    NAMESPACE = 1
    REMOTE = 2


@dataclass(frozen=True, slots=True)
class Port:
    """One plugged interface.

    ``mac``, ``ip`` and ``ip6`` are None when the configuration decides. ``record`` is what was
    sent, plus ``author`` and ``time``: what the file holds and GET returns.
    """

    vmi: str
    vm: str
    vn: str
    project: str
    name: str
    device: str
    mac: str | None = None
    ip: IPv4Address | None = None
    ip6: IPv6Address | None = None
    type: PortType = PortType.NOVA_VM
    rx_vlan: int = NO_VLAN
    tx_vlan: int = NO_VLAN
    vhostuser_mode: int = 0
    link_up: bool = True
    from_vm: bool = False
    record: Mapping[str, Any] = field(default_factory=dict, compare=False)


def _text(record: Mapping[str, Any], key: str, required: bool = True) -> str:
    value = record.get(key)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or len(value) > 4096:
        raise PortError(f"Invalid or missing field for <{key}>")
    return value


def _number(record: Mapping[str, Any], key: str, low: int, high: int, default: int | None) -> int:
    value = record.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise PortError(f"Invalid or missing field for <{key}>")
    if not low <= value <= high:
        raise PortError(f"Invalid or missing data for <{key}>")
    return value


def _uuid(record: Mapping[str, Any], key: str, nil: bool) -> str:
    value = _text(record, key)
    if not _UUID.fullmatch(value) or (value == NIL and not nil):
        raise PortError(f"Invalid or missing data for <{key}>")
    return value


def _device(record: Mapping[str, Any], key: str) -> str:
    value = _text(record, key)
    if not _INTERFACE_NAME.fullmatch(value):
        raise PortError(f"Invalid or missing data for <{key}>")
    return value


def _addresses(record: Mapping[str, Any]) -> tuple[IPv4Address | None, IPv6Address | None]:
    """``ip-address`` and ``ip6-address``; empty and all-zero mean none."""
    try:
        text = _text(record, "ip-address")
        ip = IPv4Address(text) if text else None
    except AddressValueError as error:
        raise PortError("Invalid or missing data for <ip-address>") from error
    try:
        text = _text(record, "ip6-address")
        ip6 = IPv6Address(text) if text else None
    except AddressValueError as error:
        raise PortError("Invalid or missing data for <ip6-address>") from error
    return (ip if ip and int(ip) else None), (ip6 if ip6 and int(ip6) else None)


def parse_port(record: Mapping[str, Any]) -> Port:
    """The port form. Raises :class:`PortError` with upstream's messages."""
    kind = PortType(_number(record, "type", 0, 2, None))
    mac = _text(record, "mac-address")
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1:
        raise PortError("Invalid MAC, Use xx:xx:xx:xx:xx:xx format")
    vn = _text(record, "vn-id")
    if vn and not _UUID.fullmatch(vn):
        raise PortError("Invalid VN uuid")
    if kind is PortType.NOVA_VM and vn in ("", NIL):
        raise PortError("Invalid VN uuid")
    rx_vlan = _number(record, "rx-vlan-id", -1, 4094, None)
    tx_vlan = _number(record, "tx-vlan-id", -1, 4094, None)
    if rx_vlan != NO_VLAN and tx_vlan == NO_VLAN:
        raise PortError("Invalid request. RX (isolated) vlan set, but TX vlan not set")
    link_up = record.get("link-state", kind is not PortType.REMOTE)
    if not isinstance(link_up, bool):
        raise PortError("Invalid or missing field for <link-state>")
    ip, ip6 = _addresses(record)
    project = _text(record, "vm-project-id")
    if project and not _UUID.fullmatch(project):
        raise PortError("Invalid or missing data for <vm-project-id>")
    return Port(
        vmi=_uuid(record, "id", nil=False),
        vm=_uuid(record, "instance-id", nil=True),
        vn=vn,
        project=project,
        name=_text(record, "display-name"),
        device=_device(record, "system-name"),
        mac=mac.lower() if mac != "00:00:00:00:00:00" else None,
        ip=ip,
        ip6=ip6,
        type=kind,
        rx_vlan=rx_vlan,
        tx_vlan=tx_vlan,
        vhostuser_mode=_number(record, "vhostuser-mode", 0, 1, 0),
        link_up=link_up,
        record=dict(record),
    )


def parse_vm_port(record: Mapping[str, Any]) -> Port:
    """The vm form, as the CNI plugin sends it. Raises :class:`PortError`."""
    return Port(
        vmi=_uuid(record, "vmi-uuid", nil=False),
        vm=_uuid(record, "vm-uuid", nil=False),
        vn=_uuid(record, "vn-uuid", nil=True),
        project="",
        name=_text(record, "vm-name"),
        device=_device(record, "host-ifname"),
        type=PortType.NAMESPACE,
        from_vm=True,
        record=dict(record),
    )


def _origin(stamp: str) -> dict[str, str]:
    """What the agent adds to a record."""
    return {"author": AUTHOR, "time": stamp}


class PortStore:
    """The ports of this host, in memory and in files. ``changed`` is called after a change.

    A device belongs to one port, and the host's ``own`` devices to none: a slip in a name must
    not take another workload, or the whole host, off its network.
    """

    def __init__(
        self,
        directory: Path,
        changed: Callable[[], None] = lambda: None,
        own: Collection[str] = (),
    ) -> None:
        self._directory = directory
        self._changed = changed
        self._own = frozenset(own)
        self._ports: dict[str, Port] = {}
        self._unconfirmed: dict[str, float] = {}
        self.version = 0
        self.problems: list[str] = []

    def load(self, now: float) -> None:
        """Read every port file; what is read is unconfirmed since ``now`` (monotonic seconds)."""
        (self._directory / "vm").mkdir(parents=True, exist_ok=True, mode=0o750)
        for path in sorted(self._directory.glob("*")):
            if path.is_file() and not path.name.startswith("."):
                self._load_file(path, parse_port, now)
        for path in sorted(self._directory.glob("vm/*/*")):
            if path.is_file() and not path.name.startswith("."):
                self._load_file(path, parse_vm_port, now)

    def _load_file(
        self, path: Path, parse: Callable[[Mapping[str, Any]], Port], now: float
    ) -> None:
        try:
            port = parse(msgspec.json.decode(path.read_bytes(), type=dict[str, Any]))
        except (OSError, msgspec.DecodeError, RecursionError, PortError) as error:
            self.problems.append(f"{path}: {error}")
            return
        if self._path(port) != path:
            self.problems.append(f"{path}: holds port {port.vmi}")
            return
        try:
            self._check_devices((port,))
        except PortError as error:
            self.problems.append(f"{path}: {error}")
            return
        self._ports[port.vmi] = port
        self._unconfirmed[port.vmi] = now

    def _check_devices(self, ports: Iterable[Port]) -> None:
        """Raise :class:`PortError` when a port names a device it cannot have."""
        owners = {port.device: port.vmi for port in self._ports.values()}
        for port in ports:
            key = "host-ifname" if port.from_vm else "system-name"
            if port.device in self._own:
                raise PortError(
                    f"Invalid or missing data for <{key}>: {port.device} is the host's own"
                )
            owner = owners.setdefault(port.device, port.vmi)
            if owner != port.vmi:
                raise PortError(
                    f"Invalid or missing data for <{key}>: {port.device} is of port {owner}"
                )

    def add(self, ports: Iterable[Port]) -> None:
        """Keep ``ports``, each replacing an earlier one of its uuid: all of them, or, when a
        device cannot be had (:class:`PortError`) or a file not be written (``OSError``), none."""
        ports = tuple(ports)
        self._check_devices(ports)
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        before: dict[str, Port | None] = {}
        try:
            for port in ports:
                before.setdefault(port.vmi, self._ports.get(port.vmi))
                self._add_one(replace(port, record={**port.record, **_origin(stamp)}))
        except OSError:
            for vmi, old in before.items():
                self._restore(vmi, old)
            raise
        self._changed()

    def _restore(self, vmi: str, old: Port | None) -> None:
        """Undo what :meth:`_add_one` did to a port."""
        if old is not None:
            self._add_one(old)
        elif vmi in self._ports:
            self._remove_file(self._ports.pop(vmi))

    def _add_one(self, port: Port) -> None:
        old = self._ports.get(port.vmi)
        path = self._path(port)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        write_atomically(path, msgspec.json.encode(port.record))
        if old is not None and self._path(old) != path:
            self._remove_file(old)
        self._ports[port.vmi] = port
        self._unconfirmed.pop(port.vmi, None)

    def remove(self, vmi: str) -> bool:
        """Forget a port; False when there is none."""
        port = self._ports.get(vmi)
        if port is None:
            return False
        self._remove_file(port)
        del self._ports[vmi]
        self._unconfirmed.pop(vmi, None)
        self._changed()
        return True

    def remove_vm(self, vm: str) -> bool:
        """Forget the vm-form ports of a virtual machine; False when there are none."""
        doomed = [port.vmi for port in self._ports.values() if port.vm == vm and port.from_vm]
        for vmi in doomed:
            self.remove(vmi)
        return bool(doomed)

    def set_link(self, vmi: str, up: bool) -> None:
        """Enable or disable a port of type 2. Raises :class:`PortError` for another type,
        ``KeyError`` when there is none."""
        port = self._ports[vmi]
        if port.type is not PortType.REMOTE:
            raise PortError("Incorrect Port type")
        record = {**port.record, "link-state": up}
        self.add([parse_port({k: v for k, v in record.items() if k not in ("author", "time")})])

    def get(self, vmi: str) -> Port | None:
        """The port of a virtual machine interface."""
        return self._ports.get(vmi)

    def ports(self) -> tuple[Port, ...]:
        """All ports, by uuid."""
        return tuple(self._ports[key] for key in sorted(self._ports))

    def begin_sync(self, now: float) -> None:
        """The orchestrator will send every port again: all are unconfirmed from ``now``."""
        self.version += 1
        self._unconfirmed = dict.fromkeys(self._ports, now)

    def expire(self, now: float, grace: float, vouched: Callable[[Port], bool]) -> tuple[str, ...]:
        """Remove ports unconfirmed for ``grace`` seconds that nobody vouches for.

        A vouched port is confirmed instead. After a resync nothing vouches: the orchestrator's
        own list is the truth, so ``vouched`` counts only for ports read from files.
        """
        removed = []
        for vmi, since in list(self._unconfirmed.items()):
            if now - since < grace:
                continue
            if self.version == 0 and vouched(self._ports[vmi]):
                del self._unconfirmed[vmi]
                continue
            self.remove(vmi)
            removed.append(vmi)
        return tuple(removed)

    def _path(self, port: Port) -> Path:
        if port.from_vm:
            return self._directory / "vm" / port.vm / port.vmi
        return self._directory / port.vmi

    def _remove_file(self, port: Port) -> None:
        path = self._path(port)
        path.unlink(missing_ok=True)
        if port.from_vm and not any(path.parent.iterdir()):
            path.parent.rmdir()
            path = path.parent
        sync_directory(path.parent)
