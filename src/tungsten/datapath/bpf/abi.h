/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The contract between the programs and user space: every key, value and number both sides
 * read. Nothing here depends on the programs. Python's side (tungsten.datapath.abi) is
 * generated from the BTF of the compiled object, so a field is declared here and nowhere else.
 *
 * Typedefs tell the generator how to show a field: ipv4_t as an address, mac_t as a MAC,
 * name_t as text. Addresses and MACs are in network order, all else in the host's.
 * Numbers of types and flags are those that the operator tools have always printed.
 */
#ifndef TUNGSTEN_ABI_H
#define TUNGSTEN_ABI_H

#include <linux/types.h>

#include "reasons.h"

typedef __u32 ipv4_t; /* network order */
typedef __u8 ipv6_t[16];
typedef __u8 mac_t[6];
typedef char name_t[40];

enum limit {
	LIMIT_VIFS = 4352,
	LIMIT_MEMBERS = 128,
	LIMIT_DROP_SLOTS = 64, /* room for the reasons of one interface; a power of two */
	/* Raised when meaning changes while sizes stay; sizes and offsets are compared by BTF. */
	LIMIT_ABI_VERSION = 1,
};

enum vif_type {
	VIF_HOST = 0,
	VIF_AGENT = 1,
	VIF_PHYSICAL = 2,
	VIF_VIRTUAL = 3,
	VIF_VIRTUAL_VLAN = 6,
};

/* How a packet is given to the port: veth allows redirect_peer, a tap does not. */
enum vif_link {
	LINK_OTHER = 0,
	LINK_VETH = 1,
	LINK_TAP = 2,
};

enum vif_flag {
	VIF_POLICY = 0x1,
	VIF_XCONNECT = 0x2,
	VIF_SERVICE_CHAIN = 0x4,
	VIF_MIRROR_RX = 0x8,
	VIF_MIRROR_TX = 0x10,
	VIF_TX_CSUM = 0x20,
	VIF_L3 = 0x40,
	VIF_L2 = 0x80,
	VIF_DHCP = 0x100,
	VIF_VHOST_PHYSICAL = 0x200,
	VIF_PROMISCUOUS = 0x400,
	VIF_NATIVE_VLAN_TAGGED = 0x800,
	VIF_NO_MAC_PROXY = 0x1000,
	VIF_UNKNOWN_UNICAST_FLOOD = 0x10000,
	VIF_DROP_NEW_FLOWS = 0x40000,
	VIF_MAC_LEARN = 0x80000,
	VIF_MAC_PROXY = 0x100000,
	VIF_ETREE_ROOT = 0x200000,
	VIF_IGMP = 0x2000000,
	VIF_MAC_IP_LEARN = 0x40000000,
};

/* What a workload's frames are held to. */
enum vif_guard {
	GUARD_MAC = 0x1, /* source MAC must be the port's or one of its sources' */
	GUARD_IP = 0x2,	 /* source address must be the port's or one of its sources' */
};

struct vif {
	__u32 ifindex; /* 0: no such interface */
	__u32 vrf;
	__u32 flags;
	__u8 type;
	__u8 link;
	__u8 guard;
	__u8 reserved;
	mac_t mac;    /* the vRouter's own MAC on this interface */
	mac_t vm_mac; /* the workload's MAC */
	ipv4_t ip;    /* the workload's address */
	ipv4_t gateway; /* source of ICMP errors sent to the workload */
	__u32 mtu; /* IP MTU; 0: not checked */
	__u32 nh_id;
	__u32 mcast_vrf;
	__u32 os_index;
	ipv6_t ip6;
	name_t name;
};

enum nh_type {
	NH_DEAD = 0,
	NH_RECEIVE = 1,
	NH_ENCAP = 2,
	NH_TUNNEL = 3,
	NH_RESOLVE = 4,
	NH_DISCARD = 5,
	NH_COMPOSITE = 6,
	NH_VRF_TRANSLATE = 7,
	NH_L2_RECEIVE = 8,
};

enum nh_flag {
	NH_VALID = 0x1,
	NH_POLICY = 0x2,
	NH_MPLS_GRE = 0x8,
	NH_UDP = 0x10,
	NH_MULTICAST = 0x20,
	NH_MPLS_UDP = 0x40,
	NH_VXLAN = 0x80,
	NH_RELAXED_POLICY = 0x100,
	NH_FABRIC = 0x200,
	NH_ECMP = 0x400,
	NH_EVPN = 0x1000,
	NH_ENCAP_LIST = 0x2000, /* composite of local interfaces */
	NH_TOR = 0x4000,
	NH_ROUTE_LOOKUP = 0x8000,
	NH_UNKNOWN_UNICAST_FLOOD = 0x10000,
	NH_MAC_LEARN = 0x100000,
	NH_ETREE_ROOT = 0x200000,
	NH_INDIRECT = 0x400000,
	NH_CONTROL_WORD = 0x800000,
	NH_L3_VXLAN = 0x2000000,
};

enum family {
	FAMILY_UNSPEC = 0,
	FAMILY_INET = 2,
	FAMILY_BRIDGE = 7,
	FAMILY_INET6 = 10,
};

