/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Tunnels, outgoing. In front of the payload go (offsets in bytes)
 *
 *     MPLS over UDP   Ethernet 0, IPv4 14, UDP 34, label 42             RFC 7510
 *     MPLS over GRE   Ethernet 0, IPv4 14, GRE 34, label 38             RFC 4023
 *     VXLAN           Ethernet 0, IPv4 14, UDP 34, VXLAN 42             RFC 7348
 *
 * and the payload is a packet, or a frame with its Ethernet header (always, for VXLAN). The
 * room is made by adjust_room, which also tells the kernel how to segment a super-packet later:
 * FIXED_GSO keeps the segments' size, so the fabric must carry what is checked here. Frames
 * that are not IP grow by change_head; those are never super-packets.
 */
#ifndef TUNGSTEN_ENCAP_H
#define TUNGSTEN_ENCAP_H

#include "icmp.h"

#define PORT_MPLS_UDP 6635
#define PORT_VXLAN 4789
#define ENTROPY_BASE 49152
#define ENTROPY_MASK 0x3fff
#define IP_DF 0x4000
#define MPLS_BOTTOM 0x100
#define VXLAN_HAS_VNI 0x08000000
#define ERR_ALREADY -114 /* the packet is a tunnel already: a workload's own overlay */
#define ETH_P_MPLS 0x8847

/* Lengths of outer headers without the outer Ethernet header and without an inner one. */
INLINE __u32 tunnel_overhead(__u32 flags)
{
	return flags & NH_MPLS_GRE ? IP_LEN + 8 : flags & NH_VXLAN ? IP_LEN + 16 : IP_LEN + 12;
}

/* IP length of the packet, or of the longest segment it will be cut into. */
INLINE __u32 segment_length(struct __sk_buff *skb)
{
	__u32 gso = skb->gso_size;
	struct iphdr *ip;
	__u8 *tcp;

	if (!gso)
		return skb->len - ETH_LEN;
	ip = at(skb, ETH_LEN, IP_LEN);
	if (!ip)
		return skb->len - ETH_LEN;
	if (ip->version != 4) /* IPv6 header and TCP with time stamps */
		return 40 + 32 + gso;
	if (ip->protocol != IPPROTO_TCP)
		return IP_LEN + 8 + gso;
	tcp = at(skb, ETH_LEN + IP_LEN + 12, 1);
	return IP_LEN + (tcp ? (*tcp >> 4) * 4 : 60) + gso;
}

/* Writes the outer headers over the room in front; `ttl` is the label's. */
INLINE int tunnel_write(struct __sk_buff *skb, const struct nexthop *nh, __u32 label, __u32 ttl,
			__u32 entropy)
{
	__u32 length = skb->len - ETH_LEN, flags = nh->flags;
	struct ethhdr *eth = at(skb, 0, ETH_LEN + IP_LEN + 8);
	__be32 *shim;
	struct iphdr *ip;
	struct udphdr *udp;

	if (!eth || length > 0xffff)
		return 0;
	mac_copy(eth->h_dest, nh->dmac);
	mac_copy(eth->h_source, nh->smac);
	eth->h_proto = bpf_htons(ETH_P_IP);
	ip = (void *)(eth + 1);
	ip_write(ip, length, IP_DF, 64, flags & NH_MPLS_GRE ? IPPROTO_GRE : IPPROTO_UDP, nh->sip,
		 nh->dip);
	shim = (void *)(ip + 1);
	if (flags & NH_MPLS_GRE) {
		shim[0] = bpf_htonl(ETH_P_MPLS);
		shim[1] = bpf_htonl(label << 12 | MPLS_BOTTOM | ttl);
		return 1;
	}
	udp = (void *)(ip + 1);
	udp->source = bpf_htons(ENTROPY_BASE + (entropy & ENTROPY_MASK));
	udp->dest = bpf_htons(flags & NH_VXLAN ? PORT_VXLAN : PORT_MPLS_UDP);
	udp->len = bpf_htons(length - IP_LEN);
	udp->check = 0;
	shim = at(skb, ETH_LEN + IP_LEN + 8, 8);
	if (!shim)
		return 0;
	if (flags & NH_VXLAN) {
		shim[0] = bpf_htonl(VXLAN_HAS_VNI);
		shim[1] = bpf_htonl(label << 8);
	} else {
		shim[0] = bpf_htonl(label << 12 | MPLS_BOTTOM | ttl);
	}
	return 1;
}

/*
 * Fills in the outer MACs from the kernel's neighbour table, for a next hop that has none and
 * a packet that redirect_neigh would misread: it goes by skb->protocol, which is not IP here.
 */
