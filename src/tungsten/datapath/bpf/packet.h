/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Reading packets: bounds, fields, checksums, and what a program remembers about a packet.
 *
 * Every helper that changes a packet makes pointers into it stale: fetch them again by at().
 */
#ifndef TUNGSTEN_PACKET_H
#define TUNGSTEN_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

/* Verdicts of a tc program; the first leaves the packet to other programs and the stack. */
#define VERDICT_NEXT -1
#define VERDICT_DROP 2

#define ETH_LEN 14
#define IP_LEN 20
#define IP_FRAGMENT 0x3fff /* "more fragments" and the offset */
#define IP_OFFSET 0x1fff
#define IP_MORE 0x2000

#define INLINE static __always_inline

/*
 * A global function: the verifier walks it once, for any arguments, instead of once for each
 * way to reach it; in return a pointer argument may be NULL. At most eight calls may nest.
 */
#define GLOBAL __attribute__((noinline))

/* What is known of the packet in hand; never holds pointers into it. */
struct work {
	__u32 vif; /* id of the port it came in on */
	__u32 vrf;
	__u32 nh; /* next hop in hand, and the label (or VNI) that goes with it */
	__u32 label;
	__u8 from_fabric;
	__u8 l3;     /* the Ethernet header is only a placeholder: the packet is routed */
	__u8 routed; /* a route was looked up here: the TTL goes down */
	__u8 stale_protocol; /* skb->protocol is not the frame's type */
};

INLINE void *at(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	void *data = (void *)(long)skb->data;

	if (data + offset + length > (void *)(long)skb->data_end)
		return NULL;
	return data + offset;
}

/* Makes the first `length` bytes readable; false when the packet has fewer. */
INLINE int need(struct __sk_buff *skb, __u32 length)
{
	if ((void *)(long)skb->data + length <= (void *)(long)skb->data_end)
		return 1;
	return skb->len >= length && !bpf_skb_pull_data(skb, length);
}

INLINE int mac_equal(const void *a, const void *b)
{
	return *(__u32 *)a == *(__u32 *)b && *(__u16 *)(a + 4) == *(__u16 *)(b + 4);
}

INLINE int mac_zero(const void *mac)
{
	return !*(__u32 *)mac && !*(__u16 *)(mac + 4);
}

INLINE void mac_copy(void *to, const void *from)
{
	__builtin_memcpy(to, from, ETH_ALEN);
}

INLINE int mac_multicast(const __u8 *mac)
{
	return mac[0] & 1;
}

INLINE int ip_multicast(__be32 address)
{
	return (address & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) ||
	       address == 0xffffffff;
}

INLINE __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32 & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* RFC 1071 sum of a header without options, its checksum field taken as it stands. */
INLINE __u64 ip_sum(const struct iphdr *ip)
{
	const __u32 *word = (const __u32 *)ip;

	return (__u64)word[0] + word[1] + word[2] + word[3] + word[4];
}

/* Writes a header without options; tunnels and answers differ only in these fields. */
INLINE void ip_write(struct iphdr *ip, __u16 length, __u16 frag_off, __u8 ttl, __u8 protocol,
		     __be32 saddr, __be32 daddr)
{
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0;
	ip->tot_len = bpf_htons(length);
	ip->id = 0;
	ip->frag_off = bpf_htons(frag_off);
	ip->ttl = ttl;
	ip->protocol = protocol;
	ip->check = 0;
	ip->saddr = saddr;
	ip->daddr = daddr;
	ip->check = csum_fold(ip_sum(ip));
}

/* RFC 1624: the header's checksum after the TTL went down by one. */
INLINE void ip_decrement_ttl(struct iphdr *ip)
{
	__u32 check = ip->check;

	check += bpf_htons(0x0100);
	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

#endif
