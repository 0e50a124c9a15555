/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ICMP that the datapath answers by itself: echo to the gateway's and service addresses, and
 * the errors a workload's path discovery and traceroute live on (RFC 792, RFC 1191).
 */
#ifndef TUNGSTEN_ICMP_H
#define TUNGSTEN_ICMP_H

#include "deliver.h"
#include "limit.h"

/* <linux/icmp.h> needs a C library's headers */
#define ICMP_ECHOREPLY 0
#define ICMP_DEST_UNREACH 3
#define ICMP_FRAG_NEEDED 4
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11

struct icmphdr {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be16 unused;
	__be16 mtu;
};

#define ICMP_ERROR_LEN (IP_LEN + 8)
#define ICMP_QUOTE 60

/* Turns an echo request around in place. Answers VERDICT_NEXT when it is not one. */
GLOBAL int icmp_echo(struct __sk_buff *skb, struct work *work)
{
	struct icmphdr *icmp;
	struct vif *vif;
	struct ethhdr *eth;
	struct iphdr *ip;
	__be32 address;
	__u32 check;

	if (!work)
		return VERDICT_DROP;
	vif = vif_lookup(work->vif);
	if (!vif || work->from_fabric || !need(skb, ETH_LEN + IP_LEN + sizeof(*icmp)))
		return VERDICT_NEXT;
	eth = at(skb, 0, ETH_LEN + IP_LEN + sizeof(*icmp));
	if (!eth)
		return VERDICT_NEXT;
	ip = (void *)(eth + 1);
	icmp = (void *)(ip + 1);
	if (ip->protocol != IPPROTO_ICMP || ip->ihl != 5)
		return VERDICT_NEXT;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT))
		return drop(work, DROP_FRAGMENTS);
	if (icmp->type != ICMP_ECHO || icmp->code)
		return VERDICT_NEXT;
	mac_copy(eth->h_dest, eth->h_source);
	mac_copy(eth->h_source, vif->mac);
	address = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = address;
	ip->ttl = 64;
	ip->check = 0;
	ip->check = csum_fold(ip_sum(ip));
	icmp->type = ICMP_ECHOREPLY;
	check = icmp->checksum + bpf_htons(ICMP_ECHO << 8);
	icmp->checksum = check + (check >= 0xffff);
	return deliver(skb, work, work->vif, vif);
}

/* RFC 1122 3.2.2: no error about an error, a fragment's tail, or what nobody alone sent. */
INLINE int icmp_may_answer(struct __sk_buff *skb, const struct ethhdr *eth, const struct iphdr *ip)
{
	__u8 *type;

	if (ip->ihl != 5 || ip->frag_off & bpf_htons(IP_OFFSET))
		return 0;
	if (!ip->saddr || ip_multicast(ip->saddr) || ip_multicast(ip->daddr))
		return 0;
	if (mac_multicast(eth->h_dest))
		return 0;
	if (ip->protocol != IPPROTO_ICMP)
		return 1;
	type = at(skb, ETH_LEN + IP_LEN, 1);
	return type && (*type == ICMP_ECHO || *type == ICMP_ECHOREPLY);
}

/*
 * How much of the packet the error quotes: at least the eight bytes of RFC 792, and past the
 * checksum field of TCP, which the kernel may still have to fill in.
 */
INLINE __u32 icmp_quote(__u32 length)
{
	if (length >= ETH_LEN + ICMP_QUOTE)
		return ICMP_QUOTE;
	if (length >= ETH_LEN + 40)
		return 40;
	return length >= ETH_LEN + 28 ? 28 : 0;
}

/*
 * Replaces the packet by an ICMP error to the workload that sent it, counted under `reason`
 * like any other drop. Packets from the fabric are dropped only: their sender is elsewhere.
 */
GLOBAL int icmp_error(struct __sk_buff *skb, struct work *work, __u32 type_code, __u32 mtu,
		      __u32 reason)
{
	struct {
		struct icmphdr icmp;
		__u8 quote[ICMP_QUOTE];
	} message = {};
	__be32 source, target;
	struct vif *vif;
	__u8 workload[6];
	struct ethhdr *eth;
	struct iphdr *ip;
	__u32 quote;

	if (!work)
		return VERDICT_DROP;
	count_drop(work->vif, reason);
	vif = vif_lookup(work->vif);
	if (!vif || work->from_fabric || vif->type != VIF_VIRTUAL)
		return VERDICT_DROP;
	eth = at(skb, 0, ETH_LEN + IP_LEN);
	if (!eth)
		return VERDICT_DROP;
	ip = (void *)(eth + 1);
	quote = icmp_quote(skb->len);
	if (!quote || !icmp_may_answer(skb, eth, ip) || !take_token(work->vif, BUCKET_TRAP))
		return VERDICT_DROP;
	target = ip->saddr;
	source = vif->gateway ? vif->gateway : ip->daddr;
	mac_copy(workload, eth->h_source);
	if (bpf_skb_change_tail(skb, ETH_LEN + quote, 0) ||
	    bpf_skb_load_bytes(skb, ETH_LEN, message.quote, quote) ||
	    bpf_skb_adjust_room(skb, ICMP_ERROR_LEN, BPF_ADJ_ROOM_MAC, 0))
		return VERDICT_DROP;
	message.icmp.type = type_code >> 8;
	message.icmp.code = type_code & 0xff;
	message.icmp.mtu = bpf_htons(mtu);
	message.icmp.checksum =
		csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&message, sizeof(message), 0));
	eth = at(skb, 0, ETH_LEN + ICMP_ERROR_LEN);
	if (!eth)
		return VERDICT_DROP;
	ip = (void *)(eth + 1);
	mac_copy(eth->h_dest, workload);
	mac_copy(eth->h_source, vif->mac);
	eth->h_proto = bpf_htons(ETH_P_IP);
	ip_write(ip, ICMP_ERROR_LEN + quote, 0, 64, IPPROTO_ICMP, source, target);
	*(struct icmphdr *)(ip + 1) = message.icmp;
	return deliver(skb, work, work->vif, vif);
}

#endif
