/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Counters, and the only ways a packet may end: drop() with a reason, deliver(), or being left
 * to the stack. A super-packet counts as the packets it stands for.
 */
#ifndef TUNGSTEN_STATS_H
#define TUNGSTEN_STATS_H

#include "maps.h"
#include "packet.h"

INLINE void count_rx(struct __sk_buff *skb, __u32 vif)
{
	struct vif_stats *stats = bpf_map_lookup_elem(&vif_counters, &vif);

	if (stats) {
		stats->rx_packets += skb->gso_segs ? skb->gso_segs : 1;
		stats->rx_bytes += skb->len;
	}
}

INLINE void count_tx(struct __sk_buff *skb, __u32 vif)
{
	struct vif_stats *stats = bpf_map_lookup_elem(&vif_counters, &vif);

	if (stats) {
		stats->tx_packets += skb->gso_segs ? skb->gso_segs : 1;
		stats->tx_bytes += skb->len;
	}
}

GLOBAL int count_drop(__u32 vif, __u32 reason)
{
	__u32 slot = vif * LIMIT_DROP_SLOTS + reason;
	struct vif_stats *stats = bpf_map_lookup_elem(&vif_counters, &vif);
	__u64 *total = bpf_map_lookup_elem(&drops, &reason);
	__u64 *own = bpf_map_lookup_elem(&vif_drops, &slot);

	if (total)
		(*total)++;
	if (own)
		(*own)++;
	/* the original of copies that were sent is no loss */
	if (stats && reason != DROP_CLONED_ORIGINAL)
		stats->drops++;
	return VERDICT_DROP;
}

INLINE int drop(const struct work *work, enum drop_reason reason)
{
	return count_drop(work->vif, reason);
}

#endif
