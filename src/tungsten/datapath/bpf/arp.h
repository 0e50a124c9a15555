/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ARP (RFC 826) from workloads. The route of the address asked for decides: PROXY is answered
 * here, with the MAC stitched to the route (the workload then bridges to it) or else with the
 * port's own (the workload then routes); anything else is flooded. Requests by which a host
 * announces or probes its own address are never answered.
 */
#ifndef TUNGSTEN_ARP_H
#define TUNGSTEN_ARP_H

#include "guard.h"
#include "nexthop.h"

/* <linux/if_arp.h> needs a C library's headers */
#define ARPHRD_ETHER 1
#define ARPOP_REQUEST 1
#define ARPOP_REPLY 2

struct arp {
	struct ethhdr eth;
	__be16 hrd;
	__be16 pro;
	__u8 hln;
	__u8 pln;
	__be16 op;
	__u8 sha[ETH_ALEN];
	__be32 spa;
	__u8 tha[ETH_ALEN];
	__be32 tpa;
} __attribute__((packed));

enum arp_next { ARP_BRIDGE, ARP_FLOOD, ARP_DONE };

INLINE int arp_valid(const struct arp *arp)
{
	return arp->hrd == bpf_htons(ARPHRD_ETHER) && arp->pro == bpf_htons(ETH_P_IP) &&
	       arp->hln == ETH_ALEN && arp->pln == 4 &&
	       (arp->op == bpf_htons(ARPOP_REQUEST) || arp->op == bpf_htons(ARPOP_REPLY));
}

/* Whether requests for the address are answered by the agent's port (gateway, service). */
INLINE int route_is_agent(const struct route *route)
{
	struct nexthop *nh = nexthop_lookup(route->nh);
	struct vif *out;

	if (!nh || nh->type != NH_ENCAP)
		return 0;
	out = vif_lookup(nh->oif);
	return out && out->type == VIF_AGENT;
}

INLINE int arp_reply(struct __sk_buff *skb, struct work *work, struct vif *vif,
		     const struct route *route)
{
	struct arp *arp = at(skb, 0, sizeof(*arp));
	__be32 target;
	__u8 mac[ETH_ALEN];

	if (!arp)
		return drop(work, DROP_PULL);
	mac_copy(mac, route && !mac_zero(route->mac) ? route->mac : vif->mac);
	target = arp->tpa;
	mac_copy(arp->eth.h_dest, arp->eth.h_source);
	mac_copy(arp->eth.h_source, mac);
	arp->op = bpf_htons(ARPOP_REPLY);
	mac_copy(arp->tha, arp->sha);
	arp->tpa = arp->spa;
	mac_copy(arp->sha, mac);
	arp->spa = target;
	return deliver(skb, work, work->vif, vif);
}

/*
 * An ARP packet from a workload. Sets *verdict when it is dealt with; otherwise it goes on
 * as a frame, to where its MAC says or to all.
 */
GLOBAL int arp_input(struct __sk_buff *skb, struct work *work, int *verdict)
{
	struct route *route;
	struct arp *arp;
	struct vif *vif;

	if (!work || !verdict)
		return ARP_BRIDGE;
	vif = vif_lookup(work->vif);
	if (!vif || !need(skb, sizeof(*arp))) {
		*verdict = drop(work, DROP_INVALID_ARP);
		return ARP_DONE;
	}
	arp = at(skb, 0, sizeof(*arp));
	if (!arp || !arp_valid(arp)) {
		*verdict = drop(work, DROP_INVALID_ARP);
		return ARP_DONE;
	}
	if (vif->guard & GUARD_MAC && !mac_equal(arp->sha, arp->eth.h_source)) {
		*verdict = drop(work, DROP_SOURCE_MAC);
		return ARP_DONE;
	}
	if (arp->spa && !ip_allowed(work->vif, vif, arp->eth.h_source, arp->spa)) {
		*verdict = drop(work, DROP_SOURCE_IP);
		return ARP_DONE;
	}
	if (arp->op == bpf_htons(ARPOP_REPLY)) {
		if (!mac_equal(arp->eth.h_dest, vif->mac))
			return ARP_BRIDGE;
		*verdict = trap(skb, work, TRAP_ARP, 0);
		return ARP_DONE;
	}
	route = route_lookup(work->vrf, arp->tpa);
	if (!arp->spa || arp->spa == arp->tpa) {
		if (!(vif->flags & VIF_MAC_PROXY))
			return ARP_FLOOD;
		*verdict = drop(work, DROP_INVALID_ARP);
		return ARP_DONE;
	}
	if (!(vif->flags & VIF_MAC_PROXY) && !(route && route->flags & ROUTE_PROXY))
		return ARP_FLOOD;
	if (vif->flags & VIF_NO_MAC_PROXY && !(route && route_is_agent(route))) {
		*verdict = drop(work, DROP_INVALID_ARP);
		return ARP_DONE;
	}
	if (route && route->flags & ROUTE_FLOOD && mac_zero(route->mac))
		return ARP_FLOOD;
	*verdict = arp_reply(skb, work, vif, route);
	return ARP_DONE;
}

/* From the fabric: whether it asks for an address that only the asker's own host answers. */
INLINE int arp_for_agent(struct __sk_buff *skb, const struct work *work)
{
	struct arp *arp = at(skb, 0, sizeof(*arp));
	struct route *route;

	if (!arp || arp->op != bpf_htons(ARPOP_REQUEST))
		return 0;
	route = route_lookup(work->vrf, arp->tpa);
	return route && route_is_agent(route);
}

#endif
