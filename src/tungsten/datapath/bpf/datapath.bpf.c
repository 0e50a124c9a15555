// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The programs, each at TCX ingress of one kind of port:
 *
 *     vif_rx    a workload's port: guard, local answers, bridge or route
 *     fab_rx    the fabric: open tunnels that are for us, leave the rest to the host
 *     pkt0_rx   the agent's tap: send or route what the agent wrote
 *
 * Read in this order: packet.h (what is known of a packet), maps.h and abi.h (tables),
 * forward.h, nexthop.h, encap.h, decap.h.
 */
#include "decap.h"

#define PORT_DHCP_SERVER 67
#define PORT_DHCP_CLIENT 68

/* The port a packet came in on; counts it. NULL: the device is not one of ours. */
INLINE struct vif *receive(struct __sk_buff *skb, struct work *work)
{
	__u32 ifindex = skb->ifindex;
	__u32 *id = bpf_map_lookup_elem(&vif_index, &ifindex);
	struct vif *vif;

	if (!id)
		return NULL;
	vif = vif_lookup(*id);
	if (!vif)
		return NULL;
	work->vif = *id;
	work->vrf = vif->vrf;
	count_rx(skb, *id);
	return vif;
}

/* Whether UDP goes from one port to another; a fragment without ports does not. */
INLINE int is_udp(struct __sk_buff *skb, const struct iphdr *ip, __u32 source, __u32 dest)
{
	__u32 at_ports = ETH_LEN + ip->ihl * 4;
	__be16 ports[2];

	if (ip->protocol != IPPROTO_UDP || ip->frag_off & bpf_htons(IP_OFFSET) ||
	    bpf_skb_load_bytes(skb, at_ports, ports, sizeof(ports)))
		return 0;
	return ports[0] == bpf_htons(source) && ports[1] == bpf_htons(dest);
}

/* IPv4 of a workload, before it is bridged or routed; VERDICT_NEXT: go on. */
INLINE int workload_ipv4(struct __sk_buff *skb, struct work *work, struct vif *vif)
{
	struct ethhdr *eth;
	struct iphdr *ip;

	if (!need(skb, ETH_LEN + IP_LEN))
		return drop(work, DROP_INVALID_PACKET);
	/* ports, when there are any; what is shorter is a matter of those who read them */
	if (!need(skb, ETH_LEN + IP_LEN + 8) && skb->len >= ETH_LEN + IP_LEN + 8)
		return drop(work, DROP_PULL);
	eth = at(skb, 0, ETH_LEN + IP_LEN);
	if (!eth)
		return drop(work, DROP_PULL);
	ip = (void *)(eth + 1);
	if (!ip_valid(skb, ip))
		return drop(work, DROP_INVALID_PACKET);
	if (vif->flags & VIF_DHCP) {
		if (is_udp(skb, ip, PORT_DHCP_CLIENT, PORT_DHCP_SERVER))
			return trap(skb, work, TRAP_L3_PROTOCOLS, 0);
		if (vif->guard & GUARD_IP && is_udp(skb, ip, PORT_DHCP_SERVER, PORT_DHCP_CLIENT))
			return drop(work, DROP_INVALID_SOURCE);
	}
	if (!ip_allowed(work->vif, vif, eth->h_source, ip->saddr))
		return drop(work, DROP_SOURCE_IP);
	if (!mac_equal(eth->h_dest, vif->mac))
		return VERDICT_NEXT;
	if (!(vif->flags & VIF_L3))
		return drop(work, DROP_L2_NO_ROUTE);
	return l3_forward(skb, work);
}

INLINE int workload_arp(struct __sk_buff *skb, struct work *work)
{
	int verdict = VERDICT_DROP;

	switch (arp_input(skb, work, &verdict)) {
	case ARP_DONE:
		return verdict;
	case ARP_FLOOD:
		return flood_frame(skb, work);
	default:
		return VERDICT_NEXT;
	}
}

