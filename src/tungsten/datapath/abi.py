"""The contract with the programs, as Python: enums, layouts, texts of drop reasons.

Generated from ``bpf/abi.h`` and ``bpf/reasons.h`` by ``python -m tungsten.datapath.generate``;
change those, not this. Numbers of types and flags, and the texts, are those that operators
know from the vRouter's tools.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from tungsten.datapath.layout import Field, Layout


class Limit(IntEnum):
    """``enum limit``."""

    VIFS = 4352
    MEMBERS = 128
    DROP_SLOTS = 64
    ABI_VERSION = 1


class DropReason(IntEnum):
    """``enum drop_reason``."""

    INVALID_IF = 0
    INVALID_ARP = 1
    TRAP_NO_IF = 2
    IF_TX_DISCARD = 3
    IF_DROP = 4
    IF_RX_DISCARD = 5
    FLOW_UNUSABLE = 6
    FLOW_NO_MEMORY = 7
    FLOW_TABLE_FULL = 8
    FLOW_NAT_NO_RFLOW = 9
    FLOW_ACTION_DROP = 10
    FLOW_ACTION_INVALID = 11
    FLOW_INVALID_PROTOCOL = 12
    FLOW_QUEUE_LIMIT_EXCEEDED = 13
    DROP_NEW_FLOW = 14
    FLOW_EVICT = 15
    TRAP_ORIGINAL = 16
    DISCARD = 17
    TTL_EXCEEDED = 18
    MCAST_CLONE_FAIL = 19
    INVALID_NH = 20
    INVALID_LABEL = 21
    INVALID_PROTOCOL = 22
    ETREE_LEAF_TO_LEAF = 23
    BMAC_ISID_MISMATCH = 24
    REWRITE_FAIL = 25
    INVALID_MCAST_SOURCE = 26
    PACKET_LOOP = 27
    PUSH = 28
    PULL = 29
    DUPLICATED = 30
    HEAD_ALLOC_FAIL = 31
    PCOW_FAIL = 32
    INVALID_PACKET = 33
    MISC = 34
    NOWHERE_TO_GO = 35
    CKSUM_ERR = 36
    NO_FMD = 37
    INVALID_VNID = 38
    FRAGMENTS = 39
    INVALID_SOURCE = 40
    MCAST_DF_BIT = 41
    L2_NO_ROUTE = 42
    NO_MEMORY = 43
    FRAGMENT_QUEUE_FAIL = 44
    NO_ENCRYPT_PATH = 45
    INVALID_HBS_PKT = 46
    NO_FRAG_ENTRY = 47
    ICMP_ERROR = 48
    CLONE_FAIL = 49
    INVALID_UNDERLAY_ECMP = 50
    CLONED_ORIGINAL = 51
    SOURCE_MAC = 52
    SOURCE_IP = 53
    TUNNEL_SOURCE = 54
    TRAP_LIMIT = 55
    BUM_LIMIT = 56
    PACKET_TOO_BIG = 57
    NEIGHBOUR = 58


class VifType(IntEnum):
    """``enum vif_type``."""

    HOST = 0
    AGENT = 1
    PHYSICAL = 2
    VIRTUAL = 3
    VIRTUAL_VLAN = 6


class VifLink(IntEnum):
    """``enum vif_link``."""

    OTHER = 0
    VETH = 1
    TAP = 2


class VifFlag(IntFlag):
    """``enum vif_flag``."""

    POLICY = 0x1
    XCONNECT = 0x2
    SERVICE_CHAIN = 0x4
    MIRROR_RX = 0x8
    MIRROR_TX = 0x10
    TX_CSUM = 0x20
    L3 = 0x40
    L2 = 0x80
    DHCP = 0x100
    VHOST_PHYSICAL = 0x200
    PROMISCUOUS = 0x400
    NATIVE_VLAN_TAGGED = 0x800
    NO_MAC_PROXY = 0x1000
    UNKNOWN_UNICAST_FLOOD = 0x10000
    DROP_NEW_FLOWS = 0x40000
    MAC_LEARN = 0x80000
    MAC_PROXY = 0x100000
    ETREE_ROOT = 0x200000
    IGMP = 0x2000000
    MAC_IP_LEARN = 0x40000000


class VifGuard(IntFlag):
    """``enum vif_guard``."""

    MAC = 0x1
    IP = 0x2


class NhType(IntEnum):
    """``enum nh_type``."""

    DEAD = 0
    RECEIVE = 1
    ENCAP = 2
    TUNNEL = 3
    RESOLVE = 4
    DISCARD = 5
    COMPOSITE = 6
    VRF_TRANSLATE = 7
    L2_RECEIVE = 8


class NhFlag(IntFlag):
    """``enum nh_flag``."""

    VALID = 0x1
    POLICY = 0x2
    MPLS_GRE = 0x8
    UDP = 0x10
    MULTICAST = 0x20
    MPLS_UDP = 0x40
    VXLAN = 0x80
    RELAXED_POLICY = 0x100
    FABRIC = 0x200
    ECMP = 0x400
    EVPN = 0x1000
    ENCAP_LIST = 0x2000
    TOR = 0x4000
    ROUTE_LOOKUP = 0x8000
    UNKNOWN_UNICAST_FLOOD = 0x10000
    MAC_LEARN = 0x100000
    ETREE_ROOT = 0x200000
    INDIRECT = 0x400000
    CONTROL_WORD = 0x800000
    L3_VXLAN = 0x2000000


class Family(IntEnum):
    """``enum family``."""

    UNSPEC = 0
    INET = 2
    BRIDGE = 7
    INET6 = 10


class RouteFlag(IntFlag):
    """``enum route_flag``."""

    LABEL = 0x1
    PROXY = 0x2
    TRAP = 0x4
    FLOOD = 0x8
    MAC_IP_LEARNT = 0x10


class BridgeFlag(IntFlag):
    """``enum bridge_flag``."""

    VALID = 0x1
    LABEL = 0x2
    DHCP_FLOOD = 0x4
    MAC_MOVED = 0x8
    CONTROL_WORD = 0x10
    NEW = 0x20
    EVPN_CONTROL = 0x40


class ConfigFlag(IntFlag):
    """``enum config_flag``."""

    CHECK_TUNNEL_SOURCE = 0x1


class BucketKind(IntEnum):
    """``enum bucket_kind``."""

    TRAP = 0
    BUM = 1


class TrapCmd(IntEnum):
    """``enum trap_cmd``."""

    SWITCH = 0
    ROUTE = 1
    ARP = 2
    L2_PROTOCOLS = 3
    NEXTHOP = 4
    RESOLVE = 5
    FLOW_MISS = 6
    L3_PROTOCOLS = 7
    DIAG = 8
    ECMP_RESOLVE = 9
    SOURCE_MISMATCH = 10
    HANDLE_DF = 11
    ZERO_TTL = 12
    ICMP_ERROR = 13
    TOR_CONTROL = 14
    FLOW_ACTION_HOLD = 15
    ROUTER_ALERT = 16
    MAC_LEARN = 17
    MAC_MOVE = 18
    MAC_IP_LEARNING = 19
    BFD = 20


DROP_TEXTS: dict[DropReason, str] = {
    DropReason.INVALID_IF: "Invalid IF",
    DropReason.INVALID_ARP: "Invalid ARP",
    DropReason.TRAP_NO_IF: "Trap No IF",
    DropReason.IF_TX_DISCARD: "IF TX Discard",
    DropReason.IF_DROP: "IF Drop",
    DropReason.IF_RX_DISCARD: "IF RX Discard",
    DropReason.FLOW_UNUSABLE: "Flow Unusable",
    DropReason.FLOW_NO_MEMORY: "Flow No Memory",
    DropReason.FLOW_TABLE_FULL: "Flow Table Full",
    DropReason.FLOW_NAT_NO_RFLOW: "Flow NAT no rflow",
    DropReason.FLOW_ACTION_DROP: "Flow Action Drop",
    DropReason.FLOW_ACTION_INVALID: "Flow Action Invalid",
    DropReason.FLOW_INVALID_PROTOCOL: "Flow Invalid Protocol",
    DropReason.FLOW_QUEUE_LIMIT_EXCEEDED: "Flow Queue Limit Exceeded",
    DropReason.DROP_NEW_FLOW: "New Flow Drops",
    DropReason.FLOW_EVICT: "Flow Unusable (Eviction)",
    DropReason.TRAP_ORIGINAL: "Original Packet Trapped",
    DropReason.DISCARD: "Discards",
    DropReason.TTL_EXCEEDED: "TTL Exceeded",
    DropReason.MCAST_CLONE_FAIL: "Mcast Clone Fail",
    DropReason.INVALID_NH: "Invalid NH",
    DropReason.INVALID_LABEL: "Invalid Label",
    DropReason.INVALID_PROTOCOL: "Invalid Protocol",
    DropReason.ETREE_LEAF_TO_LEAF: "Etree Leaf to Leaf",
    DropReason.BMAC_ISID_MISMATCH: "Bmac/ISID Mismatch",
    DropReason.REWRITE_FAIL: "Rewrite Fail",
    DropReason.INVALID_MCAST_SOURCE: "Invalid Mcast Source",
    DropReason.PACKET_LOOP: "Packet Loop",
    DropReason.PUSH: "Push Fails",
    DropReason.PULL: "Pull Fails",
    DropReason.DUPLICATED: "Duplicate",
    DropReason.HEAD_ALLOC_FAIL: "Head Alloc Fails",
    DropReason.PCOW_FAIL: "PCOW fails",
    DropReason.INVALID_PACKET: "Invalid Packets",
    DropReason.MISC: "Misc",
    DropReason.NOWHERE_TO_GO: "Nowhere to go",
    DropReason.CKSUM_ERR: "Checksum errors",
    DropReason.NO_FMD: "No Fmd",
    DropReason.INVALID_VNID: "Invalid VNID",
    DropReason.FRAGMENTS: "Fragment errors",
    DropReason.INVALID_SOURCE: "Invalid Source",
    DropReason.MCAST_DF_BIT: "Jumbo Mcast Pkt with DF Bit",
    DropReason.L2_NO_ROUTE: "No L2 Route",
    DropReason.NO_MEMORY: "Memory Failures",
    DropReason.FRAGMENT_QUEUE_FAIL: "Fragment Queueing Failures",
    DropReason.NO_ENCRYPT_PATH: "No Encrypt Path Failures",
    DropReason.INVALID_HBS_PKT: "Invalid HBS received packet",
    DropReason.NO_FRAG_ENTRY: "No Fragment Entries",
    DropReason.ICMP_ERROR: "ICMP errors",
    DropReason.CLONE_FAIL: "Clone Failures",
    DropReason.INVALID_UNDERLAY_ECMP: "Invalid underlay ECMP",
    DropReason.CLONED_ORIGINAL: "Cloned Original",
    DropReason.SOURCE_MAC: "Spoofed Source MAC",
    DropReason.SOURCE_IP: "Spoofed Source IP",
    DropReason.TUNNEL_SOURCE: "Tunnel Source",
    DropReason.TRAP_LIMIT: "Trap Limit Exceeded",
    DropReason.BUM_LIMIT: "BUM Limit Exceeded",
    DropReason.PACKET_TOO_BIG: "Packet Too Big",
    DropReason.NEIGHBOUR: "No Neighbour",
}

STRUCTS = {
    "vif": Layout(
        "vif",
        108,
        (
            Field("ifindex", 0, 4, "u32"),
            Field("vrf", 4, 4, "u32"),
            Field("flags", 8, 4, "u32"),
            Field("type", 12, 1, "u8"),
            Field("link", 13, 1, "u8"),
            Field("guard", 14, 1, "u8"),
            Field("mac", 16, 6, "mac"),
            Field("vm_mac", 22, 6, "mac"),
            Field("ip", 28, 4, "ipv4"),
            Field("gateway", 32, 4, "ipv4"),
            Field("mtu", 36, 4, "u32"),
            Field("nh_id", 40, 4, "u32"),
            Field("mcast_vrf", 44, 4, "u32"),
            Field("os_index", 48, 4, "u32"),
            Field("ip6", 52, 16, "ipv6"),
            Field("name", 68, 40, "name"),
        ),
    ),
    "nexthop": Layout(
        "nexthop",
        64,
        (
            Field("type", 0, 1, "u8"),
            Field("family", 1, 1, "u8"),
            Field("ecmp_fields", 2, 1, "u8"),
            Field("flags", 4, 4, "u32"),
            Field("vrf", 8, 4, "u32"),
            Field("oif", 12, 4, "u32"),
            Field("sip", 16, 4, "ipv4"),
            Field("dip", 20, 4, "ipv4"),
            Field("dmac", 24, 6, "mac"),
            Field("smac", 30, 6, "mac"),
            Field("l3_mac", 36, 6, "mac"),
            Field("mtu", 42, 2, "u16"),
            Field("members", 44, 4, "u32"),
        ),
    ),
    "route_key": Layout(
        "route_key",
        8,
        (
            Field("vrf", 0, 4, "u32"),
            Field("ip", 4, 4, "ipv4"),
        ),
    ),
    "route_prefix": Layout(
        "route_prefix",
        12,
        (
            Field("bits", 0, 4, "u32"),
            Field("vrf", 4, 4, "u32"),
            Field("ip", 8, 4, "ipv4"),
        ),
    ),
    "route": Layout(
        "route",
        20,
        (
            Field("nh", 0, 4, "u32"),
            Field("label", 4, 4, "u32"),
            Field("flags", 8, 2, "u16"),
            Field("mac", 10, 6, "mac"),
            Field("ppl", 16, 1, "u8"),
            Field("plen", 17, 1, "u8"),
        ),
    ),
    "bridge_key": Layout(
        "bridge_key",
        12,
        (
            Field("vrf", 0, 4, "u32"),
            Field("mac", 4, 6, "mac"),
        ),
    ),
    "bridge": Layout(
        "bridge",
        24,
        (
            Field("nh", 0, 4, "u32"),
            Field("label", 4, 4, "u32"),
            Field("flags", 8, 2, "u16"),
            Field("packets", 16, 8, "u64"),
        ),
    ),
    "source_prefix": Layout(
        "source_prefix",
        24,
        (
            Field("bits", 0, 4, "u32"),
            Field("vif", 4, 4, "u32"),
            Field("ip", 8, 16, "ipv6"),
        ),
    ),
    "source": Layout(
        "source",
        8,
        (Field("mac", 0, 6, "mac"),),
    ),
    "source_mac": Layout(
        "source_mac",
        12,
        (
            Field("vif", 0, 4, "u32"),
            Field("mac", 4, 6, "mac"),
        ),
    ),
    "config": Layout(
        "config",
        32,
        (
            Field("fabric_ip", 0, 4, "ipv4"),
            Field("fabric_vif", 4, 4, "u32"),
            Field("pkt0_vif", 8, 4, "u32"),
            Field("flags", 12, 4, "u32"),
            Field("trap_rate", 16, 4, "u32"),
            Field("trap_burst", 20, 4, "u32"),
            Field("bum_rate", 24, 4, "u32"),
            Field("bum_burst", 28, 4, "u32"),
        ),
    ),
    "vif_stats": Layout(
        "vif_stats",
        56,
        (
            Field("rx_packets", 0, 8, "u64"),
            Field("rx_bytes", 8, 8, "u64"),
            Field("rx_errors", 16, 8, "u64"),
            Field("tx_packets", 24, 8, "u64"),
            Field("tx_bytes", 32, 8, "u64"),
            Field("tx_errors", 40, 8, "u64"),
            Field("drops", 48, 8, "u64"),
        ),
    ),
    "bucket": Layout(
        "bucket",
        16,
        (
            Field("last", 0, 8, "u64"),
            Field("tokens", 8, 8, "u64"),
        ),
    ),
    "member": Layout(
        "member",
        8,
        (
            Field("nh", 0, 4, "u32"),
            Field("label", 4, 4, "u32"),
        ),
    ),
    "trap_header": Layout(
        "trap_header",
        30,
        (
            Field("vif", 0, 2, "be16"),
            Field("vrf", 2, 2, "be16"),
            Field("cmd", 4, 2, "be16"),
            Field("param", 6, 4, "be32"),
            Field("param1", 10, 4, "be32"),
            Field("param2", 14, 4, "be32"),
            Field("param3", 18, 4, "be32"),
            Field("param4", 22, 4, "be32"),
            Field("param5", 26, 1, "u8"),
        ),
    ),
}
