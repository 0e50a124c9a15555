// How a set of attributes is told to the neighbours of a policy: tungsten.control.bgp_routes.Exporter.
#include "ribout.hpp"

namespace tungsten {

namespace {

bool is_private(u32 asn) {
    return (64512 <= asn && asn <= 65534) || (4200000000u <= asn && asn <= 4294967294u);
}

bool passed(Octets path, u32 asn) {
    for (std::size_t at = 0; at < path.size;) {
        const u32 count = path[at + 1];
        at += 2;
        for (u32 i = 0; i < count; ++i, at += 4)
            if (be32(path.data + at) == asn) return true;
    }
    return false;
}

// Their AS number replaced by ours.
void override_as(Buffer &path, u32 theirs, u32 ours) {
    for (std::size_t at = 0; at < path.size();) {
        const u32 count = *path.at(at + 1);
        at += 2;
        for (u32 i = 0; i < count; ++i, at += 4)
            if (be32(path.at(at)) == theirs) put32(path.at(at), ours);
    }
}

void without_private(Octets path, PrivateAs action, u32 local_as, Buffer &out) {
    bool taking = true;
    for (std::size_t at = 0; at < path.size;) {
        const u32 count = path[at + 1];
        const std::size_t head = out.size();
        out.put(path[at]);
        out.put(0);
        at += 2;
        u32 kept = 0;
        for (u32 i = 0; i < count; ++i, at += 4) {
            const u32 asn = be32(path.data + at);
            if (!is_private(asn)) {
                taking = taking && action != REMOVE;
                out.put_32(asn);
            } else if (action == REPLACE_ALL) {
                out.put_32(local_as);
            } else if (!taking) {
                out.put_32(asn);
            } else {
                continue;
            }
            ++kept;
        }
        if (kept)
            *out.at(head + 1) = static_cast<u8>(kept);
        else
            out.truncate(head);
    }
}

void prepend(Octets path, u32 asn, Buffer &out) {
    const bool joins = path.size && path[0] == 2 && path[1] < 255;
    out.put(2);
    out.put(static_cast<u8>(joins ? path[1] + 1 : 1));
    out.put_32(asn);
    out.put(joins ? path.from(2) : path);
}

// For a neighbour that does not know long-lived stale routes: last choice, and not beyond it.
void tell_as_last_choice(Values &v, Buffer &communities) {
    constexpr u32 NO_EXPORT = 0xFFFFFF01;
    v.has_local_preference = true;
    v.local_preference = 0;
    for (std::size_t at = 0; at + 4 <= v.communities.size; at += 4)
        if (be32(v.communities.data + at) == NO_EXPORT) return;
    communities.put(v.communities);
    communities.put_32(NO_EXPORT);
    v.communities = communities.view();
}

} // namespace

bool may_tell(const Policy &policy, const Attributes &a) {
    if (a.has(NO_ADVERTISE_SET)) return false;
    if (policy.internal) return true;
    if (a.has(LLGR) && !policy.long_lived) return false;
    if (a.has(NO_EXPORT_SET)) return false;
    return policy.as_override || !passed(a.as_path(), policy.peer_as);
}

bool encode_told(const Policy &policy, const Attributes &a, const Source &source, Buffer &out) {
    Values v = values_of(a.next_hop(), a.block());
    if (policy.family == INET && v.next_hop.size != 4) return false;
    Buffer extended, clusters, path, kept, marked;
    if (a.has(LLGR) && !policy.long_lived) tell_as_last_choice(v, marked);
    const bool internet = policy.family == INET || policy.family == INET6;
    if (internet) {
        v.extended = {};
    } else if (!policy.encapsulations.empty() || !policy.internal) {
        const bool replaced = !policy.encapsulations.empty();
        for (std::size_t at = 0; at + 8 <= v.extended.size; at += 8) {
            const u8 *c = v.extended.data + at;
            if (replaced && c[0] == 0x03 && c[1] == 0x0C) continue;
            if (!policy.internal && c[0] & 0x40) continue;
            extended.put(c, 8);
        }
        for (const u64 each : policy.encapsulations) put64(extended.room(8), each);
        v.extended = extended.view();
    }
    if (policy.internal) {
        if (!v.has_local_preference) v.local_preference = DEFAULT_LOCAL_PREFERENCE;
        v.has_local_preference = true;
        const bool learnt = source.bgp && !source.external;
        if (learnt && policy.reflector && !source.router_id.empty()) {
            if (!v.has_originator) {
                v.has_originator = true;
                v.originator = {reinterpret_cast<const u8 *>(source.router_id.data()), source.router_id.size()};
            }
            clusters.put(policy.cluster_id, 4);
            clusters.put(v.cluster_list);
            v.cluster_list = clusters.view();
        }
    } else {
        if (v.as_path.size) v.has_med = false;
        v.has_local_preference = v.has_originator = false;
        v.cluster_list = {};
        kept.put(v.as_path);
        if (passed(v.as_path, policy.peer_as)) override_as(kept, policy.peer_as, policy.local_as);
        if (policy.private_as != KEEP) {
            Buffer cleaned;
            without_private(kept.view(), policy.private_as, policy.local_as, cleaned);
            kept.clear();
            kept.put(cleaned.view());
        }
        prepend(kept.view(), policy.local_as, path);
        v.as_path = path.view();
    }
    encode_values(v, policy.four_octet_as, policy.family == INET, out);
    return true;
}

} // namespace tungsten
