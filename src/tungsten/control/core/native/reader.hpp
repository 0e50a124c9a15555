// A neighbour's UPDATE messages into the tables: tungsten.control.bgp_peers and bgp_routes (taking).
#pragma once

#include <map>
#include <optional>

#include "tables.hpp"

namespace tungsten {

// What decides how a neighbour's routes are taken.
struct ReaderConfig {
    SourceId source = 0;
    Context context{};
    u32 local_as = 0, peer_as = 0, loop_count = 0;
    u8 router_id[4] = {0, 0, 0, 0}, cluster_id[4] = {0, 0, 0, 0};
    bool reflector = false, med_is_preference = false;
    int origin = -1; // put on routes taken; -1: as said
    std::vector<u64> encapsulations[FAMILIES];
    u32 tables[FAMILIES] = {};
};

// What became of a run of messages.
struct FeedResult {
    u32 messages = 0;
    std::vector<Family> ended;
    std::map<std::pair<u8, u8>, u32> faults; // by attribute and remedy
    std::optional<Fault> fault;              // the first
    u32 skipped = 0;
    std::string skipped_reason;
    std::map<std::pair<u16, u8>, u32> ignored;
    std::map<std::string, u32> unusable;
    std::map<u16, u32> infeasible; // by flags
    long held[FAMILIES] = {};      // change of how many routes it has said
    std::vector<std::pair<bool, std::string>> wishes;
    std::optional<ProtocolFault> error;
};

// The end of the whole UPDATE messages in `data` from `at` on.
std::size_t update_run_end(Octets data, std::size_t at);

class Reader {
  public:
    Reader(Rib &rib, ReaderConfig how) : config(std::move(how)), rib_(rib), message_(rib.attributes) {}

    ReaderConfig config;
    // Takes a run of whole UPDATE messages, up to the first that must close the session.
    FeedResult feed(Octets run, double now);

  private:
    void note(FeedResult &result);
    void withdraw(Family family, const Nlri &route, FeedResult &result);
    void announce(const Part &part, double now, FeedResult &result);
    u32 taken(u32 attributes, Family family);
    u16 flags_of(const Attributes &a) const;
    const char *refusal(Family family, const Nlri &route) const;
    void read(Family family, const Nlri &route, const Attributes &a, PathView &view) const;

    Rib &rib_;
    Message message_;
};

} // namespace tungsten
