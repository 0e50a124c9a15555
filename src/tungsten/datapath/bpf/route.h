/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Lookups. Host routes are in a hash: most routes are, and a trie costs a cache miss a level. */
#ifndef TUNGSTEN_ROUTE_H
#define TUNGSTEN_ROUTE_H

#include "maps.h"
#include "packet.h"

INLINE struct route *route_lookup(__u32 vrf, __be32 address)
{
	struct route_key key = {.vrf = vrf, .ip = address};
	struct route_prefix prefix = {.bits = 64, .vrf = vrf, .ip = address};
	struct route *route = bpf_map_lookup_elem(&routes_host, &key);

	return route ? route : bpf_map_lookup_elem(&routes_net, &prefix);
}

INLINE struct bridge *bridge_lookup(__u32 vrf, const void *mac)
{
	struct bridge_key key = {.vrf = vrf};

	mac_copy(key.mac, mac);
	return bpf_map_lookup_elem(&bridge, &key);
}

INLINE struct bridge *bridge_flood_entry(__u32 vrf)
{
	struct bridge_key key = {.vrf = vrf, .mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

	return bpf_map_lookup_elem(&bridge, &key);
}

/* A valid next hop, or NULL. */
INLINE struct nexthop *nexthop_lookup(__u32 id)
{
	struct nexthop *nh = bpf_map_lookup_elem(&nexthops, &id);

	return nh && nh->flags & NH_VALID ? nh : NULL;
}

/* A port that has a device, or NULL. */
INLINE struct vif *vif_lookup(__u32 id)
{
	struct vif *vif = bpf_map_lookup_elem(&vifs, &id);

	return vif && vif->ifindex ? vif : NULL;
}

INLINE struct config *config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

#endif
