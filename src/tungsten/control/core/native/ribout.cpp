#include "ribout.hpp"

#include <algorithm>

namespace tungsten {

namespace {

constexpr u32 CHUNK_BITS = 10, CHUNK = 1u << CHUNK_BITS;
constexpr u16 QUEUED = 1, BLOCKED = 2, HAS_ESI = 4;
constexpr std::size_t WALK = 32768; // routes looked at in one slice

} // namespace

RibOut::RibOut(Rib &rib, u32 table, Policy policy, IsClient is_client, Wants wants)
    : rib_(rib), table_(table), policy_(std::move(policy)), ask_client_(std::move(is_client)),
      ask_wants_(std::move(wants)) {
    rib_.tables[table].outs.push_back(this);
    filling_ = rib_.tables[table].routes != 0;
}

RibOut::~RibOut() {
    auto &outs = rib_.tables[table_].outs;
    outs.erase(std::remove(outs.begin(), outs.end(), this), outs.end());
    each_entry([this](RouteId id, Entry &e) {
        set_item(e, nullptr);
        e.holders = e.pending = 0;
        rib_.unpin(id);
    });
}

// --- entries

Entry &RibOut::entry(RouteId id) {
    auto &chunks = entries_[Rib::class_of(id)];
    const u32 number = Rib::number_of(id), chunk = number >> CHUNK_BITS;
    if (chunk >= chunks.size()) chunks.resize(chunk + 1);
    if (!chunks[chunk]) chunks[chunk].reset(new Entry[CHUNK]());
    return chunks[chunk][number & (CHUNK - 1)];
}

// Visits all entries that are not empty.
template <typename Visit> void RibOut::each_entry(Visit visit) {
    for (u32 cls = 0; cls < Rib::CLASSES; ++cls)
        for (u32 chunk = 0; chunk < entries_[cls].size(); ++chunk) {
            Entry *found = entries_[cls][chunk].get();
            for (u32 i = 0; found && i < CHUNK; ++i)
                if (!found[i].empty()) visit(cls << 28 | chunk << CHUNK_BITS | i, found[i]);
        }
}

// Keeps the route as long as there is an entry for it.
void RibOut::settle(RouteId id, Entry &e, bool was_empty) {
    const bool is_empty = e.empty();
    if (was_empty && !is_empty) ++rib_.route(id).pins;
    if (!was_empty && is_empty) rib_.unpin(id);
}

void RibOut::pend(RouteId id, Entry &e, u64 members) {
    if (!members) return;
    e.pending |= members;
    if (e.flags & QUEUED) return;
    e.flags |= QUEUED;
    queue_.push_back(id);
}

bool RibOut::has_esi(const Path &path) const {
    const u8 *esi = path.extra ? rib_.esi_of(path) : nullptr;
    return esi && std::any_of(esi, esi + 10, [](u8 octet) { return octet != 0; });
}

void RibOut::set_item(Entry &e, const Path *path) {
    const u32 before = e.attributes;
    const SourceId source = e.source;
    e.attributes = 0;
    e.flags = static_cast<u16>(e.flags & ~HAS_ESI);
    if (path) {
        e.attributes = rib_.attributes.hold(path->attributes);
        e.label = path->label;
        e.label2 = path->label2;
        e.source = path->source;
        ++rib_.sources[e.source].paths;
        if (has_esi(*path)) e.flags |= HAS_ESI;
    }
    if (before) {
        rib_.attributes.release(before);
        --rib_.sources[source].paths;
    }
}

// --- who is told what

bool RibOut::is_client(SourceId source) {
    const u32 key = rib_.sources[source].generation << 16 | source;
    const auto found = clients_.find(key);
    if (found != clients_.end()) return found->second;
    return clients_[key] = ask_client_(source);
}

bool RibOut::learnt(SourceId source) const {
    return rib_.sources[source].bgp && !rib_.sources[source].external;
}

bool RibOut::tells(const Path &path) {
    if (policy_.internal && learnt(path.source)) {
        if (!policy_.reflector) return false;
        if (!policy_.client && !is_client(path.source)) return false;
    }
    return may_tell(policy_, rib_.attributes[path.attributes]);
}

// Whether a set is told alike whichever of two sources said it.
bool RibOut::same_origin(u32 attributes, SourceId a, SourceId b) const {
    if (a == b || !policy_.internal || !policy_.reflector) return true;
    if (learnt(a) != learnt(b)) return false;
    if (!learnt(a) || rib_.attributes[attributes].has(HAS_ORIGINATOR)) return true;
    return rib_.sources[a].router_id == rib_.sources[b].router_id;
}

u64 RibOut::choosy_for(u32 set) {
    if (set >= masks_.size()) masks_.resize(rib_.attributes.target_sets());
    Mask &mask = masks_[set];
    const u32 generation = rib_.attributes.target_generation(set);
    if (mask.known && mask.generation == generation) return mask.members;
    u64 members = 0;
    for (u64 left = choosy_; left; left &= left - 1) {
        const u32 member = static_cast<u32>(__builtin_ctzll(left));
        if (ask_wants_(member, set)) members |= 1ull << member;
    }
    masks_[set] = {members, generation, true};
    return members;
}

u64 RibOut::audience(u32 attributes, SourceId source) {
    u64 members = members_;
    if (choosy_ && policy_.family != INET && policy_.family != INET6)
        if (const u32 set = rib_.attributes[attributes].targets)
            members = (members_ & ~choosy_) | choosy_for(set);
    return source < source_bits_.size() ? members & ~source_bits_[source] : members;
}

void RibOut::change(RouteId id) {
    const Route &r = rib_.route(id);
    Entry &e = entry(id);
    const bool was_empty = e.empty();
    const bool usable = r.path.attributes && r.path.feasible() && !(r.state & CONTRIBUTING);
    const Path *best = usable && tells(r.path) ? &r.path : nullptr;
    if (best) {
        const bool vxlan = rib_.attributes[best->attributes].has(VXLAN), labelled = is_vpn(policy_.family);
        const u8 type = policy_.family == EVPN && r.key_size ? r.octets[0] : 0;
        if ((labelled && !usable_label(best->label, false)) ||
            ((type == 1 || type == 2 || type == 5) && !usable_label(best->label, vxlan)) ||
            (type == 2 && !usable_label(best->label2, vxlan)))
            best = nullptr;
    }
    if (!best) {
        if (!e.attributes) return;
        set_item(e, nullptr);
        pend(id, e, e.holders | e.pending);
    } else {
        const bool same = e.attributes == best->attributes && e.label == best->label &&
                          e.label2 == best->label2 && !(e.flags & HAS_ESI) && !has_esi(*best) &&
                          same_origin(best->attributes, e.source, best->source);
        const u64 hear = audience(best->attributes, best->source);
        set_item(e, best);
        pend(id, e, same ? hear ^ e.holders : hear | e.holders);
    }
    settle(id, e, was_empty);
}

bool RibOut::usable_label(u32 label, bool vxlan) {
    if (vxlan || label <= 0xFFFFF) return true;
    ++untold["label above 20 bits"];
    return false;
}

// --- members

void RibOut::join(u32 member, SourceId source, bool choosy) {
    const u64 bit = 1ull << member;
    members_ |= bit;
    choosy_ = choosy ? choosy_ | bit : choosy_ & ~bit;
    member_source_[member] = source;
    ++rib_.sources[source].paths;
    if (source >= source_bits_.size()) source_bits_.resize(source + 1u);
    source_bits_[source] |= bit;
    masks_.clear();
    look(member);
}

void RibOut::leave(u32 member) {
    const u64 bit = 1ull << member;
    const SourceId source = member_source_[member];
    members_ &= ~bit;
    choosy_ &= ~bit;
    looking_ &= ~bit;
    source_bits_[source] &= ~bit;
    --rib_.sources[source].paths;
    masks_.clear();
    each_entry([&](RouteId id, Entry &e) {
        if (!((e.holders | e.pending) & bit)) return;
        e.holders &= ~bit;
        e.pending &= ~bit;
        settle(id, e, false);
    });
}

// Has a member look at all routes, in slices.
void RibOut::look(u32 member) {
    looking_ |= 1ull << member;
    if (filling_) return;
    walk_class_ = 0;
    walk_number_ = 1;
}

void RibOut::walk(std::size_t limit) {
    for (std::size_t looked = 0; looked < limit && (filling_ || looking_);) {
        const u32 end = rib_.slab_end(walk_class_);
        for (; walk_number_ < end && looked < limit; ++walk_number_, ++looked) {
            const RouteId id = walk_class_ << 28 | walk_number_;
            const Route &r = rib_.route(id);
            if (r.table != table_ || !(r.state & PRESENT)) continue;
            if (filling_) change(id);
            Entry &e = entry(id);
            if (e.attributes) pend(id, e, audience(e.attributes, e.source) & looking_);
        }
        if (walk_number_ < end) return;
        walk_number_ = 1;
        if (++walk_class_ == Rib::CLASSES) {
            walk_class_ = 0;
            filling_ = false;
            looking_ = 0;
        }
    }
}

void RibOut::refilter(u32 member, bool choosy, const std::vector<u64> *targets) {
    const u64 bit = 1ull << member;
    if (!(members_ & bit)) return;
    choosy_ = choosy ? choosy_ | bit : choosy_ & ~bit;
    std::vector<char> touched(rib_.attributes.target_sets(), targets ? 0 : 1);
    for (u32 set = 1; targets && set < touched.size(); ++set)
        for (const u64 target : rib_.attributes.targets(set))
            if (std::find(targets->begin(), targets->end(), target) != targets->end()) touched[set] = 1;
    for (u32 set = 0; set < masks_.size(); ++set)
        if (touched[set]) masks_[set].known = false;
    each_entry([&](RouteId id, Entry &e) {
        if (!e.attributes) return;
        if (!touched[rib_.attributes[e.attributes].targets]) return;
        const bool wanted = audience(e.attributes, e.source) & bit, holds = e.holders & bit;
        if (wanted != holds) pend(id, e, bit);
    });
}

bool RibOut::is_behind(u32 member) const {
    const u64 bit = 1ull << member;
    if (filling_ || looking_ & bit) return true;
    const auto waits = [&](RouteId id) {
        const auto &chunks = entries_[Rib::class_of(id)];
        const u32 number = Rib::number_of(id);
        return (chunks[number >> CHUNK_BITS][number & (CHUNK - 1)].pending & bit) != 0;
    };
    return std::any_of(queue_.begin() + static_cast<long>(queue_at_), queue_.end(), waits) ||
           std::any_of(blocked_.begin(), blocked_.end(), waits);
}

std::size_t RibOut::count(u32 member) const {
    std::size_t held = 0;
    for (const auto &chunks : entries_)
        for (const auto &chunk : chunks)
            for (u32 i = 0; chunk && i < CHUNK; ++i) held += chunk[i].holders >> member & 1;
    return held;
}

// --- flushing

bool RibOut::flush(u64 ready, std::size_t budget) {
    outputs.clear();
    if (filling_ || looking_) walk(WALK);
    ready &= members_;
    if (ready & ~blocked_ready_) {
        // Somebody that routes were waiting for is ready again.
        for (const RouteId id : blocked_) {
            Entry &e = entry(id);
            e.flags = static_cast<u16>(e.flags & ~BLOCKED);
            if (e.pending) pend(id, e, e.pending);
        }
        blocked_.clear();
    }
    blocked_ready_ = ready;
    if (!ready) return filling_ || looking_;
    groups_.clear();
    gone_.clear();
    pieces_.clear();
    nlris_.clear();
    std::size_t slots = 1024;
    while (slots < budget * 2) slots *= 2;
    group_index_.assign(slots, 0);
    for (std::size_t done = 0; done < budget && queue_at_ < queue_.size(); ++queue_at_) {
        const RouteId id = queue_[queue_at_];
        if (queue_at_ + 8 < queue_.size()) {
            const RouteId soon = queue_[queue_at_ + 8];
            __builtin_prefetch(&rib_.route(soon));
            __builtin_prefetch(&entry(soon));
        }
        Entry &e = entry(id);
        e.flags = static_cast<u16>(e.flags & ~QUEUED);
        const u64 members = e.pending & ready;
        const bool was_empty = e.empty();
        if (members) {
            sort_out(id, e, members);
            ++done;
        }
        if (e.pending && !(e.flags & BLOCKED)) {
            e.flags |= BLOCKED;
            blocked_.push_back(id);
        }
        settle(id, e, was_empty);
    }
    if (queue_at_ == queue_.size()) {
        if (queue_.capacity() > 65536)
            std::vector<RouteId>().swap(queue_);
        else
            queue_.clear();
        queue_at_ = 0;
    } else if (queue_at_ > 65536 && queue_at_ * 2 > queue_.size()) {
        queue_.erase(queue_.begin(), queue_.begin() + static_cast<long>(queue_at_));
        queue_at_ = 0;
    }
    for (const Group &group : gone_) withdraw(group);
    for (const Group &group : groups_) announce(group);
    return has_work();
}

// Puts a pending route among what is withdrawn and what is announced.
void RibOut::sort_out(RouteId id, Entry &e, u64 members) {
    const Route &r = rib_.route(id);
    const u64 told = e.attributes ? audience(e.attributes, e.source) & members : 0;
    const u64 leaving = members & e.holders & ~told;
    if (told) {
        const u32 at = static_cast<u32>(nlris_.size());
        put_route(r, e, e.flags & HAS_ESI);
        add_piece(groups_[group_of(told, e.attributes, e.source)], at);
    }
    if (leaving) {
        auto group = std::find_if(gone_.begin(), gone_.end(), [&](const Group &g) { return g.members == leaving; });
        if (group == gone_.end()) group = gone_.insert(gone_.end(), {leaving, 0, 0, 0, 0, 0});
        const u32 at = static_cast<u32>(nlris_.size());
        put_withdrawal(r.key());
        add_piece(*group, at);
    }
    e.holders = (e.holders | told) & ~leaving;
    e.pending &= ~members;
}

u32 RibOut::group_of(u64 members, u32 attributes, SourceId source) {
    const auto is = [&](const Group &g) {
        return g.members == members && g.attributes == attributes && same_origin(attributes, g.source, source);
    };
    if (!groups_.empty() && is(groups_.back())) return static_cast<u32>(groups_.size()) - 1;
    const std::size_t mask = group_index_.size() - 1;
    for (std::size_t i = mix(members ^ attributes, 0x9E3779B97F4A7C15ull) & mask;; i = (i + 1) & mask) {
        const u32 found = group_index_[i];
        if (found && is(groups_[found - 1])) return found - 1;
        if (found) continue;
        groups_.push_back({members, attributes, source, 0, 0, 0});
        group_index_[i] = static_cast<u32>(groups_.size());
        return static_cast<u32>(groups_.size()) - 1;
    }
}

void RibOut::add_piece(Group &group, u32 at) {
    pieces_.push_back({0, at, static_cast<u32>(nlris_.size()) - at});
    const u32 number = static_cast<u32>(pieces_.size());
    if (group.count++)
        pieces_[group.last - 1].next = number;
    else
        group.first = number;
    group.last = number;
}

Output &RibOut::output(u64 members) {
    for (Output &each : outputs)
        if (each.members == members) return each;
    outputs.emplace_back();
    outputs.back().members = members;
    return outputs.back();
}

} // namespace tungsten