GLOBAL int neighbour_fill(struct __sk_buff *skb, __u32 ifindex)
{
	struct bpf_fib_lookup fib = {.family = 2 /* AF_INET */, .ifindex = ifindex};
	struct ethhdr *eth = at(skb, 0, ETH_LEN + IP_LEN);
	struct iphdr *ip;

	if (!eth)
		return 0;
	ip = (void *)(eth + 1);
	fib.ipv4_src = ip->saddr;
	fib.ipv4_dst = ip->daddr;
	if (bpf_fib_lookup(skb, &fib, sizeof(fib), BPF_FIB_LOOKUP_OUTPUT))
		return 0;
	eth = at(skb, 0, ETH_LEN);
	if (!eth)
		return 0;
	mac_copy(eth->h_dest, fib.dmac);
	mac_copy(eth->h_source, fib.smac);
	return 1;
}

/* Sends an encapsulated packet; a next hop without a MAC asks the kernel's neighbour table. */
INLINE int tunnel_send(struct __sk_buff *skb, const struct work *work, const struct nexthop *nh,
		       struct vif *fabric, int ip_payload)
{
	count_tx(skb, nh->oif);
	if (!mac_zero(nh->dmac))
		return bpf_redirect(fabric->ifindex, 0);
	if (ip_payload)
		return bpf_redirect_neigh(fabric->ifindex, NULL, 0, 0);
	if (!neighbour_fill(skb, fabric->ifindex))
		return drop(work, DROP_NEIGHBOUR);
	return bpf_redirect(fabric->ifindex, 0);
}

/* Grows an IP packet for the tunnel; `inner` says a frame is carried, not a packet. */
INLINE int tunnel_grow(struct __sk_buff *skb, __u32 flags, int inner)
{
	__u64 room = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	__u32 length = tunnel_overhead(flags) + (inner ? ETH_LEN : 0);
	int error;

	room |= flags & NH_MPLS_GRE ? BPF_F_ADJ_ROOM_ENCAP_L4_GRE : BPF_F_ADJ_ROOM_ENCAP_L4_UDP;
	if (inner)
		room |= BPF_F_ADJ_ROOM_ENCAP_L2(ETH_LEN) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH;
	error = bpf_skb_adjust_room(skb, length, BPF_ADJ_ROOM_MAC, room);
	if (error == ERR_ALREADY)
		error = bpf_skb_adjust_room(skb, length, BPF_ADJ_ROOM_MAC,
					    BPF_F_ADJ_ROOM_FIXED_GSO);
	return error;
}

/*
 * What the label's TTL starts from: the packet's own, 64 for frames. At least 2: who takes the
 * label off counts it down, and the last hop that a packet had left was this one, not that.
 */
INLINE __u32 label_ttl(struct __sk_buff *skb, const struct work *work)
{
	struct iphdr *ip = at(skb, ETH_LEN, IP_LEN);

	if (!work->l3 || !ip)
		return 64;
	return ip->ttl > 2 ? ip->ttl : 2;
}

GLOBAL int tunnel_output(struct __sk_buff *skb, struct work *work)
{
	struct nexthop *nh;
	__u32 flags, overhead, mtu, ttl, entropy;
	struct vif *fabric;
	int inner, is_ip;
	__u8 frame[ETH_LEN];

	if (!work)
		return VERDICT_DROP;
	nh = nexthop_lookup(work->nh);
	if (!nh)
		return drop(work, DROP_INVALID_NH);
	fabric = vif_lookup(nh->oif);
	if (!fabric)
		return drop(work, DROP_INVALID_IF);
	flags = nh->flags;
	inner = !work->l3 || flags & NH_VXLAN;
	overhead = tunnel_overhead(flags) + (inner ? ETH_LEN : 0);
	is_ip = skb->protocol == bpf_htons(ETH_P_IP) || skb->protocol == bpf_htons(ETH_P_IPV6);
	mtu = nh->mtu ? nh->mtu : fabric->mtu;
	if (mtu && segment_length(skb) + overhead > mtu) {
		if (skb->protocol != bpf_htons(ETH_P_IP))
			return drop(work, DROP_PACKET_TOO_BIG);
		return icmp_error(skb, work, ICMP_DEST_UNREACH << 8 | ICMP_FRAG_NEEDED,
				  mtu - overhead, DROP_PACKET_TOO_BIG);
	}
	ttl = label_ttl(skb, work);
	entropy = bpf_get_hash_recalc(skb);
	if (inner && bpf_skb_load_bytes(skb, 0, frame, ETH_LEN))
		return drop(work, DROP_PULL);
	if (inner && work->l3) {
		mac_copy(frame, nh->l3_mac);
		mac_copy(frame + ETH_ALEN, nh->smac);
	}
	if (is_ip) {
		if (tunnel_grow(skb, flags, inner))
			return drop(work, DROP_PUSH);
		/* the inner header lies as far in as the payload was pushed */
		if (inner && bpf_skb_store_bytes(skb, overhead, frame, ETH_LEN, 0))
			return drop(work, DROP_PUSH);
	} else if (bpf_skb_change_head(skb, overhead, 0)) {
		return drop(work, DROP_HEAD_ALLOC_FAIL);
	}
	if (!tunnel_write(skb, nh, work->label, ttl, entropy))
		return drop(work, DROP_PUSH);
	return tunnel_send(skb, work, nh, fabric, is_ip);
}

#endif
