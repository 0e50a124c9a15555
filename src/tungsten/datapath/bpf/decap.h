/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Tunnels, incoming. Only what is addressed to our own fabric address is opened, once; the
 * label or VNI names the next hop, which says what the payload is and which VRF it belongs to.
 * Anything else on the fabric is the host's.
 */
#ifndef TUNGSTEN_DECAP_H
#define TUNGSTEN_DECAP_H

#include "forward.h"

#define PORT_MPLS_UDP_OLD 51234
#define GRE_CHECKSUM 0x8000
#define GRE_KEY 0x2000
#define LABEL_FIRST 16

/* Takes off everything up to the payload; an Ethernet header stays as a placeholder. */
INLINE int strip_to_packet(struct __sk_buff *skb, struct work *work, __u32 payload)
{
	struct iphdr *ip;

	if (bpf_skb_adjust_room(skb, -(__s32)(payload - ETH_LEN), BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO))
		return 0;
	if (!need(skb, ETH_LEN + IP_LEN))
		return 0;
	ip = at(skb, ETH_LEN, IP_LEN);
	work->l3 = 1;
	return ip && ip_valid(skb, ip);
}

/* Takes off everything up to the inner frame, which becomes the frame. */
INLINE int strip_to_frame(struct __sk_buff *skb, struct work *work, __u32 payload)
{
	struct ethhdr inner, *eth;

	if (bpf_skb_load_bytes(skb, payload, &inner, ETH_LEN) ||
	    bpf_skb_adjust_room(skb, -(__s32)payload, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return 0;
	if (!need(skb, ETH_LEN))
		return 0;
	eth = at(skb, 0, ETH_LEN);
	if (!eth)
		return 0;
	*eth = inner;
	work->stale_protocol = inner.h_proto != bpf_htons(ETH_P_IP);
	return 1;
}

/* A frame from the fabric, in work->vrf. */
INLINE int fabric_frame(struct __sk_buff *skb, struct work *work)
{
	struct ethhdr *eth = at(skb, 0, ETH_LEN);

	if (!eth)
		return drop(work, DROP_PULL);
	if (eth->h_proto == bpf_htons(ETH_P_ARP)) {
		if (!need(skb, sizeof(struct arp)))
			return drop(work, DROP_INVALID_ARP);
		if (arp_for_agent(skb, work))
			return drop(work, DROP_INVALID_ARP);
	}
	return l2_forward(skb, work, 0);
}

/* The payload at `payload`, to next hop work->nh. */
INLINE int tunnel_deliver(struct __sk_buff *skb, struct work *work, __u32 payload)
{
	struct nexthop *nh = nexthop_lookup(work->nh);
	int translate;

	if (!nh)
		return drop(work, DROP_INVALID_NH);
	translate = nh->type == NH_VRF_TRANSLATE;
	work->vrf = nh->vrf;
	if (nh->family == FAMILY_BRIDGE) {
		if (nh->flags & NH_CONTROL_WORD)
			payload += 4;
		if (!strip_to_frame(skb, work, payload))
			return drop(work, DROP_PULL);
		return translate ? fabric_frame(skb, work) : nexthop_output(skb, work);
	}
	if (nh->family != FAMILY_INET)
		return drop(work, DROP_INVALID_PROTOCOL);
	if (!strip_to_packet(skb, work, payload))
		return drop(work, DROP_INVALID_PACKET);
	return nexthop_output(skb, work);
}

/*
 * Each of these reads one kind of header, finds the next hop, and answers the offset of the
 * payload, or minus the reason to drop less one.
 */
#define REFUSE(reason) (-(int)(reason) - 1)

/* One label, the last of its stack; reserved labels never name a next hop (RFC 3032). */
INLINE int mpls_input(struct __sk_buff *skb, struct work *work, __u32 offset)
{
	__u32 word, label, *nh;

	if (bpf_skb_load_bytes(skb, offset, &word, sizeof(word)))
		return REFUSE(DROP_INVALID_PACKET);
	word = bpf_ntohl(word);
	label = word >> 12;
	if (!(word & MPLS_BOTTOM) || label < LABEL_FIRST)
		return REFUSE(DROP_INVALID_LABEL);
	if ((word & 0xff) <= 1)
		return REFUSE(DROP_TTL_EXCEEDED);
	nh = bpf_map_lookup_elem(&labels, &label);
	if (!nh || !*nh)
		return REFUSE(DROP_INVALID_LABEL);
	work->nh = *nh;
	return offset + 4;
}

INLINE int vxlan_input(struct __sk_buff *skb, struct work *work, __u32 offset)
{
	__u32 word[2], vni, *nh;

	if (bpf_skb_load_bytes(skb, offset, word, sizeof(word)))
		return REFUSE(DROP_INVALID_PACKET);
	vni = bpf_ntohl(word[1]) >> 8;
	if (word[0] != bpf_htonl(VXLAN_HAS_VNI))
		return REFUSE(DROP_INVALID_VNID);
	nh = bpf_map_lookup_elem(&vnis, &vni);
	if (!nh || !*nh)
		return REFUSE(DROP_INVALID_VNID);
	work->nh = *nh;
	return offset + 8;
}

/* Where the label is in a GRE packet; RFC 2890 checksum and key are stepped over. */
INLINE int gre_input(struct __sk_buff *skb)
{
	__be16 gre[2];
	__u16 flags;

	if (bpf_skb_load_bytes(skb, ETH_LEN + IP_LEN, gre, sizeof(gre)))
		return REFUSE(DROP_INVALID_PACKET);
	flags = bpf_ntohs(gre[0]);
	if (flags & ~(GRE_CHECKSUM | GRE_KEY))
		return REFUSE(DROP_INVALID_PROTOCOL);
	return ETH_LEN + IP_LEN + 4 + (flags & GRE_CHECKSUM ? 4 : 0) + (flags & GRE_KEY ? 4 : 0);
}

/* Whether the sender of a tunnel is one that we were told of, if that is asked. */
INLINE int tunnel_source_known(const struct config *cfg, __be32 source)
{
	return !(cfg->flags & CONFIG_CHECK_TUNNEL_SOURCE) ||
	       bpf_map_lookup_elem(&tunnel_sources, &source);
}

/* A packet on the fabric port. */
INLINE int fabric_input(struct __sk_buff *skb, struct work *work)
{
	struct config *cfg = config_get();
	__u32 length, fragment;
	__be16 port = 0;
	struct iphdr *ip;
	int offset;

	if (!cfg || skb->protocol != bpf_htons(ETH_P_IP) || skb->vlan_present ||
	    !need(skb, ETH_LEN + IP_LEN + 8))
		return VERDICT_NEXT;
	ip = at(skb, ETH_LEN, IP_LEN + 8);
	if (!ip || ip->version != 4 || !cfg->fabric_ip || ip->daddr != cfg->fabric_ip)
		return VERDICT_NEXT;
	if (ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_GRE)
		return VERDICT_NEXT;
	if (ip->protocol == IPPROTO_GRE && ((__be16 *)(ip + 1))[1] != bpf_htons(ETH_P_MPLS))
		return VERDICT_NEXT;
	fragment = ip->frag_off & bpf_htons(IP_FRAGMENT);
	if (ip->ihl != 5 || ip->frag_off & bpf_htons(IP_OFFSET))
		return VERDICT_NEXT;
	if (ip->protocol == IPPROTO_UDP) {
		port = ((struct udphdr *)(ip + 1))->dest;
		if (port != bpf_htons(PORT_MPLS_UDP) && port != bpf_htons(PORT_MPLS_UDP_OLD) &&
		    port != bpf_htons(PORT_VXLAN))
			return VERDICT_NEXT;
	}
	if (fragment)
		return drop(work, DROP_FRAGMENTS);
	length = bpf_ntohs(ip->tot_len);
	if (length < IP_LEN + 8 || length > skb->len - ETH_LEN)
		return drop(work, DROP_INVALID_PACKET);
	if (!tunnel_source_known(cfg, ip->saddr))
		return drop(work, DROP_TUNNEL_SOURCE);
	work->from_fabric = 1;
	offset = ETH_LEN + IP_LEN + 8;
	if (ip->protocol == IPPROTO_GRE)
		offset = gre_input(skb);
	if (port == bpf_htons(PORT_VXLAN))
		offset = vxlan_input(skb, work, offset);
	else if (offset > 0)
		offset = mpls_input(skb, work, offset);
	if (offset < 0)
		return drop(work, -(offset + 1));
	return tunnel_deliver(skb, work, offset);
}

#endif
