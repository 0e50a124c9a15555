#include "replication.hpp"

#include <algorithm>

namespace tungsten {

namespace {

enum MemoKind : u32 { EXPORTED = 1, IMPORTED = 2 };
constexpr u32 WALK = 262144; // routes looked at in one slice
constexpr u32 MOST_COMMUNITIES = 4096; // tungsten.control.replication
constexpr u32 GLOBAL_NETWORKS = 8000000;

u32 vrf_family(Family family) {
    return family == EVPN ? 2 : family == INET6_VPN || family == INET6 ? 1 : 0;
}

// Whether an EVPN route may be copied at all: no broadcast MAC, no segment.
bool may_leave(Octets key) {
    static const u8 BROADCAST[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    if (key[0] == 2) return key.size < 19 || std::memcmp(key.data + 13, BROADCAST, 6) != 0;
    return key[0] == 3 || key[0] == 5;
}

bool contains(const std::vector<u64> &sorted, u64 value) {
    return std::binary_search(sorted.begin(), sorted.end(), value);
}

} // namespace

// --- instances

u32 Replication::add_instance() {
    u32 number = static_cast<u32>(instances.size());
    if (free_.empty()) {
        instances.emplace_back();
    } else {
        number = free_.back();
        free_.pop_back();
    }
    instances[number] = Instance();
    instances[number].alive = true;
    return number;
}

void Replication::index(u32 number, const std::vector<u64> &targets, bool imports, bool add) {
    auto &map = imports ? importers_ : exporters_;
    for (const u64 target : targets) {
        auto &members = map[target];
        if (add)
            members.push_back(number);
        else
            members.erase(std::remove(members.begin(), members.end(), number), members.end());
        if (members.empty()) map.erase(target);
    }
}

void Replication::configure(u32 number, std::vector<u64> imports, std::vector<u64> exports, u32 network_index) {
    Instance &instance = instances[number];
    std::sort(imports.begin(), imports.end());
    std::sort(exports.begin(), exports.end());
    index(number, instance.imports, true, false);
    index(number, instance.exports, false, false);
    instance.imports = std::move(imports);
    instance.exports = std::move(exports);
    instance.network_index = network_index;
    index(number, instance.imports, true, true);
    index(number, instance.exports, false, true);
    std::vector<u64> recipe = instance.exports;
    recipe.push_back(network_index ? origin_vn(network_index) : 0);
    const auto made = recipes_.emplace(std::move(recipe), static_cast<u32>(recipes_.size()) + 1);
    instance.recipe = made.first->second;
}

void Replication::drop_instance(u32 number) {
    Instance &instance = instances[number];
    configure(number, {}, {}, 0);
    for (const u32 table : instance.tables)
        if (table) rib_.tables[table].instance = 0;
    instance = Instance();
    free_.push_back(number);
}

void Replication::set_asn(u32 asn) {
    asn_ = asn;
    for (u32 number = 1; number < instances.size(); ++number)
        if (instances[number].alive)
            configure(number, instances[number].imports, instances[number].exports, instances[number].network_index);
}

u64 Replication::origin_vn(u32 index) const {
    if (asn_ <= 0xFFFF) return 0x8071ull << 48 | u64(asn_) << 32 | index;
    return 0x8271ull << 48 | u64(asn_) << 16 | (index & 0xFFFF);
}

// --- reconsidering

void Replication::reconsider_target(u64 target) {
    if (const auto found = exporters_.find(target); found != exporters_.end())
        for (const u32 number : found->second)
            for (const u32 table : instances[number].tables)
                if (table) rib_.mark_table(table);
    const bool was = is_pending();
    pending_.insert(target);
    if (!was) rib_.arm();
}

void Replication::set_reachability_check(bool check) {
    if (check == checks_hops_) return;
    checks_hops_ = check;
    reachable_.clear();
    for (const Instance &instance : instances)
        for (const u32 table : instance.tables)
            if (check && instance.alive && instance.master && table)
                rib_.tables[table].index.each([&](u32 id) { note_host(rib_.route(id)); });
    pending_hops_.clear();
    for (const u32 table : vpn_tables) rib_.mark_table(table);
}

// A route of the fabric was dealt with: can its host be reached now?
void Replication::note_host(const Route &r) {
    const Octets key = r.key();
    if ((key.size != 5 && key.size != 17) || key[0] != 8 * (key.size - 1)) return;
    if (rib_.tables[r.table].family != (key.size == 5 ? INET : INET6)) return;
    bool now = false;
    for (const Path *path = &r.path; r.path.attributes && !now; path = &rib_.more[path->next]) {
        now = path->feasible();
        if (!path->next) break;
    }
    const std::string hop = key.from(1).text();
    if (now == (reachable_.count(hop) != 0)) return;
    if (now)
        reachable_.insert(hop);
    else
        reachable_.erase(hop);
    const bool was = is_pending();
    pending_hops_.insert(hop);
    if (!was) rib_.arm();
}

// Begins the walk again, for what was looked for and what is new.
void Replication::begin_walk() {
    AttributeStore &store = rib_.attributes;
    if (!walking_) {
        hit_.clear();
        hop_hit_.clear();
    }
    bool any = walking_;
    hit_.resize(store.target_sets());
    for (u32 set = 1; !pending_.empty() && set < hit_.size(); ++set) {
        if (!store.in_use(set)) continue;
        for (const u64 target : store.targets(set))
            if (pending_.count(target)) {
                hit_[set] = 1;
                any = true;
            }
    }
    if (!pending_hops_.empty()) {
        hop_hit_.resize(store.end());
        store.each([&](u32 id) {
            if (!pending_hops_.count(store[id].next_hop().text())) return;
            hop_hit_[id] = 1;
            any = true;
        });
    }
    pending_.clear();
    pending_hops_.clear();
    walking_ = any;
    walk_class_ = 0;
    walk_number_ = 1;
}

void Replication::reconsider() {
    if (!pending_.empty() || !pending_hops_.empty()) begin_walk();
    for (u32 looked = 0; walking_ && looked < WALK;) {
        const u32 end = rib_.slab_end(walk_class_);
        for (; walk_number_ < end && looked < WALK; ++walk_number_, ++looked) {
            const RouteId id = walk_class_ << Rib::CLASS_SHIFT | walk_number_;
            const Route &r = rib_.route(id);
            if (!(r.state & PRESENT) || !r.path.attributes) continue;
            for (const Path *path = &r.path;; path = &rib_.more[path->next]) {
                const u32 set = rib_.attributes[path->attributes].targets;
                const bool hop = path->attributes < hop_hit_.size() && hop_hit_[path->attributes];
                if (((set < hit_.size() && hit_[set]) || hop) && path->primary()) {
                    rib_.mark(id);
                    break;
                }
                if (!path->next) break;
            }
        }
        if (walk_number_ < end) return;
        walk_number_ = 1;
        walking_ = ++walk_class_ < Rib::CLASSES;
    }
}

// --- copying

void Replication::replicate(RouteId id) {
    Route &r = rib_.route(id);
    if (checks_hops_ && instances[rib_.tables[r.table].instance].master) note_host(r);
    wanted_.clear();
    keys_.clear();
    if (r.path.attributes && r.path.feasible() && !(r.state & CONTRIBUTING)) {
        const Table &table = rib_.tables[r.table];
        const Instance *instance = table.instance ? &instances[table.instance] : nullptr;
        if (table.vpn || (instance && !instance->master)) {
            const auto copy = [&](const Path &path) {
                if (!path.primary()) return;
                if (table.vpn)
                    from_vpn(id, r, path);
                else
                    from_vrf(r, path, *instance);
            };
            copy(r.path);
            for (u32 each = r.path.next; each; each = rib_.more[each].next)
                if (rib_.more[each].feasible() && rib_.compare_cost(r.path, rib_.more[each]) == 0)
                    copy(rib_.more[each]);
        }
    }
    if (wanted_.empty() && !r.replicas) return;
    for (Copy &copy : wanted_) {
        copy.view.path.origin = id;
        copy.route = rib_.ensure(copy.table, keys_.view().part(copy.key_at, copy.key_size));
    }
    const auto before = [](const auto &a, const auto &b) {
        const SourceId s = a.view.path.source, t = b.view.path.source;
        if (a.route != b.route) return a.route < b.route;
        if (s != t) return s < t;
        return a.view.path_id < b.view.path_id;
    };
    if (wanted_.size() > 1) std::sort(wanted_.begin(), wanted_.end(), before);
    held_.clear();
    for (u32 each = r.replicas; each;) {
        const Replica &replica = rib_.replicas[each];
        held_.push_back({replica.route, replica.source, replica.path_id});
        const u32 next = replica.next;
        rib_.replicas.give(each);
        each = next;
    }
    for (const Held &held : held_) {
        Copy probe{};
        probe.route = held.route;
        probe.view.path.source = held.source;
        probe.view.path_id = held.path_id;
        if (!std::binary_search(wanted_.begin(), wanted_.end(), probe, before))
            rib_.remove_from(held.route, held.source, held.path_id, id);
    }
    r.replicas = 0;
    for (const Copy &copy : wanted_) {
        rib_.add_to(copy.route, copy.view);
        rib_.attributes.release(copy.view.path.attributes);
        const u32 number = rib_.replicas.take();
        rib_.replicas[number] = {r.replicas, copy.route, copy.view.path_id, copy.view.path.source};
        r.replicas = number;
    }
}

// Adds a copy; takes over the reference to the attributes.
void Replication::want(u32 table, Octets key, const Path &path, const Route &route, u32 attributes, RouteId origin,
                       const u8 *rd) {
    Copy copy{};
    copy.table = table;
    copy.key_at = static_cast<u32>(keys_.size());
    copy.key_size = static_cast<u32>(key.size);
    keys_.put(key);
    copy.view.path = path;
    copy.view.path.attributes = attributes;
    copy.view.path.origin = origin;
    std::memcpy(copy.view.rd, rd ? rd : rib_.rd_of(route, path), 8);
    if (path.extra) {
        std::memcpy(copy.view.esi, rib_.esi_of(path), 10);
        copy.view.sub_protocol = rib_.extras_[path.extra].sub_protocol;
        copy.view.path_id = rib_.extras_[path.extra].path_id;
    }
    wanted_.push_back(copy);
}

void Replication::from_vrf(const Route &route, const Path &path, const Instance &instance) {
    const Table &table = rib_.tables[route.table];
    const u32 family = vrf_family(table.family);
    const Octets key = route.key();
    if (table.family == EVPN && !may_leave(key)) return;
    const u32 told = exported(path.attributes, instance);
    if (!told) return;
    const Attributes &a = rib_.attributes[told], &own = rib_.attributes[path.attributes];
    if (!a.targets) {
        rib_.attributes.release(told);
        return;
    }
    const u32 network = own.has(HAS_ORIGIN_VN) ? own.origin_vn : instance.network_index;
    const u8 *rd = rib_.rd_of(route, path);
    if (be64(rd)) {
        u8 vpn[512];
        std::size_t size = key.size;
        if (table.family == EVPN) {
            std::memcpy(vpn, key.data, size);
            std::memcpy(vpn + 1, rd, 8);
        } else {
            std::memcpy(vpn, rd, 8);
            std::memcpy(vpn + 8, key.data, size);
            size += 8;
        }
        want(vpn_tables[family], {vpn, size}, path, route, rib_.attributes.hold(told), 0, nullptr);
    }
    const u32 own_number = table.instance;
    for (const u32 number : importers(rib_.attributes.targets(a.targets))) {
        const Instance &other = instances[number];
        if (number != own_number && admits(other, family, key, network))
            want(other.tables[family], key, path, route, rib_.attributes.hold(told), 0, nullptr);
    }
    rib_.attributes.release(told);
}

void Replication::from_vpn(RouteId id, const Route &route, const Path &path) {
    const Attributes &a = rib_.attributes[path.attributes];
    if (!a.targets) return;
    const Table &table = rib_.tables[route.table];
    const u32 family = vrf_family(table.family);
    const Octets key = route.key();
    if (table.family == EVPN && !may_leave(key)) return;
    const std::vector<u64> &mine = rib_.attributes.targets(a.targets);
    const std::vector<u32> &others = importers(mine);
    if (others.empty()) return;
    const u32 network = network_of(a);
    const bool unresolved = checks_hops_ && !reachable_.count(a.next_hop().text());
    u8 vrf[512], rd[8];
    std::size_t size = key.size;
    if (table.family != EVPN) {
        std::memcpy(rd, key.data, 8);
        size -= 8;
        std::memcpy(vrf, key.data + 8, size);
    } else {
        std::memcpy(rd, key.data + 1, 8);
        std::memcpy(vrf, key.data, size);
        // Inclusive multicast keeps its distinguisher: members must not merge.
        if (key[0] != 3) std::memset(vrf + 1, 0, 8);
    }
    for (const u32 number : others) {
        const Instance &other = instances[number];
        u32 its = network;
        if (!its)
            for (const u64 target : mine)
                if (contains(other.exports, target)) its = other.network_index;
        if (!admits(other, family, {vrf, size}, its)) continue;
        const u32 told = names_ours(a) || (!its && !a.has(HAS_ORIGIN_VN))
                             ? rib_.attributes.hold(path.attributes)
                             : imported(path.attributes, its ? origin_vn(its) : 0);
        want(other.tables[family], {vrf, size}, path, route, told, id, rd);
        if (unresolved) wanted_.back().view.path.flags |= RESOLVE_NEXT_HOP;
    }
}

// Whether the origin network is one that this cluster numbered, or all clusters alike.
bool Replication::names_ours(const Attributes &a) const {
    return a.has(HAS_ORIGIN_VN) && (a.origin_as == asn_ || a.origin_vn >= GLOBAL_NETWORKS);
}

// Network index of a VPN route; 0 when it cannot be told.
u32 Replication::network_of(const Attributes &a) {
    if (names_ours(a)) return a.origin_vn;
    bool first = true;
    u32 network = 0;
    for (const u64 target : rib_.attributes.targets(a.targets)) {
        const auto found = exporters_.find(target);
        if (found == exporters_.end()) continue;
        for (const u32 number : found->second) {
            const u32 its = instances[number].network_index;
            if (!first && its != network) return 0;
            network = its;
            first = false;
        }
    }
    return network;
}

bool Replication::admits(const Instance &instance, u32 family, Octets key, u32 network) const {
    if (!instance.tables[family]) return false;
    if (family != 2 || key[0] == 5) return true;
    return network && instance.network_index == network;
}

// The instances that import one of the targets, once each.
const std::vector<u32> &Replication::importers(const std::vector<u64> &targets) {
    found_.clear();
    ++stamp_;
    for (const u64 target : targets) {
        const auto found = importers_.find(target);
        if (found == importers_.end()) continue;
        for (const u32 number : found->second) {
            if (instances[number].stamp == stamp_) continue;
            instances[number].stamp = stamp_;
            found_.push_back(number);
        }
    }
    return found_;
}

u32 Replication::with_communities(u32 attributes, u32 kind, u64 argument, Octets carried) {
    AttributeStore &store = rib_.attributes;
    const Attributes &a = store[attributes];
    u32 made;
    if (a.extended() == carried) {
        made = store.hold(attributes);
    } else {
        Values values = values_of(a.next_hop(), a.block());
        values.extended = carried;
        made = store.intern(values);
    }
    store.remember(attributes, kind, argument, made);
    return made;
}

// The set with what an instance's exports add; owned. 0 if that is too much.
u32 Replication::exported(u32 attributes, const Instance &instance) {
    AttributeStore &store = rib_.attributes;
    if (const u32 known = store.recall(attributes, EXPORTED, instance.recipe)) return store.hold(known);
    const Attributes &a = store[attributes];
    const Octets held = a.extended();
    carried_.clear();
    carried_.put(held);
    for (const u64 target : instance.exports) {
        bool has = false;
        for (std::size_t at = 0; at + 8 <= held.size; at += 8) has |= be64(held.data + at) == target;
        if (!has) put64(carried_.room(8), target);
    }
    if (!a.has(HAS_ORIGIN_VN) && instance.network_index)
        put64(carried_.room(8), origin_vn(instance.network_index));
    if (carried_.size() > MOST_COMMUNITIES * 8) return 0;
    return with_communities(attributes, EXPORTED, instance.recipe, carried_.view());
}

// The set with this origin network in place of any other, or with none; owned.
u32 Replication::imported(u32 attributes, u64 origin) {
    AttributeStore &store = rib_.attributes;
    if (const u32 known = store.recall(attributes, IMPORTED, origin)) return store.hold(known);
    carried_.clear();
    const Octets held = store[attributes].extended();
    for (std::size_t at = 0; at + 8 <= held.size; at += 8)
        if (!is_origin_vn(held.data + at)) carried_.put(held.part(at, 8));
    if (origin) put64(carried_.room(8), origin);
    return with_communities(attributes, IMPORTED, origin, carried_.view());
}

} // namespace tungsten
