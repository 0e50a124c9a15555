/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Handing a finished frame to a port.
 *
 * redirect_peer puts the packet straight into the workload's namespace, past a queue; it
 * exists for veth only, keeps skb->protocol as it stands, and wants packets addressed "to
 * this host". A tap, or a frame whose type changed on the way, takes the ordinary redirect.
 */
#ifndef TUNGSTEN_DELIVER_H
#define TUNGSTEN_DELIVER_H

#include "route.h"
#include "stats.h"

INLINE int deliver(struct __sk_buff *skb, const struct work *work, __u32 id, struct vif *out)
{
	count_tx(skb, id);
	if (out->link != LINK_VETH || work->stale_protocol)
		return bpf_redirect(out->ifindex, 0);
	if (skb->pkt_type != 0 /* PACKET_HOST */)
		bpf_skb_change_type(skb, 0);
	return bpf_redirect_peer(out->ifindex, 0);
}

#endif
