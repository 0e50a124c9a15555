/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What next hops do. work->nh and work->label say which; ECMP and translations lead to
 * another next hop, a bounded number of times.
 *
 * The TTL goes down once per route lookup, on the host that made it: not for frames that are
 * bridged, not for what a label delivers, not for what goes to the host or the agent.
 */
#ifndef TUNGSTEN_NEXTHOP_H
#define TUNGSTEN_NEXTHOP_H

#include "encap.h"
#include "flood.h"
#include "trap.h"

#define NEXTHOP_STEPS 4

/* To the agent's port: an echo is answered here, the rest is trapped. */
INLINE int agent_output(struct __sk_buff *skb, struct work *work)
{
	int verdict;

	if (work->from_fabric)
		return drop(work, DROP_INVALID_SOURCE);
	verdict = icmp_echo(skb, work);
	return verdict == VERDICT_NEXT ? trap(skb, work, TRAP_NEXTHOP, work->nh) : verdict;
}

/* Takes the hop off the TTL. Below zero: go on; else the verdict of what answered. */
INLINE int ttl_step(struct __sk_buff *skb, struct work *work)
{
	struct iphdr *ip;

	if (!work->routed)
		return -2;
	ip = at(skb, ETH_LEN, IP_LEN);
	if (!ip)
		return drop(work, DROP_PULL);
	if (ip->ttl <= 1)
		return icmp_error(skb, work, ICMP_TIME_EXCEEDED << 8, 0, DROP_TTL_EXCEEDED);
	ip_decrement_ttl(ip);
	return -2;
}

/* To a local port. */
GLOBAL int local_output(struct __sk_buff *skb, struct work *work)
{
	struct nexthop *nh;
	struct ethhdr *eth;
	struct vif *out;
	int verdict;

	if (!work)
		return VERDICT_DROP;
	nh = nexthop_lookup(work->nh);
	if (!nh)
		return drop(work, DROP_INVALID_NH);
	out = vif_lookup(nh->oif);
	if (!out)
		return drop(work, DROP_INVALID_IF);
	if (out->type == VIF_AGENT)
		return agent_output(skb, work);
	if (!work->l3) {
		if (!work->from_fabric && nh->oif == work->vif)
			return drop(work, DROP_PACKET_LOOP);
		return deliver(skb, work, nh->oif, out);
	}
	verdict = ttl_step(skb, work);
	if (verdict != -2)
		return verdict;
	if (out->mtu && segment_length(skb) > out->mtu)
		return icmp_error(skb, work, ICMP_DEST_UNREACH << 8 | ICMP_FRAG_NEEDED, out->mtu,
				  DROP_PACKET_TOO_BIG);
	eth = at(skb, 0, ETH_LEN);
	if (!eth)
		return drop(work, DROP_PULL);
	mac_copy(eth->h_dest, nh->dmac);
	mac_copy(eth->h_source, mac_zero(nh->smac) ? out->mac : nh->smac);
	eth->h_proto = bpf_htons(ETH_P_IP);
	return deliver(skb, work, nh->oif, out);
}

struct ecmp_scan {
	struct composite *set;
	__u32 slot;
	__u32 nh;
	__u32 label;
};

static long ecmp_probe(__u32 step, void *data)
{
	struct ecmp_scan *scan = data;
	__u32 slot = scan->slot + step;

	if (!scan->set || step >= scan->set->count)
		return 1;
	if (slot >= scan->set->count)
		slot -= scan->set->count;
	if (slot >= LIMIT_MEMBERS)
		return 1;
	scan->nh = scan->set->member[slot].nh;
	scan->label = scan->set->member[slot].label;
	return scan->nh != 0;
}

/* One member by the flow's hash; an empty slot's flows go to the next that is filled. */
GLOBAL int ecmp_select(struct __sk_buff *skb, struct work *work)
{
	struct ecmp_scan scan = {};

	if (!work)
		return 0;
	scan.set = bpf_map_lookup_elem(&composites, &work->nh);
	if (!scan.set || !scan.set->count)
		return 0;
	scan.slot = bpf_get_hash_recalc(skb) % scan.set->count;
	if (!ecmp_probe(0, &scan))
		bpf_loop(LIMIT_MEMBERS, ecmp_probe, &scan, 0);
	work->nh = scan.nh;
	work->label = scan.label;
	return scan.nh != 0;
}

/* To the host's own stack, which wants the frame addressed to it. */
INLINE int host_output(struct __sk_buff *skb, struct work *work)
{
	if (!work->l3)
		return drop(work, DROP_NOWHERE_TO_GO);
	bpf_skb_change_type(skb, 0);
	return VERDICT_NEXT;
}

INLINE int reroute(struct __sk_buff *skb, struct work *work)
{
	struct iphdr *ip = at(skb, ETH_LEN, IP_LEN);
	struct route *route;

	if (!ip || !work->l3)
		return 0;
	route = route_lookup(work->vrf, ip->daddr);
	if (!route)
		return 0;
	work->nh = route->nh;
	work->label = route->label;
	work->routed = 1;
	return 1;
}

GLOBAL int nexthop_output(struct __sk_buff *skb, struct work *work)
{
	struct nexthop *nh = NULL;
	int step, verdict;

	if (!work)
		return VERDICT_DROP;
	for (step = 0; step < NEXTHOP_STEPS; step++) {
		nh = nexthop_lookup(work->nh);
		if (!nh)
			return drop(work, DROP_INVALID_NH);
		if (nh->type == NH_COMPOSITE && nh->flags & NH_ECMP) {
			if (!ecmp_select(skb, work))
				return drop(work, DROP_INVALID_NH);
		} else if (nh->type == NH_VRF_TRANSLATE) {
			work->vrf = nh->vrf;
			if (!reroute(skb, work))
				return drop(work, DROP_DISCARD);
		} else {
			break;
		}
		nh = NULL;
	}
	if (!nh)
		return drop(work, DROP_PACKET_LOOP);
	switch (nh->type) {
	case NH_ENCAP:
		return local_output(skb, work);
	case NH_TUNNEL:
		if (work->from_fabric)
			return drop(work, DROP_INVALID_SOURCE);
		verdict = ttl_step(skb, work);
		return verdict == -2 ? tunnel_output(skb, work) : verdict;
	case NH_COMPOSITE:
		return work->l3 ? drop(work, DROP_INVALID_NH) : flood(skb, work);
	case NH_RECEIVE:
		return host_output(skb, work);
	case NH_DISCARD:
		return drop(work, DROP_DISCARD);
	default:
		return drop(work, DROP_NOWHERE_TO_GO);
	}
}

#endif
