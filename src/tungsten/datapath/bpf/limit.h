/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Token buckets, one of each kind per port: no workload can fill the agent's queue or the
 * replication of another's broadcasts. Two CPUs may race for a token; a bucket is a bound on
 * the load, not an exact count.
 */
#ifndef TUNGSTEN_LIMIT_H
#define TUNGSTEN_LIMIT_H

#include "maps.h"
#include "packet.h"

#define SECOND 1000000000ULL

GLOBAL int take_token(__u32 vif, __u32 kind)
{
	__u32 zero = 0, slot = vif * BUCKET_KINDS + kind;
	struct config *cfg = bpf_map_lookup_elem(&config, &zero);
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &slot);
	__u64 now = bpf_ktime_get_coarse_ns(), elapsed, tokens, rate, most;

	if (!cfg || !bucket)
		return 0;
	rate = kind == BUCKET_TRAP ? cfg->trap_rate : cfg->bum_rate;
	most = (kind == BUCKET_TRAP ? cfg->trap_burst : cfg->bum_burst) * SECOND;
	elapsed = now - bucket->last;
	if (elapsed > SECOND)
		elapsed = SECOND;
	tokens = bucket->last ? bucket->tokens + elapsed * rate : most;
	if (tokens > most)
		tokens = most;
	bucket->last = now;
	if (tokens < SECOND) {
		bucket->tokens = tokens;
		return 0;
	}
	bucket->tokens = tokens - SECOND;
	return 1;
}

#endif
