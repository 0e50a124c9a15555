/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Broadcast, unknown and multicast frames: a copy to each member of a composite, which may
 * hold composites one level down. Local copies go first, from the frame as it is. Then the
 * frame grows once for each kind of tunnel in use, and only outer headers change from copy to
 * copy. What came from the fabric goes to local ports only (split horizon).
 */
#ifndef TUNGSTEN_FLOOD_H
#define TUNGSTEN_FLOOD_H

#include "encap.h"

/* After the local phase one for each kind of tunnel, by the flag that next hops have for it. */
#define FLOOD_LOCAL 0
#define FLOOD_TUNNELS (NH_MPLS_GRE | NH_MPLS_UDP | NH_VXLAN)

/* What came of one member; FLOOD_NONE and a drop reason apart, flags of tunnels to come. */
#define FLOOD_NONE DROP_REASON_COUNT
#define FLOOD_SENT (DROP_REASON_COUNT + 1)
#define FLOOD_LATER(kind) ((kind) << 8)

struct flood {
	struct __sk_buff *skb;
	struct work *work;
	struct composite *set;
	__u32 phase;
	__u32 entropy;
	__u32 kinds; /* flags of tunnels that were met */
	__u32 copies;
	__u32 failed; /* the reason of the last copy that failed, or FLOOD_NONE */
};

INLINE int flood_local(struct __sk_buff *skb, struct work *work, struct nexthop *nh)
{
	struct vif *out = vif_lookup(nh->oif);

	if (!out || out->type == VIF_AGENT || (!work->from_fabric && nh->oif == work->vif))
		return FLOOD_NONE;
	count_tx(skb, nh->oif);
	return bpf_clone_redirect(skb, out->ifindex, 0) ? DROP_MCAST_CLONE_FAIL : FLOOD_SENT;
}

INLINE int flood_tunnel(struct __sk_buff *skb, struct nexthop *nh, __u32 label, __u32 entropy)
{
	struct vif *fabric = vif_lookup(nh->oif);

	__u32 mtu;

	if (!fabric)
		return DROP_INVALID_IF;
	mtu = nh->mtu ? nh->mtu : fabric->mtu;
	if (mtu && skb->len - ETH_LEN > mtu)
		return DROP_PACKET_TOO_BIG;
	if (!tunnel_write(skb, nh, label, 64, entropy))
		return DROP_PUSH;
	if (mac_zero(nh->dmac) && !neighbour_fill(skb, fabric->ifindex))
		return DROP_NEIGHBOUR;
	count_tx(skb, nh->oif);
	return bpf_clone_redirect(skb, fabric->ifindex, 0) ? DROP_MCAST_CLONE_FAIL : FLOOD_SENT;
}

/* One member, in one phase. */
GLOBAL int flood_copy(struct __sk_buff *skb, struct work *work, struct member *member,
		      __u32 phase, __u32 entropy)
{
	struct nexthop *nh;
	__u32 kind;

	if (!work || !member)
		return FLOOD_NONE;
	nh = nexthop_lookup(member->nh);
	if (!nh)
		return FLOOD_NONE;
	if (nh->type == NH_ENCAP)
		return phase == FLOOD_LOCAL ? flood_local(skb, work, nh) : FLOOD_NONE;
	kind = nh->flags & FLOOD_TUNNELS;
	if (nh->type != NH_TUNNEL || !kind)
		return FLOOD_NONE;
	if (phase == FLOOD_LOCAL)
		return FLOOD_NONE | FLOOD_LATER(kind);
	if (phase != kind)
		return FLOOD_NONE;
	return flood_tunnel(skb, nh, member->label, entropy);
}

INLINE void flood_one(struct flood *ctx, struct member *member)
{
	int result = flood_copy(ctx->skb, ctx->work, member, ctx->phase, ctx->entropy);

	ctx->kinds |= result >> 8;
	result &= 0xff;
	if (result == FLOOD_SENT)
		ctx->copies++;
	else if (result != FLOOD_NONE)
		ctx->failed = result;
}

INLINE int flood_member(struct flood *ctx, __u32 slot, struct member *member)
{
	if (!ctx->set || slot >= LIMIT_MEMBERS || slot >= ctx->set->count)
		return 0;
	*member = ctx->set->member[slot];
	return 1;
}

static long flood_inner(__u32 slot, void *data)
{
	struct flood *ctx = data;
	struct member member;

	if (!flood_member(ctx, slot, &member))
		return 1;
	flood_one(ctx, &member);
	return 0;
}

static long flood_outer(__u32 slot, void *data)
{
	struct flood *ctx = data, inside = *ctx;
	struct member member;
	struct nexthop *nh;

	if (!flood_member(ctx, slot, &member))
		return 1;
	nh = nexthop_lookup(member.nh);
	if (!nh)
		return 0;
	if (nh->type != NH_COMPOSITE) {
		flood_one(ctx, &member);
		return 0;
	}
	inside.set = bpf_map_lookup_elem(&composites, &member.nh);
	if (!inside.set)
		return 0;
	bpf_loop(LIMIT_MEMBERS, flood_inner, &inside, 0);
	ctx->kinds = inside.kinds;
	ctx->copies = inside.copies;
	ctx->failed = inside.failed;
	return 0;
}

INLINE void flood_phase(struct flood *ctx, __u32 phase)
{
	ctx->phase = phase;
	bpf_loop(LIMIT_MEMBERS, flood_outer, ctx, 0);
}

/* The phase of one kind of tunnel; `room` is what earlier ones made. 0: no memory for more. */
INLINE int flood_tunnels(struct flood *ctx, __u32 kind, __u32 *room)
{
	__u32 wanted = ETH_LEN + tunnel_overhead(kind);

	if (!(ctx->kinds & kind))
		return 1;
	if (bpf_skb_change_head(ctx->skb, wanted - *room, 0))
		return 0;
	*room = wanted;
	flood_phase(ctx, kind);
	return 1;
}

/* The end of the original: it was never going anywhere but into its copies. */
INLINE int flood_end(struct flood *ctx)
{
	if (ctx->failed != FLOOD_NONE)
		return drop(ctx->work, ctx->failed);
	return drop(ctx->work, ctx->copies ? DROP_CLONED_ORIGINAL : DROP_NOWHERE_TO_GO);
}

GLOBAL int flood(struct __sk_buff *skb, struct work *work)
{
	struct flood ctx = {.skb = skb, .work = work, .failed = FLOOD_NONE};
	__u32 room = 0;

	if (!work)
		return VERDICT_DROP;
	if (!work->from_fabric && !take_token(work->vif, BUCKET_BUM))
		return drop(work, DROP_BUM_LIMIT);
	ctx.set = bpf_map_lookup_elem(&composites, &work->nh);
	if (!ctx.set)
		return drop(work, DROP_INVALID_NH);
	ctx.entropy = bpf_get_hash_recalc(skb);
	flood_phase(&ctx, FLOOD_LOCAL);
	if (!ctx.kinds || work->from_fabric)
		return flood_end(&ctx);
	if (skb->gso_size)
		return drop(work, DROP_MCAST_DF_BIT);
	/* by the length of headers, so that frames only grow */
	if (!flood_tunnels(&ctx, NH_MPLS_GRE, &room) || !flood_tunnels(&ctx, NH_MPLS_UDP, &room) ||
	    !flood_tunnels(&ctx, NH_VXLAN, &room))
		return drop(work, DROP_HEAD_ALLOC_FAIL);
	return flood_end(&ctx);
}

#endif
