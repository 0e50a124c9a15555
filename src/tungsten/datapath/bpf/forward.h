/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Bridging and routing in a VRF: from a frame to its next hop. */
#ifndef TUNGSTEN_FORWARD_H
#define TUNGSTEN_FORWARD_H

#include "arp.h"

/* RFC 791 3.1, as far as forwarding depends on it. Packets are whole unless padded. */
INLINE int ip_valid(struct __sk_buff *skb, const struct iphdr *ip)
{
	__u32 length = bpf_ntohs(ip->tot_len), header = ip->ihl * 4;

	return ip->version == 4 && header >= IP_LEN && length >= header &&
	       length <= skb->len - ETH_LEN;
}

/* Routes the packet in work->vrf. The header was found valid. */
INLINE int l3_forward(struct __sk_buff *skb, struct work *work)
{
	struct iphdr *ip = at(skb, ETH_LEN, IP_LEN);

	if (!ip)
		return drop(work, DROP_PULL);
	if (ip_multicast(ip->daddr))
		return drop(work, DROP_DISCARD);
	work->l3 = 1;
	if (!reroute(skb, work))
		return drop(work, DROP_DISCARD);
	return nexthop_output(skb, work);
}

INLINE int flood_frame(struct __sk_buff *skb, struct work *work)
{
	struct bridge *entry = bridge_flood_entry(work->vrf);

	if (!entry)
		return drop(work, DROP_L2_NO_ROUTE);
	__sync_fetch_and_add(&entry->packets, 1);
	work->nh = entry->nh;
	work->label = entry->label;
	return nexthop_output(skb, work);
}

/* Bridges the frame in work->vrf, or routes it when its MAC is one that we receive. */
GLOBAL int l2_forward(struct __sk_buff *skb, struct work *work, int unknown_flood)
{
	struct ethhdr *eth = at(skb, 0, ETH_LEN);
	struct bridge *entry;
	struct nexthop *nh;
	struct iphdr *ip;

	if (!work)
		return VERDICT_DROP;
	if (!eth)
		return drop(work, DROP_PULL);
	if (mac_multicast(eth->h_dest))
		return flood_frame(skb, work);
	entry = bridge_lookup(work->vrf, eth->h_dest);
	if (!entry)
		return unknown_flood ? flood_frame(skb, work) : drop(work, DROP_L2_NO_ROUTE);
	__sync_fetch_and_add(&entry->packets, 1);
	work->nh = entry->nh;
	work->label = entry->label;
	nh = nexthop_lookup(entry->nh);
	if (!nh || nh->type != NH_L2_RECEIVE)
		return nexthop_output(skb, work);
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return drop(work, DROP_INVALID_PROTOCOL);
	if (!need(skb, ETH_LEN + IP_LEN))
		return drop(work, DROP_INVALID_PACKET);
	ip = at(skb, ETH_LEN, IP_LEN);
	if (!ip || !ip_valid(skb, ip))
		return drop(work, DROP_INVALID_PACKET);
	return l3_forward(skb, work);
}

#endif