INLINE int workload_input(struct __sk_buff *skb, struct work *work, struct vif *vif)
{
	int verdict = VERDICT_NEXT;
	struct ethhdr *eth;

	if (skb->vlan_present)
		return drop(work, DROP_INVALID_PROTOCOL);
	if (!need(skb, ETH_LEN))
		return drop(work, DROP_INVALID_PACKET);
	eth = at(skb, 0, ETH_LEN);
	if (!eth)
		return drop(work, DROP_PULL);
	if (mac_multicast(eth->h_source))
		return drop(work, DROP_INVALID_PACKET);
	if (!mac_allowed(work->vif, vif, eth->h_source))
		return drop(work, DROP_SOURCE_MAC);
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		verdict = workload_ipv4(skb, work, vif);
	} else if (eth->h_proto == bpf_htons(ETH_P_ARP)) {
		verdict = workload_arp(skb, work);
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		verdict = ip6_check(skb, work->vif);
		if (verdict != DROP_REASON_COUNT)
			return drop(work, verdict);
		verdict = VERDICT_NEXT;
	} else {
		return drop(work, DROP_INVALID_PROTOCOL);
	}
	if (verdict != VERDICT_NEXT || work->l3)
		return verdict;
	if (!(vif->flags & VIF_L2))
		return drop(work, DROP_L2_NO_ROUTE);
	return l2_forward(skb, work, vif->flags & VIF_UNKNOWN_UNICAST_FLOOD);
}

SEC("tc")
int vif_rx(struct __sk_buff *skb)
{
	struct work work = {};
	struct vif *vif = receive(skb, &work);

	/* A device that has our program and no entry is one being set up or taken down. */
	if (!vif || vif->type != VIF_VIRTUAL)
		return drop(&work, DROP_INVALID_IF);
	return workload_input(skb, &work, vif);
}

SEC("tc")
int fab_rx(struct __sk_buff *skb)
{
	struct work work = {};

	if (!receive(skb, &work))
		return VERDICT_NEXT;
	return fabric_input(skb, &work);
}

/* Takes off what the agent put in front, as trap.h puts it. */
INLINE int agent_strip(struct __sk_buff *skb, struct work *work)
{
	return skb->len >= TRAP_LEN + ETH_LEN && strip_to_frame(skb, work, TRAP_LEN);
}

SEC("tc")
int pkt0_rx(struct __sk_buff *skb)
{
	struct trap_header header;
	struct work work = {};
	struct ethhdr *eth;
	struct iphdr *ip;
	struct vif *out;
	__u32 id;

	if (!receive(skb, &work))
		return drop(&work, DROP_INVALID_IF);
	if (skb->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes(skb, ETH_LEN, &header, sizeof(header)))
		return drop(&work, DROP_INVALID_PACKET);
	if (!agent_strip(skb, &work))
		return drop(&work, DROP_PULL);
	id = bpf_ntohs(header.vif);
	if (header.cmd == bpf_htons(TRAP_SWITCH)) {
		out = vif_lookup(id);
		if (!out || out->type == VIF_AGENT)
			return drop(&work, DROP_INVALID_IF);
		return deliver(skb, &work, id, out);
	}
	if (header.cmd != bpf_htons(TRAP_ROUTE))
		return drop(&work, DROP_INVALID_PACKET);
	work.vrf = bpf_ntohs(header.vrf);
	if (!need(skb, ETH_LEN + IP_LEN))
		return drop(&work, DROP_INVALID_PACKET);
	eth = at(skb, 0, ETH_LEN + IP_LEN);
	if (!eth)
		return drop(&work, DROP_PULL);
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return l2_forward(skb, &work, 0);
	ip = (void *)(eth + 1);
	if (!ip_valid(skb, ip))
		return drop(&work, DROP_INVALID_PACKET);
	return l3_forward(skb, &work);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
