#include "attributes.hpp"

#include <algorithm>
#include <random>
#include <stdexcept>

namespace tungsten {

const u64 hash_seed = [] {
    std::random_device device;
    return u64(device()) << 32 | device() | 1;
}();

namespace {

constexpr u8 WELL_KNOWN = TRANSITIVE, OPT_TRANS = OPTIONAL | TRANSITIVE;
constexpr u32 NO_EXPORT = 0xFFFFFF01, NO_ADVERTISE = 0xFFFFFF02, NO_EXPORT_SUBCONFED = 0xFFFFFF03,
              LLGR_STALE = 0xFFFF0006;

void put_attribute(Buffer &out, u8 flags, u8 code, Octets value) {
    if (value.size > 0xFFFF) throw std::length_error("an attribute has more than 65535 octets");
    if (value.size > 0xFF) {
        out.put(flags | EXTENDED);
        out.put(code);
        out.put_16(static_cast<u32>(value.size));
    } else {
        out.put(flags);
        out.put(code);
        out.put(static_cast<u8>(value.size));
    }
    out.put(value);
}

void put_number(Buffer &out, u8 flags, u8 code, u32 value) {
    u8 octets[4];
    put32(octets, value);
    put_attribute(out, flags, code, {octets, 4});
}

// An AS_PATH value with two-octet AS numbers; tells whether one did not fit.
bool narrow_path(Octets path, Buffer &out) {
    bool wide = false;
    for (std::size_t at = 0; at < path.size;) {
        const u8 count = path[at + 1];
        out.put(path[at]);
        out.put(count);
        at += 2;
        for (u8 i = 0; i < count; ++i, at += 4) {
            const u32 asn = be32(path.data + at);
            wide |= asn > 0xFFFF;
            out.put_16(asn > 0xFFFF ? AS_TRANS : asn);
        }
    }
    return wide;
}

u32 hash_set(Octets next_hop, Octets block) {
    return hash_octets(block) * 0x9E3779B1u ^ hash_octets(next_hop);
}

struct Narrow {
    Buffer path, aggregator;
    bool wide_path = false, wide_aggregator = false;
};

} // namespace

Values values_of(Octets next_hop, Octets block) {
    Values v;
    v.next_hop = next_hop;
    for (std::size_t at = 0; at < block.size;) {
        const u8 flags = block[at], code = block[at + 1];
        const bool wide = flags & EXTENDED;
        const std::size_t size = wide ? be16(block.data + at + 2) : block[at + 2];
        at += wide ? 4 : 3;
        const Octets value = block.part(at, size);
        at += size;
        switch (code) {
        case ORIGIN: v.origin = value[0]; break;
        case AS_PATH: v.as_path = value; break;
        case MED: v.has_med = true; v.med = be32(value.data); break;
        case LOCAL_PREF: v.has_local_preference = true; v.local_preference = be32(value.data); break;
        case ATOMIC_AGGREGATE: v.atomic = true; break;
        case AGGREGATOR: v.aggregator = value; break;
        case COMMUNITIES: v.communities = value; break;
        case ORIGINATOR_ID: v.has_originator = true; v.originator = value; break;
        case CLUSTER_LIST: v.cluster_list = value; break;
        case EXTENDED_COMMUNITIES: v.extended = value; break;
        case PMSI_TUNNEL: v.pmsi = value; break;
        case LARGE_COMMUNITIES: v.large = value; break;
        case ORIGIN_VN_PATH: v.origin_vn_path = value; break;
        default: v.opaque.push_back({static_cast<u8>(flags & ~EXTENDED), code, value});
        }
    }
    return v;
}

void encode_values(const Values &v, bool four, bool with_next_hop, Buffer &out) {
    Narrow narrow;
    if (!four) {
        narrow.wide_path = narrow_path(v.as_path, narrow.path);
        if (v.aggregator.size) {
            const u32 asn = be32(v.aggregator.data);
            narrow.wide_aggregator = asn > 0xFFFF;
            narrow.aggregator.put_16(asn > 0xFFFF ? AS_TRANS : asn);
            narrow.aggregator.put(v.aggregator.from(4));
        }
    }
    std::vector<Opaque> opaque = v.opaque;
    if (opaque.size() > 1)
        std::sort(opaque.begin(), opaque.end(), [](const Opaque &a, const Opaque &b) {
            if (a.code != b.code) return a.code < b.code;
            if (a.flags != b.flags) return a.flags < b.flags;
            return compare_octets(a.value, b.value) < 0;
        });
    auto next = opaque.begin();
    const auto opaque_up_to = [&](u32 code) {
        for (; next != opaque.end() && next->code < code; ++next)
            put_attribute(out, next->flags, next->code, next->value);
    };
    const auto present = [&](u8 code, u8 flags, Octets value) {
        if (!value.size) return;
        opaque_up_to(code);
        put_attribute(out, flags, code, value);
    };
    opaque_up_to(ORIGIN);
    put_attribute(out, WELL_KNOWN, ORIGIN, {&v.origin, 1});
    opaque_up_to(AS_PATH);
    put_attribute(out, WELL_KNOWN, AS_PATH, four ? v.as_path : narrow.path.view());
    opaque_up_to(NEXT_HOP);
    if (with_next_hop) put_attribute(out, WELL_KNOWN, NEXT_HOP, v.next_hop);
    opaque_up_to(MED);
    if (v.has_med) put_number(out, OPTIONAL, MED, v.med);
    opaque_up_to(LOCAL_PREF);
    if (v.has_local_preference) put_number(out, WELL_KNOWN, LOCAL_PREF, v.local_preference);
    opaque_up_to(ATOMIC_AGGREGATE);
    if (v.atomic) put_attribute(out, WELL_KNOWN, ATOMIC_AGGREGATE, {});
    present(AGGREGATOR, OPT_TRANS, four ? v.aggregator : narrow.aggregator.view());
    present(COMMUNITIES, OPT_TRANS, v.communities);
    opaque_up_to(ORIGINATOR_ID);
    if (v.has_originator) put_attribute(out, OPTIONAL, ORIGINATOR_ID, v.originator);
    present(CLUSTER_LIST, OPTIONAL, v.cluster_list);
    present(EXTENDED_COMMUNITIES, OPT_TRANS, v.extended);
    if (narrow.wide_path) present(AS4_PATH, OPT_TRANS, v.as_path);
    if (narrow.wide_aggregator) present(AS4_AGGREGATOR, OPT_TRANS, v.aggregator);
    present(PMSI_TUNNEL, OPT_TRANS, v.pmsi);
    present(LARGE_COMMUNITIES, OPT_TRANS, v.large);
    present(ORIGIN_VN_PATH, OPT_TRANS, v.origin_vn_path);
    opaque_up_to(256);
}

bool is_route_target(u64 community) {
    return (community >> 56) <= 2 && (community >> 48 & 0xFF) == 2;
}

bool is_origin_vn(const u8 *c) { return c[1] == 0x71 && (c[0] == 0x80 || c[0] == 0x82); }

bool origin_vn_of(Octets extended, u32 &index, u32 &as) {
    for (std::size_t at = 0; at + 8 <= extended.size; at += 8) {
        const u8 *c = extended.data + at;
        if (!is_origin_vn(c)) continue;
        const bool two_octets = c[0] == 0x80;
        as = two_octets ? be16(c + 2) : be32(c + 2);
        index = two_octets ? be32(c + 4) : be16(c + 6);
        return true;
    }
    return false;
}

AttributeStore::AttributeStore() : sets_(1) {}

AttributeStore::~AttributeStore() {
    index_.each([this](u32 id) { slab_[id].octets.reset(); });
}

u32 AttributeStore::find(Octets next_hop, Octets block) {
    const u32 hash = hash_set(next_hop, block);
    const u32 id = index_.find(hash, [&](u32 each) {
        return slab_[each].block() == block && slab_[each].next_hop() == next_hop;
    });
    return id ? hold(id) : 0;
}

u32 AttributeStore::intern(const Values &values) {
    scratch_.clear();
    encode_values(values, true, false, scratch_);
    return intern_block(values.next_hop, scratch_.view());
}

u32 AttributeStore::intern_block(Octets next_hop, Octets block) {
    if (block.size > 0xFFFF) throw std::length_error("attributes have more than 65535 octets");
    if (const u32 known = find(next_hop, block)) return known;
    const u32 id = slab_.take();
    Attributes &a = slab_[id];
    a.references = 1;
    a.hash = hash_set(next_hop, block);
    a.octets.reset(new u8[next_hop.size + block.size]);
    a.next_hop_size = static_cast<u8>(next_hop.size);
    a.block_size = static_cast<u16>(block.size);
    if (next_hop.size) std::memcpy(a.octets.get(), next_hop.data, next_hop.size);
    std::memcpy(a.octets.get() + next_hop.size, block.data, block.size);
    a.memo = 0;
    summarise(a);
    collect_targets(a);
    index_.insert(a.hash, id);
    return id;
}

void AttributeStore::free(u32 id) {
    Attributes &a = slab_[id];
    index_.erase(a.hash, id);
    forget(a);
    if (a.targets && --sets_[a.targets].users == 0) {
        TargetSet &set = sets_[a.targets];
        set_index_.erase(set.hash, a.targets);
        set.targets.clear();
        free_sets_.push_back(a.targets);
    }
    a.octets.reset();
    ++a.generation;
    slab_.give(id);
}

void AttributeStore::forget(Attributes &a) {
    for (u32 each = a.memo; each;) {
        const u32 next = memos_[each].next;
        memos_.give(each);
        each = next;
    }
    a.memo = 0;
}

u32 AttributeStore::recall(u32 id, u32 kind, u64 argument) {
    for (u32 each = slab_[id].memo; each; each = memos_[each].next) {
        const Memo &memo = memos_[each];
        if (memo.kind == kind && memo.argument == argument)
            return alive(memo.result, memo.generation) ? memo.result : 0;
    }
    return 0;
}

void AttributeStore::remember(u32 id, u32 kind, u64 argument, u32 result) {
    Attributes &a = slab_[id];
    u32 count = 0;
    for (u32 each = a.memo; each; each = memos_[each].next, ++count) {
        Memo &memo = memos_[each];
        if (memo.kind == kind && memo.argument == argument) {
            memo.result = result;
            memo.generation = slab_[result].generation;
            return;
        }
    }
    if (count >= 16) forget(a);
    const u32 made = memos_.take();
    memos_[made] = {kind, a.memo, argument, result, slab_[result].generation};
    a.memo = made;
}

// What comparing, importing and telling look at, so that they need not look into the block.
void AttributeStore::summarise(Attributes &a) {
    const Octets block = a.block();
    const Values v = values_of(a.next_hop(), block);
    const auto where = [&](Octets value, u16 &at, u16 &size) {
        at = value.size ? static_cast<u16>(value.data - block.data) : 0;
        size = static_cast<u16>(value.size);
    };
    u16 cluster_size = 0;
    where(v.as_path, a.path_at, a.path_size);
    where(v.communities, a.communities_at, a.communities_size);
    where(v.extended, a.extended_at, a.extended_size);
    where(v.cluster_list, a.cluster_at, cluster_size);
    a.clusters = static_cast<u16>(cluster_size / 4);
    a.origin = v.origin;
    a.local_preference = v.local_preference;
    a.med = v.med;
    a.flags = (v.has_local_preference ? HAS_LOCAL_PREF : 0u) | (v.has_med ? HAS_MED : 0u) |
              (v.has_originator ? HAS_ORIGINATOR : 0u) |
              (v.origin_vn_path.size ? HAS_ORIGIN_VN_PATH : 0u);
    if (v.has_originator && v.originator.size == 4) std::memcpy(a.originator, v.originator.data, 4);
    if (!v.has_local_preference && !v.has_originator && !v.cluster_list.size && v.as_path.size)
        a.flags |= PLAIN;
    a.path_length = 0;
    a.neighbor_as = 0;
    for (std::size_t at = 0; at < v.as_path.size; at += 2 + 4u * v.as_path[at + 1]) {
        const bool sequence = v.as_path[at] == 2;
        if (at == 0 && sequence && v.as_path[1]) a.neighbor_as = be32(v.as_path.data + 2);
        a.path_length = static_cast<u16>(a.path_length + (sequence ? v.as_path[at + 1] : 1));
    }
    for (std::size_t at = 0; at + 4 <= v.communities.size; at += 4) {
        const u32 c = be32(v.communities.data + at);
        if (c == LLGR_STALE) a.flags |= LLGR;
        if (c == NO_ADVERTISE) a.flags |= NO_ADVERTISE_SET;
        if (c == NO_EXPORT || c == NO_EXPORT_SUBCONFED) a.flags |= NO_EXPORT_SET;
    }
    a.mobility = 0;
    a.origin_vn = a.origin_as = 0;
    bool moved = false;
    for (std::size_t at = 0; at + 8 <= v.extended.size; at += 8) {
        const u8 *c = v.extended.data + at;
        if (!moved && c[0] == 6 && c[1] == 0) {
            moved = true;
            a.mobility = be32(c + 4);
            if (c[2] & 1) a.flags |= STICKY;
        }
        if (c[0] == 6 && c[1] == 5 && c[2] == 1) a.flags |= LEAF;
        if (be64(c) == 0x030C000000000008ull) a.flags |= VXLAN;
    }
    if (origin_vn_of(v.extended, a.origin_vn, a.origin_as)) a.flags |= HAS_ORIGIN_VN;
}

void AttributeStore::collect_targets(Attributes &a) {
    a.targets = 0;
    std::vector<u64> found;
    const Octets extended = a.extended();
    for (std::size_t at = 0; at + 8 <= extended.size; at += 8) {
        const u64 community = be64(extended.data + at);
        if (is_route_target(community)) found.push_back(community);
    }
    if (found.empty()) return;
    const Octets raw{reinterpret_cast<const u8 *>(found.data()), found.size() * 8};
    const u32 hash = hash_octets(raw);
    u32 set = set_index_.find(hash, [&](u32 each) { return sets_[each].targets == found; });
    if (!set) {
        if (free_sets_.empty()) {
            set = static_cast<u32>(sets_.size());
            sets_.emplace_back();
        } else {
            set = free_sets_.back();
            free_sets_.pop_back();
        }
        sets_[set].targets = std::move(found);
        sets_[set].hash = hash;
        ++sets_[set].generation;
        set_index_.insert(hash, set);
    }
    ++sets_[set].users;
    a.targets = set;
}

} // namespace tungsten
