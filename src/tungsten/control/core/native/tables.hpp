// Routes, paths and tables as compact records; see tungsten.control.tables for what they mean.
//
// A route is named by a number: the class of its record (by the room its key needs) in the upper
// four bits, and where it is in the slab of that class. A number stays valid while the route has
// paths, or a rib-out still has something to take back for it.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "policy.hpp"
#include "update.hpp"

namespace tungsten {

using RouteId = u32;
using SourceId = u16;

enum PathFlag : u16 {
    STALE = 1,
    LLGR_STALE_FLAG = 2,
    AS_PATH_LOOPED = 4,
    NO_NEIGHBOR_AS = 8,
    ORIGINATOR_ID_LOOPED = 16,
    CLUSTER_LIST_LOOPED = 32,
    NO_TUNNEL_ENCAP = 64,
    ROUTING_POLICY_REJECT = 128,
    RESOLVE_NEXT_HOP = 256,
    ALIASED = 512,
    RESOLVED = 1024,
    ALL_FLAGS = 2047,
    INFEASIBLE = 4 | 8 | 16 | 32 | 64 | 128 | 256,
};

// Where the distinguisher of a path is: nowhere (all zero), in the route's key, in that of the
// route it was copied from, or beside the path.
enum RdWhere : u8 { RD_NONE, RD_OF_KEY, RD_OF_ORIGIN, RD_BESIDE };

// How a source stands in a table: its primary paths, how many of them it has said since it was
// last lost, and which session that is. Losing a session only begins a new one here; what is left
// of those before is found by a walk, in slices.
struct Standing {
    u32 paths = 0, fresh = 0;
    u8 session = 0;
};

struct Source {
    std::string name, address, router_id;
    u8 rank = 4;
    bool bgp = false, local = false, external = false, indexed = false;
    bool known = false;
    u32 paths = 0;       // how many references there are, of paths and rib-outs
    u32 generation = 0;
    std::unordered_map<u32, Standing> tables;
    Index routes;        // of an indexed source: the routes it speaks of
};

struct Path {
    u32 attributes; // 0: no path
    u32 label, label2;
    RouteId origin; // the route it was copied from; 0: it is primary
    u32 next;       // further paths of the route, in order
    u32 extra;      // what few paths have, 0 nothing
    SourceId source;
    u16 flags;
    u8 rd_where;
    u8 session; // in which session of its source it was said, modulo 16: see Standing
    double modified;

    bool primary() const { return origin == 0; }
    bool feasible() const { return !(flags & INFEASIBLE); }
};
static_assert(sizeof(Path) == 40, "what a route costs");

struct Extra {
    u8 rd[8], esi[10];
    u16 sub_protocol;
    u32 path_id;
    u32 original; // the attributes that were said, where policy made others of them; 0: it did not
};

// A contributing route only makes up an aggregate: it is neither copied nor told.
enum RouteState : u8 { PRESENT = 1, MARKED = 2, CONTRIBUTING = 4 };

struct Route {
    u32 table;
    u32 replicas;
    u16 key_size;
    u8 state, spare;
    u16 pins; // rib-outs that still know something of it
    u16 spare2;
    Path path;
    u8 octets[8]; // the key, as long as the class has room

    Octets key() const { return {octets, key_size}; }
};

// A copy that replication made.
struct Replica {
    u32 next;
    RouteId route;
    u32 path_id;
    SourceId source;
};

class RibOut;

struct Table {
    std::string name;
    Family family = INET;
    bool vpn = false, alive = false, listened = false;
    u32 instance = 0; // 0: of none
    u32 told_at = 0;  // where it is among those to be told of, from 1
    std::size_t routes = 0;
    Index index;
    std::vector<RibOut *> outs;
    std::vector<RouteId> inclusive;
    std::unordered_set<std::string> contributing; // keys, of routes that exist or may
    std::shared_ptr<TablePolicy> policy;          // none if there never was one here
};

// A path with all that identifies and describes it.
struct PathView {
    Path path;
    u8 rd[8];
    u8 esi[10];
    u16 sub_protocol;
    u32 path_id;
    u32 original;
};

class Replication;

class Rib {
  public:
    Rib();
    ~Rib();
    Rib(const Rib &) = delete;
    Rib &operator=(const Rib &) = delete;

    AttributeStore attributes;
    std::vector<Source> sources; // number 0 is none
    std::vector<Table> tables;   // number 0 is none
    std::vector<std::string> sub_protocols;
    std::unique_ptr<Replication> replication;

    u32 add_table(const std::string &name, Family family, bool vpn);
    void drop_table(u32 table);
    SourceId add_source();
    void forget_source(SourceId id);

