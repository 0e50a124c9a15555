/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a workload may claim to be. The port's own MAC and address are compared first; allowed
 * address pairs are two more tables that only packets of such sources reach.
 *
 * IPv6 sources that every host has (unspecified, link-local) pass: they never leave the link,
 * and the MAC is checked. Router advertisements do not: no workload is the router.
 */
#ifndef TUNGSTEN_GUARD_H
#define TUNGSTEN_GUARD_H

#include <linux/ipv6.h>

#include "route.h"
#include "stats.h"

#define ICMPV6_ROUTER_ADVERTISEMENT 134

INLINE int mac_allowed(__u32 id, const struct vif *vif, const void *mac)
{
	struct source_mac key = {.vif = id};

	if (!(vif->guard & GUARD_MAC) || mac_equal(mac, vif->vm_mac))
		return 1;
	mac_copy(key.mac, mac);
	return bpf_map_lookup_elem(&source_macs, &key) != NULL;
}

/* Whether a pair of the port covers the address, and its MAC, when the pair names one. */
static __noinline int pair_allowed(struct source_prefix *key, const struct vif *vif, __u64 mac)
{
	struct source *source = bpf_map_lookup_elem(&sources, key);
	__u64 own = 0;

	if (!source)
		return 0;
	if (mac_zero(source->mac))
		mac_copy(&own, vif->vm_mac);
	else
		mac_copy(&own, source->mac);
	return own == mac;
}

INLINE int ip_allowed(__u32 id, const struct vif *vif, const void *mac, __be32 address)
{
	struct source_prefix key = {.bits = 32 + 128, .vif = id};
	__u64 from = 0;

	if (!(vif->guard & GUARD_IP))
		return 1;
	if (address == vif->ip && mac_equal(mac, vif->vm_mac))
		return 1;
	key.ip[10] = 0xff;
	key.ip[11] = 0xff;
	__builtin_memcpy(&key.ip[12], &address, 4);
	mac_copy(&from, mac);
	return pair_allowed(&key, vif, from);
}

/* Checks an IPv6 frame's source; DROP_REASON_COUNT when it may pass. */
GLOBAL int ip6_check(struct __sk_buff *skb, __u32 id)
{
	struct source_prefix key = {.bits = 32 + 128, .vif = id};
	__u64 mac = 0, high, low, own_high, own_low;
	struct vif *vif = vif_lookup(id);
	struct ipv6hdr *ip6;
	struct ethhdr *eth;
	__u8 *icmp;

	if (!need(skb, ETH_LEN + sizeof(*ip6)))
		return DROP_INVALID_PACKET;
	eth = at(skb, 0, ETH_LEN);
	ip6 = at(skb, ETH_LEN, sizeof(*ip6));
	if (!eth || !ip6 || ip6->version != 6)
		return DROP_INVALID_PACKET;
	if (!vif || !(vif->guard & GUARD_IP))
		return DROP_REASON_COUNT;
	if (ip6->nexthdr == IPPROTO_ICMPV6) {
		if (!need(skb, ETH_LEN + sizeof(*ip6) + 1))
			return DROP_INVALID_PACKET;
		icmp = at(skb, ETH_LEN + sizeof(*ip6), 1);
		if (!icmp)
			return DROP_INVALID_PACKET;
		if (*icmp == ICMPV6_ROUTER_ADVERTISEMENT)
			return DROP_SOURCE_IP;
		eth = at(skb, 0, ETH_LEN);
		ip6 = at(skb, ETH_LEN, sizeof(*ip6));
		if (!eth || !ip6)
			return DROP_INVALID_PACKET;
	}
	__builtin_memcpy(key.ip, &ip6->saddr, 16);
	__builtin_memcpy(&high, key.ip, 8);
	__builtin_memcpy(&low, &key.ip[8], 8);
	if (!high && !low)
		return DROP_REASON_COUNT;
	if ((high & bpf_cpu_to_be64(0xffc0000000000000ULL)) ==
	    bpf_cpu_to_be64(0xfe80000000000000ULL))
		return DROP_REASON_COUNT;
	mac_copy(&mac, eth->h_source);
	__builtin_memcpy(&own_high, vif->ip6, 8);
	__builtin_memcpy(&own_low, &vif->ip6[8], 8);
	if (high == own_high && low == own_low && mac_equal(&mac, vif->vm_mac))
		return DROP_REASON_COUNT;
	return pair_allowed(&key, vif, mac) ? DROP_REASON_COUNT : DROP_SOURCE_IP;
}

#endif