struct nexthop {
	__u8 type;
	__u8 family; /* payload: INET bare packets, BRIDGE frames */
	__u8 ecmp_fields;
	__u8 reserved;
	__u32 flags;
	__u32 vrf;
	__u32 oif; /* vif id */
	ipv4_t sip;
	ipv4_t dip;
	mac_t dmac; /* tunnel: all zero while the neighbour is not resolved */
	mac_t smac;
	mac_t l3_mac; /* L3 over VXLAN: router MAC of the peer */
	__u16 mtu; /* tunnel: IP MTU of the path; 0: the fabric interface's */
	__u32 members; /* how many of the composite's are used */
	__u32 reserved2[4];
};

struct member {
	__u32 nh; /* 0: empty slot */
	__u32 label;
};

struct composite {
	__u32 count;
	__u32 reserved;
	struct member member[LIMIT_MEMBERS];
};

enum route_flag {
	ROUTE_LABEL = 0x1,
	ROUTE_PROXY = 0x2,
	ROUTE_TRAP = 0x4,
	ROUTE_FLOOD = 0x8,
	ROUTE_MAC_IP_LEARNT = 0x10,
};

struct route_key {
	__u32 vrf;
	ipv4_t ip;
};

struct route_prefix {
	__u32 bits; /* 32 + prefix length */
	__u32 vrf;
	ipv4_t ip;
};

struct route {
	__u32 nh;
	__u32 label;
	__u16 flags;
	mac_t mac; /* stitched MAC; all zero: none */
	__u8 ppl; /* length of the covering route */
	__u8 plen; /* length of this one: a trie lookup tells exact from covering */
	__u8 reserved[2];
};

enum bridge_flag {
	BRIDGE_VALID = 0x1,
	BRIDGE_LABEL = 0x2,
	BRIDGE_DHCP_FLOOD = 0x4,
	BRIDGE_MAC_MOVED = 0x8,
	BRIDGE_CONTROL_WORD = 0x10,
	BRIDGE_NEW = 0x20,
	BRIDGE_EVPN_CONTROL = 0x40,
};

struct bridge_key {
	__u32 vrf;
	mac_t mac;
	__u16 reserved;
};

struct bridge {
	__u32 nh;
	__u32 label;
	__u16 flags;
	__u8 reserved[6];
	__u64 packets;
};

/* Further sources a workload may use: LPM on (vif, address), IPv4 as ::ffff:a.b.c.d. */
struct source_prefix {
	__u32 bits; /* 32 + prefix length in the IPv6 form */
	__u32 vif;
	ipv6_t ip;
};

struct source {
	mac_t mac; /* all zero: the port's own MAC */
	__u16 reserved;
};

struct source_mac {
	__u32 vif;
	mac_t mac;
	__u16 reserved;
};

enum config_flag {
	CONFIG_CHECK_TUNNEL_SOURCE = 0x1,
};

struct config {
	ipv4_t fabric_ip; /* tunnels are received on this address only */
	__u32 fabric_vif;
	__u32 pkt0_vif;
	__u32 flags;
	__u32 trap_rate; /* per interface and second */
	__u32 trap_burst;
	__u32 bum_rate; /* broadcast, unknown, multicast frames per interface and second */
	__u32 bum_burst;
};

struct vif_stats {
	__u64 rx_packets;
	__u64 rx_bytes;
	__u64 rx_errors;
	__u64 tx_packets;
	__u64 tx_bytes;
	__u64 tx_errors;
	__u64 drops;
};

enum bucket_kind {
	BUCKET_TRAP = 0,
	BUCKET_BUM = 1,
	BUCKET_KINDS = 2,
};

struct bucket {
	__u64 last; /* coarse monotonic nanoseconds */
	__u64 tokens; /* in nanotokens: 10^9 is one packet */
};

enum trap_cmd {
	TRAP_SWITCH = 0,
	TRAP_ROUTE = 1,
	TRAP_ARP = 2,
	TRAP_L2_PROTOCOLS = 3,
	TRAP_NEXTHOP = 4,
	TRAP_RESOLVE = 5,
	TRAP_FLOW_MISS = 6,
	TRAP_L3_PROTOCOLS = 7,
	TRAP_DIAG = 8,
	TRAP_ECMP_RESOLVE = 9,
	TRAP_SOURCE_MISMATCH = 10,
	TRAP_HANDLE_DF = 11,
	TRAP_ZERO_TTL = 12,
	TRAP_ICMP_ERROR = 13,
	TRAP_TOR_CONTROL = 14,
	TRAP_FLOW_ACTION_HOLD = 15,
	TRAP_ROUTER_ALERT = 16,
	TRAP_MAC_LEARN = 17,
	TRAP_MAC_MOVE = 18,
	TRAP_MAC_IP_LEARNING = 19,
	TRAP_BFD = 20,
};

/* In front of every frame on pkt0, after its Ethernet header; all fields in network order. */
struct trap_header {
	__be16 vif;
	__be16 vrf;
	__be16 cmd;
	__be32 param;
	__be32 param1;
	__be32 param2;
	__be32 param3;
	__be32 param4;
	__u8 param5;
	__u8 reserved[3];
} __attribute__((packed));

/* Names every enum and struct above, so that BTF carries them all. */
struct abi {
	__u32 version;
	enum limit limit;
	enum drop_reason drop_reason;
	enum vif_type vif_type;
	enum vif_link vif_link;
	enum vif_flag vif_flag;
	enum vif_guard vif_guard;
	enum nh_type nh_type;
	enum nh_flag nh_flag;
	enum family family;
	enum route_flag route_flag;
	enum bridge_flag bridge_flag;
	enum config_flag config_flag;
	enum bucket_kind bucket_kind;
	enum trap_cmd trap_cmd;
	struct trap_header trap_header;
};

#endif
