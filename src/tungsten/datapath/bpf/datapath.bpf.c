// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The programs. */
#include "maps.h"

SEC("tc")
int vif_rx(struct __sk_buff *skb)
{
	return 2;
}

SEC("tc")
int fab_rx(struct __sk_buff *skb)
{
	return -1;
}

SEC("tc")
int pkt0_rx(struct __sk_buff *skb)
{
	return 2;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
