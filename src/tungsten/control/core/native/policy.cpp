#include <algorithm>

#include "tables.hpp"

namespace tungsten {

namespace {

enum MemoKind : u32 { JUDGED = 3, REJECTED = 4 }; // beside those of replication.cpp
// What a memo has room for; verdicts about further kinds are asked for each time.
constexpr u32 KINDS = 1 << 11;
const u8 NO_ESI[10] = {};

} // namespace

bool PrefixMatch::fits(Octets key) const {
    if (!key.size || key[0] < least || key[0] > most) return false;
    const u32 whole = length >> 3, spare = length & 7;
    if (key.size < 1 + whole + (spare ? 1 : 0)) return false;
    if (std::memcmp(key.data + 1, address, whole)) return false;
    return !spare || !((key[1 + whole] ^ address[whole]) >> (8 - spare));
}

u32 TablePolicy::kind_of(Octets key) {
    if (conditions_.empty() && !fits_.empty()) return 0;
    scratch_.assign((conditions_.size() + 7) / 8, '\0');
    for (std::size_t i = 0; i < conditions_.size(); ++i) {
        const auto &prefixes = conditions_[i];
        if (std::any_of(prefixes.begin(), prefixes.end(), [&](const PrefixMatch &p) { return p.fits(key); }))
            scratch_[i >> 3] = static_cast<char>(scratch_[i >> 3] | 1 << (i & 7));
    }
    const auto found = kinds_.emplace(scratch_, static_cast<u32>(fits_.size()));
    if (found.second) fits_.push_back(&found.first->first);
    return found.first->second;
}

u32 TablePolicy::verdict(AttributeStore &store, u32 attributes, const Speaker &speaker, u32 kind,
                         u32 &asked) {
    const u64 argument = u64(generation_) << 32 | u64(kind) << 21 | u64(speaker.sub_protocol) << 5 |
                         u64(speaker.protocol) << 1 | u64(speaker.replicated);
    const bool fits = kind < KINDS;
    if (fits) {
        if (const u32 known = store.recall(attributes, JUDGED, argument)) return store.hold(known);
        if (store.recall(attributes, REJECTED, argument)) return 0;
    }
    ++asked;
    const u32 made = judge_(attributes, speaker, *fits_[kind]);
    if (fits) store.remember(attributes, made ? JUDGED : REJECTED, argument, made ? made : attributes);
    return made;
}

void Rib::set_policy(u32 table, std::shared_ptr<TablePolicy> policy) {
    Table &t = tables[table];
    if (!t.policy && !policy->judges()) return;
    t.policy = std::move(policy);
    mark_table(table);
}

void Rib::judge(Route &r) {
    if (!r.path.attributes) return;
    const std::shared_ptr<TablePolicy> policy = tables[r.table].policy;
    const u32 kind = policy->judges() ? policy->kind_of(r.key()) : 0;
    for (Path *path = &r.path;; path = &more[path->next]) {
        const u32 said = said_of(*path);
        const Source &source = sources[path->source];
        const Speaker speaker{path->source, path->extra ? extras_[path->extra].sub_protocol : u16(0),
                              static_cast<u8>(source.rank | source.bgp << 3), !path->primary()};
        const u32 made =
            policy->judges() ? policy->verdict(attributes, said, speaker, kind, asked_) : attributes.hold(said);
        settle(*path, made, !made);
        if (!path->next) return;
    }
}

// Gives a path what policy made of it: other attributes, which are taken over, or a flag.
void Rib::settle(Path &path, u32 made, bool rejected) {
    path.flags = static_cast<u16>(rejected ? path.flags | ROUTING_POLICY_REJECT : path.flags & ~ROUTING_POLICY_REJECT);
    const u32 said = said_of(path);
    if (rejected) made = attributes.hold(said);
    if (made == path.attributes) {
        attributes.release(made);
        return;
    }
    if (made == said) {
        attributes.release(made); // it is held as the original
        Extra &extra = extras_[path.extra];
        attributes.release(path.attributes);
        path.attributes = said;
        extra.original = 0;
        if (path.rd_where != RD_BESIDE && !extra.sub_protocol && !extra.path_id && !std::memcmp(extra.esi, NO_ESI, 10)) {
            extras_.give(path.extra);
            path.extra = 0;
        }
        return;
    }
    if (!path.extra) {
        path.extra = extras_.take();
        extras_[path.extra] = Extra{};
    }
    Extra &extra = extras_[path.extra];
    if (extra.original)
        attributes.release(path.attributes);
    else
        extra.original = path.attributes;
    path.attributes = made;
}

} // namespace tungsten
