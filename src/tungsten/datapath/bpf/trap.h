/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Giving a frame to the agent: header in front, out of pkt0, no more than the port's share. */
#ifndef TUNGSTEN_TRAP_H
#define TUNGSTEN_TRAP_H

#include "deliver.h"
#include "limit.h"

#define TRAP_LEN (ETH_LEN + sizeof(struct trap_header))

/* Writes what precedes a trapped frame; the room for it is there already. */
INLINE int trap_write(struct __sk_buff *skb, const struct work *work, __u16 cmd, __u32 param)
{
	struct trap_header *header;
	struct ethhdr *eth;

	eth = at(skb, 0, TRAP_LEN);
	if (!eth)
		return 0;
	header = (void *)(eth + 1);
	__builtin_memset(eth, 0, TRAP_LEN);
	eth->h_dest[5] = 1;
	eth->h_source[2] = 0x5e;
	eth->h_source[4] = 1;
	eth->h_proto = bpf_htons(ETH_P_IP);
	header->vif = bpf_htons(work->vif);
	header->vrf = bpf_htons(work->vrf);
	header->cmd = bpf_htons(cmd);
	header->param = bpf_htonl(param);
	return 1;
}

GLOBAL int trap(struct __sk_buff *skb, struct work *work, __u16 cmd, __u32 param)
{
	struct config *cfg = config_get();
	struct vif *pkt0;

	if (!work)
		return VERDICT_DROP;
	if (!cfg)
		return drop(work, DROP_TRAP_NO_IF);
	pkt0 = vif_lookup(cfg->pkt0_vif);
	if (!pkt0 || pkt0->type != VIF_AGENT)
		return drop(work, DROP_TRAP_NO_IF);
	/* A super-packet would be cut into pieces that have no header. */
	if (skb->gso_size)
		return drop(work, DROP_PACKET_TOO_BIG);
	if (!take_token(work->vif, BUCKET_TRAP))
		return drop(work, DROP_TRAP_LIMIT);
	if (bpf_skb_change_head(skb, TRAP_LEN, 0))
		return drop(work, DROP_HEAD_ALLOC_FAIL);
	if (!trap_write(skb, work, cmd, param))
		return drop(work, DROP_PUSH);
	count_tx(skb, cfg->pkt0_vif);
	return bpf_redirect(pkt0->ifindex, 0);
}

#endif
