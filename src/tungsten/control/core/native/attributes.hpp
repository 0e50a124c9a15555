// Path attributes: parsed once per distinct set, interned by their canonical octets, counted.
//
// The canonical form is what tungsten.bgp.attributes.encode_attributes writes with four-octet AS
// numbers and no next hop: two sets are equal exactly when their next hops and canonical octets
// are. The next hop is kept in front of the block.
#pragma once

#include "octets.hpp"

namespace tungsten {

enum AttributeCode : u8 {
    ORIGIN = 1,
    AS_PATH = 2,
    NEXT_HOP = 3,
    MED = 4,
    LOCAL_PREF = 5,
    ATOMIC_AGGREGATE = 6,
    AGGREGATOR = 7,
    COMMUNITIES = 8,
    ORIGINATOR_ID = 9,
    CLUSTER_LIST = 10,
    MP_REACH = 14,
    MP_UNREACH = 15,
    EXTENDED_COMMUNITIES = 16,
    AS4_PATH = 17,
    AS4_AGGREGATOR = 18,
    PMSI_TUNNEL = 22,
    LARGE_COMMUNITIES = 32,
    ORIGIN_VN_PATH = 243,
};

constexpr u8 OPTIONAL = 0x80, TRANSITIVE = 0x40, PARTIAL = 0x20, EXTENDED = 0x10;
constexpr u32 AS_TRANS = 23456;
constexpr u32 DEFAULT_LOCAL_PREFERENCE = 100;

struct Opaque {
    u8 flags, code;
    Octets value;
};

// The values of a set, as views of octets that somebody else keeps.
struct Values {
    u8 origin = 0;
    bool has_med = false, has_local_preference = false, atomic = false, has_originator = false;
    u32 med = 0, local_preference = 0;
    Octets next_hop, as_path /* four octets an AS */, aggregator /* 8 octets */, communities,
        originator, cluster_list, extended, pmsi, large, origin_vn_path;
    std::vector<Opaque> opaque;
};

// The values of a canonical block.
Values values_of(Octets next_hop, Octets block);
// Appends the block; see tungsten.bgp.attributes.encode_attributes.
void encode_values(const Values &values, bool four_octet_as, bool with_next_hop, Buffer &out);

enum AttributeFlag : u32 {
    HAS_LOCAL_PREF = 1,
    HAS_MED = 2,
    LEAF = 4,
    STICKY = 8,
    LLGR = 16,
    VXLAN = 32,
    NO_ADVERTISE_SET = 64,
    NO_EXPORT_SET = 128,
    HAS_ORIGIN_VN = 256,
    HAS_ORIGIN_VN_PATH = 512,
    HAS_ORIGINATOR = 1024,
    // What it means inside is what it means from an external peer: see Store::find_canonical.
    PLAIN = 2048,
};

// One thing made of a set before, for whoever asks again: weak, by number and generation.
struct Memo {
    u32 kind, next;
    u64 argument;
    u32 result, generation;
};

struct Attributes {
    u32 references, generation, hash, targets /* set of route targets, 0 none */;
    std::unique_ptr<u8[]> octets;
    u32 local_preference, med, neighbor_as, mobility, origin_vn, origin_as, flags, memo;
    u16 path_length, clusters, block_size;
    u16 path_at, path_size, communities_at, communities_size, extended_at, extended_size;
    u16 cluster_at;
    u8 next_hop_size, origin;
    u8 originator[4];

    Octets next_hop() const { return {octets.get(), next_hop_size}; }
    Octets block() const { return {octets.get() + next_hop_size, block_size}; }
    Octets as_path() const { return block().part(path_at, path_size); }
    Octets communities() const { return block().part(communities_at, communities_size); }
    Octets extended() const { return block().part(extended_at, extended_size); }
    Octets cluster_list() const { return block().part(cluster_at, clusters * 4u); }
    bool has(u32 flag) const { return flags & flag; }
};

// Sets of route targets that some attributes carry: few, whatever the number of routes.
struct TargetSet {
    std::vector<u64> targets;
    u32 users = 0;
    u32 hash = 0;
    u32 generation = 0;
};

bool is_route_target(u64 community);
// (found, network index, AS that numbered it) of the first origin-VN community.
bool origin_vn_of(Octets extended, u32 &index, u32 &as);
bool is_origin_vn(const u8 *community);

class AttributeStore {
  public:
    AttributeStore();
    ~AttributeStore();

    const Attributes &operator[](u32 id) const { return slab_[id]; }
    std::size_t size() const { return index_.size(); }
    u32 end() const { return slab_.end(); }
    template <typename Visit> void each(Visit visit) const { index_.each(visit); }

    // All that intern() and find() return is owned by the caller: a reference was added.
    u32 intern(const Values &values);
    u32 intern_block(Octets next_hop, Octets block);
    // The set with exactly this canonical block, 0 if there is none.
    u32 find(Octets next_hop, Octets block);
    u32 hold(u32 id) {
        ++slab_[id].references;
        return id;
    }
    void release(u32 id) {
        if (id && --slab_[id].references == 0) free(id);
    }
    // Handles name a set to others; alive() tells whether one still does.
    u64 handle(u32 id) const { return u64(slab_[id].generation) << 32 | id; }
    bool alive(u32 id, u32 generation) const {
        return id < slab_.end() && slab_[id].references && slab_[id].generation == generation;
    }

    // Memoised results, held weakly; 0 when there is none.
    u32 recall(u32 id, u32 kind, u64 argument);
    void remember(u32 id, u32 kind, u64 argument, u32 result);

    const std::vector<u64> &targets(u32 set) const { return sets_[set].targets; }
    u32 target_generation(u32 set) const { return sets_[set].generation; }
    std::size_t target_sets() const { return sets_.size(); }
    bool in_use(u32 set) const { return sets_[set].users; }

  private:
    void free(u32 id);
    void forget(Attributes &a);
    void summarise(Attributes &a);
    void collect_targets(Attributes &a);

    Slab<Attributes> slab_;
    Slab<Memo> memos_;
    Index index_;
    std::vector<TargetSet> sets_;
    std::vector<u32> free_sets_;
    Index set_index_;
    Buffer scratch_;
};

} // namespace tungsten