    // --- routes
    Route &route(RouteId id) { return slabs_[id >> CLASS_SHIFT][id & NUMBER]; }
    static u32 class_of(RouteId id) { return id >> CLASS_SHIFT; }
    static u32 number_of(RouteId id) { return id & NUMBER; }
    static constexpr u32 CLASSES = 10;
    RouteId find(u32 table, Octets key);         // present or not
    RouteId get(u32 table, Octets key);          // present only
    void paths_of(RouteId id, std::vector<PathView> &out);
    const u8 *rd_of(const Route &route, const Path &path);
    u32 path_id_of(const Path &path) { return path.extra ? extras_[path.extra].path_id : 0; }
    const u8 *esi_of(const Path &path);
    // The attributes that were said, whatever policy made of them.
    u32 said_of(const Path &path) const;
    u32 path_count(SourceId source);

    // --- what sources say
    // Takes `view`; its attributes' reference is the caller's still. Whether anything changed.
    bool add(u32 table, Octets key, const PathView &view);
    RouteId ensure(u32 table, Octets key);
    bool add_to(RouteId id, const PathView &view);
    bool remove(u32 table, Octets key, SourceId source, u32 path_id, RouteId origin);
    bool remove_from(RouteId id, SourceId source, u32 path_id, RouteId origin);
    Path *find_path(Route &route, SourceId source, u32 path_id, RouteId origin);
    enum Which { EVERY, STALE_ONLY, MAKE_STALE };
    // What becomes of all that a source has said; how many paths. Those of a neighbour, who may
    // have said a million, are dealt with by process_batch(); of others at once.
    u32 leave(SourceId source, const std::vector<u32> *in, Which which);
    // Whether a primary path is left over from a session that was lost.
    bool is_left(const Path &path, u32 table) {
        return path.flags & STALE || path.session != sources[path.source].tables[table].session;
    }
    void spoken(SourceId source, const std::vector<u32> *in, std::vector<RouteId> &out);
    void remove_primaries(u32 table);

    // --- work
    void mark(RouteId id);
    void mark_table(u32 table);
    void set_contributing(u32 table, Octets key, bool contributing);
    void set_policy(u32 table, std::shared_ptr<TablePolicy> policy);
    bool settled() const;
    // Takes a batch of about `limit` routes: orders, replicates, tells rib-outs. Routes of tables
    // that others listen to are left in `told` until finish_batch().
    void process_batch(std::size_t limit);
    void finish_batch();
    std::vector<std::pair<u32, std::vector<RouteId>>> told;
    void unpin(RouteId id);
    // Whether something was marked while all was settled, since this was last asked.
    bool take_armed() {
        const bool was = armed_;
        armed_ = false;
        return was;
    }
    void arm() { armed_ = true; }

    // --- comparing (compare.cpp)
    int compare_cost(const Path &a, const Path &b) const;
    int compare(const Path &a, const Path &b);
    void order(Route &route);
    // The paths in use together, best first.
    void equal_cost(Route &route, std::vector<Path> &out);

    Slab<Replica> replicas;
    Slab<Path> more;
    u32 policies_made = 0;
    u32 slab_end(u32 cls) const { return slabs_[cls].end(); }

  private:
    friend class Replication;
    static constexpr u32 CLASS_SHIFT = 28, NUMBER = (1u << CLASS_SHIFT) - 1;

    void purge(RouteId id);
    void fill(Path &path, const PathView &view, const Route &route);
    bool same(const Path &path, const PathView &view, const Route &route);
    void drop_path(Path &path);
    void give_extra(u32 extra);
    void judge(Route &route);
    void settle(Path &path, u32 made, bool rejected);
    void count_source(SourceId source, RouteId id, const Path &path, int change);
    void end_paths(RouteId id, SourceId source, Which which, int session);
    u32 begin_departure(SourceId source, u32 table, Which which);
    void depart(std::size_t limit);
    bool speaks(const Route &route, SourceId source) const;

    std::vector<Slab<Route>> slabs_;
    Slab<Extra> extras_;
    std::vector<RouteId> marked_;
    std::size_t marked_at_ = 0;
    std::vector<RouteId> batch_;
    std::vector<Path> scratch_;
    std::vector<SourceId> free_sources_;
    std::vector<u32> free_tables_;
    // A walk over what a source has said in sessions up to one.
    struct Departure {
        SourceId source;
        u32 generation, table;
        Which which;
        u8 session;
        u32 cls, number;
    };
    std::vector<Departure> departures_;
    std::vector<u32> path_ids_;
    u32 asked_ = 0; // how often a policy's judge was asked in this batch
    bool armed_ = false;
};

} // namespace tungsten
