// What the neighbours of one table and export policy have been told: tungsten.control.bgp_ribout.
//
// A rib-out has at most 64 members, a bit each. What is told of a route follows from its entry
// and from the set of attributes; it is encoded when members are ready for it.
#pragma once

#include <functional>
#include <map>

#include "tables.hpp"

namespace tungsten {

enum PrivateAs : u8 { KEEP, REMOVE, REMOVE_ALL, REPLACE_ALL };

// tungsten.control.bgp_routes.ExportPolicy, and of OwnBgp what telling needs.
struct Policy {
    Family family = INET;
    bool internal = false, four_octet_as = true, client = false, as_override = false, reflector = false;
    bool long_lived = true;
    u8 cluster_id[4] = {0, 0, 0, 0};
    PrivateAs private_as = KEEP;
    u32 local_as = 0, peer_as = 0;
    std::vector<u64> encapsulations;
};

// What is to be told of a route, who holds something for it, and who is still to hear.
struct Entry {
    u32 attributes; // 0: nothing to tell
    u32 label, label2;
    SourceId source;
    u16 flags;
    u64 holders, pending;

    bool empty() const { return !attributes && !holders && !pending; }
};

// Octets for the members of a group.
struct Output {
    u64 members = 0;
    Buffer octets;
    u32 messages = 0;
};

class RibOut {
  public:
    using IsClient = std::function<bool(SourceId)>;
    using Wants = std::function<bool(u32 member, u32 target_set)>;

    RibOut(Rib &rib, u32 table, Policy policy, IsClient is_client, Wants wants);
    ~RibOut();
    RibOut(const RibOut &) = delete;
    RibOut &operator=(const RibOut &) = delete;

    void join(u32 member, SourceId source, bool choosy);
    void leave(u32 member);
    void refresh(u32 member) { look(member); }
    // All targets, or only those given.
    void refilter(u32 member, bool choosy, const std::vector<u64> *targets);
    bool is_behind(u32 member) const;
    std::size_t count(u32 member) const;
    bool has_work() const { return looking_ || filling_ || queue_at_ < queue_.size(); }

    bool has_waiting() const { return !blocked_.empty(); }

    // A route may have changed.
    void change(RouteId id);
    // Encodes up to `budget` routes for the members that are ready; whether more could be done.
    bool flush(u64 ready, std::size_t budget);
    std::vector<Output> outputs;
    std::map<std::string, u64> untold;
    u64 members() const { return members_; }

  private:
    struct Piece {
        u32 next, at, size;
    };
    struct Group {
        u64 members;
        u32 attributes;
        SourceId source;
        u32 first, last, count;
    };
    struct Mask {
        u64 members = 0;
        u32 generation = 0;
        bool known = false;
    };

    Entry &entry(RouteId id);
    template <typename Visit> void each_entry(Visit visit);
    void settle(RouteId id, Entry &entry, bool was_empty);
    void pend(RouteId id, Entry &entry, u64 members);
    void set_item(Entry &entry, const Path *path);
    bool has_esi(const Path &path) const;

    bool tells(const Path &path);
    bool is_client(SourceId source);
    bool learnt(SourceId source) const;
    bool same_origin(u32 attributes, SourceId a, SourceId b) const;
    u64 audience(u32 attributes, SourceId source);
    u64 choosy_for(u32 set);
    void look(u32 member);
    void walk(std::size_t limit);

    void sort_out(RouteId id, Entry &entry, u64 members);
    u32 group_of(u64 members, u32 attributes, SourceId source);
    void add_piece(Group &group, u32 at);
    void announce(const Group &group);
    void withdraw(const Group &group);
    Output &output(u64 members);
    void put_withdrawal(Octets key);
    void put_route(const Route &route, const Entry &entry, bool has_esi);
    void put_evpn(Octets key, u32 label_field, u32 label2_field, const u8 *esi);
    template <typename Emit> bool runs(const Group &group, std::size_t room, Emit emit);
    bool usable_label(u32 label, bool vxlan);

    Rib &rib_;
    u32 table_;
    Policy policy_;
    IsClient ask_client_;
    Wants ask_wants_;
    u64 members_ = 0, choosy_ = 0;
    std::vector<u64> source_bits_;
    SourceId member_source_[64] = {};
    std::vector<Mask> masks_;
    std::vector<std::unique_ptr<Entry[]>> entries_[Rib::CLASSES];
    std::vector<RouteId> queue_, blocked_;
    std::size_t queue_at_ = 0;
    u64 blocked_ready_ = 0;
    std::unordered_map<u32, bool> clients_;
    // The walk that fills the rib-out, or has members look at all of it.
    bool filling_ = true;
    u64 looking_ = 0;
    u32 walk_class_ = 0, walk_number_ = 1;
    // Work of one flush.
    std::vector<Group> groups_, gone_;
    std::vector<u32> group_index_;
    std::vector<Piece> pieces_;
    Buffer nlris_, block_, gathered_, hop_;
};

// tell.cpp: the attribute block that neighbours of a policy are told; false if the next hop
// cannot be said in this family.
bool encode_told(const Policy &policy, const Attributes &a, const Source &source, Buffer &out);
// Whether these neighbours are told of it at all, as far as the attributes decide.
bool may_tell(const Policy &policy, const Attributes &a);
// pack.cpp
bool pack_next_hop(Family family, Octets address, Buffer &out);

} // namespace tungsten
