"""The eBPF datapath: programs in ``bpf/``, and the typed interface that fills their tables.

In use::

    with Datapath.open(pin_dir) as dp:              # loads, or re-opens what is pinned
        dp.config = Config(fabric_ip=IPv4Address("10.0.0.1"))
        dp.attach_fabric(Vif(id=0, ifindex=2, type=VifType.PHYSICAL, mac=..., mtu=1600))
        dp.attach_pkt0(Vif(id=2, ifindex=tap.ifindex, link=VifLink.TAP, name="pkt0"))
        dp.attach_vif(Vif(id=3, ifindex=5, vrf=1, vm_mac=..., flags=VifFlag.L2 | VifFlag.L3))
        dp.nexthops[10] = NextHop.encap(3, vm_mac, vrf=1)
        dp.routes[1, IPv4Network("10.1.0.3/32")] = Route(nh=10, mac=vm_mac)
        dp.labels[16] = 10

- `Datapath` (`datapath.py`): open, view, remove; attach and detach ports; config; counters.
- `dp.vifs`, `.nexthops`, `.routes`, `.bridge`, `.labels`, `.vnis`: mutable mappings of the
  records in `records.py`; ``find(key)`` gives None for what is absent, ``put(mapping)``
  writes many, ``dump()`` reads all.
- `trap.py`, `tap.py`: frames between datapath and agent on pkt0.
- `abi.py`: enums and layouts, generated from ``bpf/abi.h``.

What the programs do with what the tables say is in ``docs/datapath.md``.
"""

from tungsten.datapath.abi import (
    DROP_TEXTS,
    BridgeFlag,
    ConfigFlag,
    DropReason,
    Family,
    NhFlag,
    NhType,
    RouteFlag,
    TrapCmd,
    VifFlag,
    VifGuard,
    VifLink,
    VifType,
)
from tungsten.datapath.datapath import DEFAULT_PIN_DIR, Datapath, DatapathError
from tungsten.datapath.layout import Mac
from tungsten.datapath.libbpf import LoadError
from tungsten.datapath.records import (
    BROADCAST_MAC,
    MAX_MEMBERS,
    NO_VRF,
    VRRP_MAC,
    BridgeEntry,
    Config,
    Member,
    NextHop,
    Route,
    Source,
    Vif,
    VifStats,
    bridge_index,
)
from tungsten.datapath.syscall import BpfError

__all__ = [
    "BROADCAST_MAC",
    "DEFAULT_PIN_DIR",
    "DROP_TEXTS",
    "MAX_MEMBERS",
    "NO_VRF",
    "VRRP_MAC",
    "BpfError",
    "BridgeEntry",
    "BridgeFlag",
    "Config",
    "ConfigFlag",
    "Datapath",
    "DatapathError",
    "DropReason",
    "Family",
    "LoadError",
    "Mac",
    "Member",
    "NextHop",
    "NhFlag",
    "NhType",
    "Route",
    "RouteFlag",
    "Source",
    "TrapCmd",
    "Vif",
    "VifFlag",
    "VifGuard",
    "VifLink",
    "VifStats",
    "VifType",
    "bridge_index",
]
