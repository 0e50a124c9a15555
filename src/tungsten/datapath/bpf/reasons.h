/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Why packets end: one counter for each, and every exit of every program counts one.
 *
 * The first group keeps the names and the order that `dropstats` prints; the second is
 * our own. This list is the only one: the C enum below is made of it, and the Python enum
 * is generated from it (tungsten.datapath.generate).
 */
#ifndef TUNGSTEN_REASONS_H
#define TUNGSTEN_REASONS_H

#define DROP_REASONS(X)                                                        \
	X(INVALID_IF, "Invalid IF")                                            \
	X(INVALID_ARP, "Invalid ARP")                                          \
	X(TRAP_NO_IF, "Trap No IF")                                            \
	X(IF_TX_DISCARD, "IF TX Discard")                                      \
	X(IF_DROP, "IF Drop")                                                  \
	X(IF_RX_DISCARD, "IF RX Discard")                                      \
	X(FLOW_UNUSABLE, "Flow Unusable")                                      \
	X(FLOW_NO_MEMORY, "Flow No Memory")                                    \
	X(FLOW_TABLE_FULL, "Flow Table Full")                                  \
	X(FLOW_NAT_NO_RFLOW, "Flow NAT no rflow")                              \
	X(FLOW_ACTION_DROP, "Flow Action Drop")                                \
	X(FLOW_ACTION_INVALID, "Flow Action Invalid")                          \
	X(FLOW_INVALID_PROTOCOL, "Flow Invalid Protocol")                      \
	X(FLOW_QUEUE_LIMIT_EXCEEDED, "Flow Queue Limit Exceeded")              \
	X(DROP_NEW_FLOW, "New Flow Drops")                                     \
	X(FLOW_EVICT, "Flow Unusable (Eviction)")                              \
	X(TRAP_ORIGINAL, "Original Packet Trapped")                            \
	X(DISCARD, "Discards")                                                 \
	X(TTL_EXCEEDED, "TTL Exceeded")                                        \
	X(MCAST_CLONE_FAIL, "Mcast Clone Fail")                                \
	X(INVALID_NH, "Invalid NH")                                            \
	X(INVALID_LABEL, "Invalid Label")                                      \
	X(INVALID_PROTOCOL, "Invalid Protocol")                                \
	X(ETREE_LEAF_TO_LEAF, "Etree Leaf to Leaf")                            \
	X(BMAC_ISID_MISMATCH, "Bmac/ISID Mismatch")                            \
	X(REWRITE_FAIL, "Rewrite Fail")                                        \
	X(INVALID_MCAST_SOURCE, "Invalid Mcast Source")                        \
	X(PACKET_LOOP, "Packet Loop")                                          \
	X(PUSH, "Push Fails")                                                  \
	X(PULL, "Pull Fails")                                                  \
	X(DUPLICATED, "Duplicate")                                             \
	X(HEAD_ALLOC_FAIL, "Head Alloc Fails")                                 \
	X(PCOW_FAIL, "PCOW fails")                                             \
	X(INVALID_PACKET, "Invalid Packets")                                   \
	X(MISC, "Misc")                                                        \
	X(NOWHERE_TO_GO, "Nowhere to go")                                      \
	X(CKSUM_ERR, "Checksum errors")                                        \
	X(NO_FMD, "No Fmd")                                                    \
	X(INVALID_VNID, "Invalid VNID")                                        \
	X(FRAGMENTS, "Fragment errors")                                        \
	X(INVALID_SOURCE, "Invalid Source")                                    \
	X(MCAST_DF_BIT, "Jumbo Mcast Pkt with DF Bit")                         \
	X(L2_NO_ROUTE, "No L2 Route")                                          \
	X(NO_MEMORY, "Memory Failures")                                        \
	X(FRAGMENT_QUEUE_FAIL, "Fragment Queueing Failures")                   \
	X(NO_ENCRYPT_PATH, "No Encrypt Path Failures")                         \
	X(INVALID_HBS_PKT, "Invalid HBS received packet")                      \
	X(NO_FRAG_ENTRY, "No Fragment Entries")                                \
	X(ICMP_ERROR, "ICMP errors")                                           \
	X(CLONE_FAIL, "Clone Failures")                                        \
	X(INVALID_UNDERLAY_ECMP, "Invalid underlay ECMP")                      \
	X(CLONED_ORIGINAL, "Cloned Original")                                  \
	X(SOURCE_MAC, "Spoofed Source MAC")                                    \
	X(SOURCE_IP, "Spoofed Source IP")                                      \
	X(TUNNEL_SOURCE, "Tunnel Source")                                      \
	X(TRAP_LIMIT, "Trap Limit Exceeded")                                   \
	X(BUM_LIMIT, "BUM Limit Exceeded")                                     \
	X(PACKET_TOO_BIG, "Packet Too Big")                                    \
	X(NEIGHBOUR, "No Neighbour")

#define DROP_ENUM(name, text) DROP_##name,
enum drop_reason { DROP_REASONS(DROP_ENUM) DROP_REASON_COUNT };

#endif
