#include "tables.hpp"

#include <algorithm>
#include <stdexcept>

#include "replication.hpp"
#include "ribout.hpp"

namespace tungsten {

namespace {

constexpr u32 ROOM[5] = {8, 16, 24, 40, 264};
const u8 ZERO[16] = {};
constexpr std::size_t WALK = 16384; // routes looked at in one slice
constexpr u32 ASKED = 512;          // verdicts that are asked for in one slice

std::size_t record_size(u32 cls) { return sizeof(Route) - 8 + ROOM[cls % 5]; }

// The distinguisher in the key of a VPN table's route.
const u8 *rd_in_key(Family family, Octets key) {
    return key.data + (family == EVPN ? 1 : 0);
}

bool key_has_rd(const Table &table, Octets key) {
    return table.vpn && key.size >= (table.family == EVPN ? 9u : 8u) &&
           !(table.family == EVPN && (key[0] < 1 || key[0] > 5));
}

} // namespace

Rib::Rib() : sources(1), tables(1), sub_protocols(1), replication(new Replication(*this)) {
    for (u32 cls = 0; cls < CLASSES; ++cls) slabs_.emplace_back(record_size(cls));
}

Rib::~Rib() = default;

// --- tables and sources

u32 Rib::add_table(const std::string &name, Family family, bool vpn) {
    u32 number = static_cast<u32>(tables.size());
    if (free_tables_.empty()) {
        tables.emplace_back();
    } else {
        number = free_tables_.back();
        free_tables_.pop_back();
    }
    Table &table = tables[number];
    table = Table();
    table.name = name;
    table.family = family;
    table.vpn = vpn;
    table.alive = true;
    return number;
}

void Rib::drop_table(u32 number) {
    tables[number] = Table();
    free_tables_.push_back(number);
}

SourceId Rib::add_source() {
    std::size_t number = sources.size();
    if (!free_sources_.empty()) {
        number = free_sources_.back();
        free_sources_.pop_back();
    } else if (number > 0xFFFF) {
        throw std::length_error("more than 65535 sources of routes");
    } else {
        sources.emplace_back();
    }
    sources[number].known = true;
    return static_cast<SourceId>(number);
}

void Rib::forget_source(SourceId id) {
    const u32 generation = sources[id].generation + 1;
    sources[id] = Source();
    sources[id].generation = generation;
    free_sources_.push_back(id);
}

// --- routes

RouteId Rib::find(u32 table, Octets key) {
    return tables[table].index.find(hash_octets(key), [&](u32 id) { return route(id).key() == key; });
}

RouteId Rib::get(u32 table, Octets key) {
    const RouteId id = find(table, key);
    return id && route(id).state & PRESENT ? id : 0;
}

RouteId Rib::ensure(u32 table, Octets key) {
    Table &t = tables[table];
    const u32 hash = hash_octets(key);
    RouteId id = t.index.find(hash, [&](u32 each) { return route(each).key() == key; });
    if (!id) {
        u32 cls = 0;
        while (cls < 4 && key.size > ROOM[cls]) ++cls;
        if (key.size > ROOM[cls]) throw std::length_error("a route's key has more than 264 octets");
        if (t.instance || !t.vpn) cls += 5;
        const u32 number = slabs_[cls].take();
        if (number > NUMBER) throw std::length_error("more routes than the core can number");
        id = cls << CLASS_SHIFT | number;
        Route &r = route(id);
        std::memset(static_cast<void *>(&r), 0, record_size(cls));
        r.table = table;
        r.key_size = static_cast<u16>(key.size);
        if (key.size) std::memcpy(r.octets, key.data, key.size);
        if (!t.contributing.empty() && t.contributing.count(key.text())) r.state |= CONTRIBUTING;
        t.index.insert(hash, id);
    }
    Route &r = route(id);
    if (!(r.state & PRESENT)) {
        r.state |= PRESENT;
        ++t.routes;
        if (t.family == EVPN && key.size && key[0] == 3) t.inclusive.push_back(id);
    }
    return id;
}

void Rib::purge(RouteId id) {
    Route &r = route(id);
    if (r.path.attributes || r.state & MARKED) return;
    Table &t = tables[r.table];
    if (r.state & PRESENT) {
        r.state = static_cast<u8>(r.state & ~PRESENT);
        --t.routes;
        if (t.family == EVPN && r.key_size && r.octets[0] == 3)
            t.inclusive.erase(std::remove(t.inclusive.begin(), t.inclusive.end(), id), t.inclusive.end());
    }
    if (r.pins) return;
    t.index.erase(hash_octets(r.key()), id);
    slabs_[class_of(id)].give(number_of(id));
}

void Rib::unpin(RouteId id) {
    Route &r = route(id);
    if (--r.pins == 0 && !(r.state & (PRESENT | MARKED))) purge(id);
}

const u8 *Rib::rd_of(const Route &r, const Path &path) {
    switch (path.rd_where) {
    case RD_OF_KEY: return rd_in_key(tables[r.table].family, r.key());
    case RD_OF_ORIGIN: {
        const Route &from = route(path.origin);
        return rd_in_key(tables[from.table].family, from.key());
    }
    case RD_BESIDE: return extras_[path.extra].rd;
    default: return ZERO;
    }
}

const u8 *Rib::esi_of(const Path &path) { return path.extra ? extras_[path.extra].esi : ZERO; }

u32 Rib::said_of(const Path &path) const {
    const u32 original = path.extra ? extras_[path.extra].original : 0;
    return original ? original : path.attributes;
}

void Rib::paths_of(RouteId id, std::vector<PathView> &out) {
    out.clear();
    const Route &r = route(id);
    if (!r.path.attributes) return;
    for (const Path *path = &r.path;; path = &more[path->next]) {
        PathView view{};
        view.path = *path;
        std::memcpy(view.rd, rd_of(r, *path), 8);
        if (path->extra) {
            const Extra &extra = extras_[path->extra];
            std::memcpy(view.esi, extra.esi, 10);
            view.sub_protocol = extra.sub_protocol;
            view.path_id = extra.path_id;
            view.original = extra.original;
        }
        out.push_back(view);
        if (!path->next) return;
    }
}

// --- paths

Path *Rib::find_path(Route &r, SourceId source, u32 path_id, RouteId origin) {
    if (!r.path.attributes) return nullptr;
    for (Path *path = &r.path;; path = &more[path->next]) {
        if (path->source == source && path->origin == origin && path_id_of(*path) == path_id) return path;
        if (!path->next) return nullptr;
    }
}

bool Rib::same(const Path &path, const PathView &view, const Route &r) {
    const Path &other = view.path;
    if (said_of(path) != other.attributes || path.label != other.label || path.label2 != other.label2 ||
        (path.flags & ~ROUTING_POLICY_REJECT) != (other.flags & ~ROUTING_POLICY_REJECT))
        return false;
    if (std::memcmp(rd_of(r, path), view.rd, 8) || std::memcmp(esi_of(path), view.esi, 10)) return false;
    return (path.extra ? extras_[path.extra].sub_protocol : 0) == view.sub_protocol;
}

// Writes all of a path but its place in the list; takes references.
void Rib::fill(Path &path, const PathView &view, const Route &r) {
    path.attributes = attributes.hold(view.path.attributes);
    path.label = view.path.label;
    path.label2 = view.path.label2;
    path.origin = view.path.origin;
    path.source = view.path.source;
    path.modified = view.path.modified;
    path.flags = view.path.flags & ALL_FLAGS & ~ROUTING_POLICY_REJECT; // that is found out later
    path.rd_where = RD_NONE;
    path.extra = 0;
    if (std::memcmp(view.rd, ZERO, 8)) {
        const Table &t = tables[r.table];
        if (key_has_rd(t, r.key()) && !std::memcmp(view.rd, rd_in_key(t.family, r.key()), 8)) {
            path.rd_where = RD_OF_KEY;
        } else {
            path.rd_where = RD_BESIDE;
            if (path.origin) {
                const Route &from = route(path.origin);
                const Table &its = tables[from.table];
                if (key_has_rd(its, from.key()) && !std::memcmp(view.rd, rd_in_key(its.family, from.key()), 8))
                    path.rd_where = RD_OF_ORIGIN;
            }
        }
    }
    if (path.rd_where == RD_BESIDE || view.sub_protocol || view.path_id || std::memcmp(view.esi, ZERO, 10)) {
        path.extra = extras_.take();
        Extra &extra = extras_[path.extra];
        std::memcpy(extra.rd, view.rd, 8);
        std::memcpy(extra.esi, view.esi, 10);
        extra.sub_protocol = view.sub_protocol;
        extra.path_id = view.path_id;
        extra.original = 0;
    }
}

void Rib::drop_path(Path &path) {
    attributes.release(path.attributes);
    if (path.extra) give_extra(path.extra);
    path.attributes = 0;
    path.extra = 0;
}

void Rib::give_extra(u32 extra) {
    attributes.release(extras_[extra].original);
    extras_.give(extra);
}

bool Rib::speaks(const Route &r, SourceId source) const {
    if (!r.path.attributes) return false;
    for (const Path *path = &r.path;; path = &more[path->next]) {
        if (path->source == source && path->primary()) return true;
        if (!path->next) return false;
    }
}

void Rib::count_source(SourceId source, RouteId id, const Path &path, int change) {
    Source &s = sources[source];
    const Route &r = route(id);
    Standing &standing = s.tables[r.table];
    standing.paths = static_cast<u32>(static_cast<int>(standing.paths) + change);
    if (path.session == standing.session) standing.fresh = static_cast<u32>(static_cast<int>(standing.fresh) + change);
    if (!standing.paths) s.tables.erase(r.table);
    if (!s.indexed) return;
    const u32 hash = id * 0x9E3779B1u;
    if (change > 0) {
        if (!s.routes.find(hash, [&](u32 each) { return each == id; })) s.routes.insert(hash, id);
    } else if (!speaks(r, source)) {
        s.routes.erase(hash, id);
    }
}

bool Rib::add(u32 table, Octets key, const PathView &view) { return add_to(ensure(table, key), view); }

bool Rib::add_to(RouteId id, const PathView &view) {
    Route &r = route(id);
    const bool primary = !view.path.origin;
    if (Path *known = find_path(r, view.path.source, view.path_id, view.path.origin)) {
        const bool is_same = same(*known, view, r);
        if (primary && !(view.path.flags & STALE)) { // one that is changed and stays stale is not said anew
            Standing &standing = sources[view.path.source].tables[r.table];
            if (known->session != standing.session) {
                known->session = standing.session;
                ++standing.fresh;
            }
        }
        if (is_same) return false;
        const u32 held = known->attributes, extra = known->extra;
        const u8 session = known->session;
        fill(*known, view, r);
        known->session = session;
        attributes.release(held);
        if (extra) give_extra(extra);
        mark(id);
        return true;
    }
    Path *place = &r.path;
    if (place->attributes) {
        while (place->next) place = &more[place->next];
        const u32 added = more.take();
        more[added] = Path{};
        place->next = added;
        place = &more[added];
    }
    place->next = 0;
    fill(*place, view, r);
    ++sources[view.path.source].paths;
    if (primary) {
        place->session = sources[view.path.source].tables[r.table].session;
        count_source(view.path.source, id, *place, 1);
    }
    mark(id);
    return true;
}

bool Rib::remove(u32 table, Octets key, SourceId source, u32 path_id, RouteId origin) {
    const RouteId id = get(table, key);
    return id && remove_from(id, source, path_id, origin);
}

bool Rib::remove_from(RouteId id, SourceId source, u32 path_id, RouteId origin) {
    Route &r = route(id);
    if (!r.path.attributes) return false;
    Path *before = nullptr;
    for (Path *path = &r.path; path; before = path, path = path->next ? &more[path->next] : nullptr) {
        if (path->source != source || path->origin != origin || path_id_of(*path) != path_id) continue;
        const Path gone_path = *path;
        drop_path(*path);
        if (before) {
            const u32 gone = before->next;
            before->next = path->next;
            more.give(gone);
        } else if (const u32 next = path->next) {
            *path = more[next];
            more.give(next);
        }
        --sources[source].paths;
        if (!origin) count_source(source, id, gone_path, -1);
        mark(id);
        return true;
    }
    return false;
}

// --- all of a source

void Rib::spoken(SourceId source, const std::vector<u32> *in, std::vector<RouteId> &out) {
    const Source &s = sources[source];
    const auto wanted = [&](u32 table) { return !in || std::find(in->begin(), in->end(), table) != in->end(); };
    if (s.indexed) {
        s.routes.each([&](u32 id) {
            if (wanted(route(id).table)) out.push_back(id);
        });
        return;
    }
    for (const auto &entry : s.tables) {
        if (!wanted(entry.first)) continue;
        tables[entry.first].index.each([&](u32 id) {
            if (speaks(route(id), source)) out.push_back(id);
        });
    }
}

// Ends or flags what a source said about a route, up to a session (negative: in any).
void Rib::end_paths(RouteId id, SourceId source, Which which, int session) {
    path_ids_.clear();
    Route &r = route(id);
    if (!r.path.attributes) return;
    for (Path *path = &r.path;; path = &more[path->next]) {
        const bool theirs = path->source == source && path->primary();
        const u32 age = session < 0 ? 1 : static_cast<u32>(session - path->session) & 15;
        const bool before = (age && age <= 8) || (which == STALE_ONLY && path->flags & STALE);
        if (theirs && before) {
            if (which == MAKE_STALE) {
                if (!(path->flags & STALE)) {
                    path->flags |= STALE;
                    mark(id);
                }
            } else if (which == EVERY || session >= 0 || path->flags & STALE) {
                path_ids_.push_back(path_id_of(*path));
            }
        }
        if (!path->next) break;
    }
    for (const u32 path_id : path_ids_) remove_from(id, source, path_id, 0);
}

u32 Rib::begin_departure(SourceId source, u32 table, Which which) {
    const auto found = sources[source].tables.find(table);
    if (found == sources[source].tables.end()) return 0;
    Standing &standing = found->second;
    const u32 count = which == EVERY ? standing.paths : which == MAKE_STALE ? standing.fresh : standing.paths - standing.fresh;
    if (!count) return 0;
    if (which != STALE_ONLY) {
        standing.session = (standing.session + 1) & 15;
        standing.fresh = 0;
    }
    if (settled()) armed_ = true;
    departures_.push_back({source, sources[source].generation, table, which, standing.session, 0, 1});
    return count;
}

u32 Rib::leave(SourceId source, const std::vector<u32> *in, Which which) {
    u32 count = 0;
    if (!sources[source].indexed) {
        std::vector<u32> all;
        for (const auto &each : sources[source].tables) all.push_back(each.first);
        for (const u32 table : in ? *in : all) count += begin_departure(source, table, which);
        return count;
    }
    std::vector<RouteId> found;
    spoken(source, in, found);
    for (const RouteId id : found) {
        const Route &r = route(id);
        for (const Path *path = &r.path;; path = &more[path->next]) {
            const bool is_stale = path->flags & STALE;
            if (path->source == source && path->primary())
                count += which == EVERY || (which == STALE_ONLY) == is_stale;
            if (!path->next) break;
        }
        end_paths(id, source, which, -1);
    }
    return count;
}

// Goes on with the first walk over what was left behind.
void Rib::depart(std::size_t limit) {
    if (departures_.empty()) return;
    Departure &d = departures_.front();
    const bool gone = sources[d.source].generation != d.generation || !tables[d.table].alive;
    while (!gone && d.cls < CLASSES && limit) {
        const u32 end = slab_end(d.cls);
        for (; d.number < end && limit; ++d.number, --limit) {
            const RouteId id = d.cls << CLASS_SHIFT | d.number;
            if (route(id).table == d.table) end_paths(id, d.source, d.which, d.session);
        }
        if (d.number < end) return;
        ++d.cls;
        d.number = 1;
    }
    if (gone || d.cls == CLASSES) departures_.erase(departures_.begin());
}

u32 Rib::path_count(SourceId source) {
    u32 count = 0;
    for (const auto &entry : sources[source].tables) count += entry.second.paths;
    return count;
}

void Rib::remove_primaries(u32 table) {
    std::vector<RouteId> found;
    tables[table].index.each([&](u32 id) { found.push_back(id); });
    std::vector<std::pair<SourceId, u32>> primaries;
    for (const RouteId id : found) {
        Route &r = route(id);
        primaries.clear();
        if (!r.path.attributes) continue;
        for (const Path *path = &r.path;; path = &more[path->next]) {
            if (path->primary()) primaries.emplace_back(path->source, path_id_of(*path));
            if (!path->next) break;
        }
        for (const auto &each : primaries) remove_from(id, each.first, each.second, 0);
    }
}

// --- work

bool Rib::settled() const {
    return marked_at_ == marked_.size() && departures_.empty() && !replication->is_pending();
}

void Rib::mark(RouteId id) {
    Route &r = route(id);
    if (r.state & MARKED) return;
    if (settled()) armed_ = true;
    r.state |= MARKED;
    marked_.push_back(id);
}

void Rib::mark_table(u32 table) {
    tables[table].index.each([this](u32 id) {
        if (route(id).state & PRESENT) mark(id);
    });
}

void Rib::set_contributing(u32 table, Octets key, bool contributing) {
    Table &t = tables[table];
    if (contributing ? !t.contributing.insert(key.text()).second : !t.contributing.erase(key.text())) return;
    const RouteId id = find(table, key);
    if (!id) return;
    Route &r = route(id);
    r.state = static_cast<u8>(contributing ? r.state | CONTRIBUTING : r.state & ~CONTRIBUTING);
    if (r.state & PRESENT) mark(id);
}

void Rib::process_batch(std::size_t limit) {
    replication->reconsider();
    depart(WALK);
    const std::size_t left = marked_.size() - marked_at_, count = left < limit ? left : limit;
    batch_.assign(marked_.begin() + static_cast<long>(marked_at_),
                  marked_.begin() + static_cast<long>(marked_at_ + count));
    marked_at_ += count;
    if (marked_at_ > 65536 && marked_at_ * 2 > marked_.size()) {
        marked_.erase(marked_.begin(), marked_.begin() + static_cast<long>(marked_at_));
        marked_at_ = 0;
    }
    if (marked_at_ == marked_.size()) {
        marked_at_ = 0;
        if (marked_.capacity() > 65536)
            std::vector<RouteId>().swap(marked_);
        else
            marked_.clear();
    }
    asked_ = 0;
    for (std::size_t i = 0; i < batch_.size(); ++i) {
        if (asked_ > ASKED) { // they stay marked, and take their turn again
            marked_.insert(marked_.end(), batch_.begin() + static_cast<long>(i), batch_.end());
            batch_.resize(i);
            break;
        }
        const RouteId id = batch_[i];
        Route &r = route(id);
        r.state = static_cast<u8>(r.state & ~MARKED);
        if (tables[r.table].policy) judge(r);
        order(r);
        replication->replicate(id);
    }
    told.clear();
    for (const RouteId id : batch_) {
        Table &t = tables[route(id).table];
        for (RibOut *out : t.outs) out->change(id);
        if (!t.listened) continue;
        const u32 table = route(id).table;
        if (!t.told_at) {
            told.push_back({table, {}});
            t.told_at = static_cast<u32>(told.size());
        }
        told[t.told_at - 1].second.push_back(id);
    }
    for (const auto &each : told) tables[each.first].told_at = 0;
    if (told.empty()) finish_batch();
}

void Rib::finish_batch() {
    for (const RouteId id : batch_) purge(id);
    batch_.clear();
    told.clear();
}

} // namespace tungsten
