// Import and export between instances: tungsten.control.replication.
#pragma once

#include <map>
#include <unordered_set>

#include "tables.hpp"

namespace tungsten {

struct Instance {
    bool alive = false, master = false;
    u32 tables[3] = {0, 0, 0}; // inet, inet6, evpn
    std::vector<u64> imports, exports; // sorted
    u32 network_index = 0;
    u32 recipe = 0; // what its exports add to a set of attributes, by value
    u32 stamp = 0;
};

class Replication {
  public:
    explicit Replication(Rib &rib) : instances(1), rib_(rib) {}

    std::vector<Instance> instances; // number 0 is none
    u32 add_instance();
    void configure(u32 instance, std::vector<u64> imports, std::vector<u64> exports, u32 network_index);
    void drop_instance(u32 instance);
    void set_asn(u32 asn);

    // Brings the copies of a route up to date.
    void replicate(RouteId id);
    // Someone's use of a route target changed: what carries it is marked, in slices.
    void reconsider_target(u64 target);
    void reconsider();
    bool is_pending() const { return walking_ || !pending_.empty() || !pending_hops_.empty(); }
    // Whether copies into VRFs wait for a host route of the fabric to their next hop.
    void set_reachability_check(bool check);

    std::vector<u32> vpn_tables = {0, 0, 0}; // of inet, inet6, evpn

  private:
    struct Copy {
        u32 table;
        u32 key_at, key_size;
        RouteId route;
        PathView view;
    };
    struct Held {
        RouteId route;
        SourceId source;
        u32 path_id;
    };

    void from_vrf(const Route &route, const Path &path, const Instance &instance);
    void from_vpn(RouteId id, const Route &route, const Path &path);
    void want(u32 table, Octets key, const Path &path, const Route &route, u32 attributes, RouteId origin,
              const u8 *rd);
    bool names_ours(const Attributes &a) const;
    u32 network_of(const Attributes &a);
    bool admits(const Instance &instance, u32 family, Octets key, u32 network) const;
    const std::vector<u32> &importers(const std::vector<u64> &targets);
    void note_host(const Route &route);
    void begin_walk();
    u32 with_communities(u32 attributes, u32 kind, u64 argument, Octets carried);
    u32 exported(u32 attributes, const Instance &instance);
    u32 imported(u32 attributes, u64 origin_vn);
    u64 origin_vn(u32 index) const;
    void index(u32 number, const std::vector<u64> &targets, bool imports, bool add);

    Rib &rib_;
    u32 asn_ = 64512, stamp_ = 0;
    std::unordered_map<u64, std::vector<u32>> importers_, exporters_;
    std::map<std::vector<u64>, u32> recipes_;
    std::vector<u32> free_;
    std::vector<Copy> wanted_;
    std::vector<Held> held_;
    std::vector<u32> found_;
    Buffer keys_, carried_;
    // The walk that marks what carries a target that changed.
    std::unordered_set<u64> pending_;
    std::vector<char> hit_;
    // Next hops to which the fabric has a host route, as last dealt with; those for which that changed,
    // and the sets of attributes that have one of these.
    bool checks_hops_ = false;
    std::unordered_set<std::string> reachable_, pending_hops_;
    std::vector<char> hop_hit_;
    bool walking_ = false;
    u32 walk_class_ = 0, walk_number_ = 1;
};

} // namespace tungsten
