#include "reader.hpp"

namespace tungsten {

namespace {

constexpr std::size_t HEADER = 19, LEAST_UPDATE = 23, MAX_MESSAGE = 4096;

// A label field as its encapsulation means it.
u32 number(u32 field, u32 tag, bool vxlan) {
    if (!vxlan) return field >> 4;
    if (tag > 0 && tag <= 0xFFFFFF) return tag;
    return tag == 0xFFFFFFFF ? 0 : field;
}

} // namespace

std::size_t update_run_end(Octets data, std::size_t at) {
    while (data.size - at >= HEADER) {
        const u8 *p = data.data + at;
        if (be64(p) != ~0ull || be64(p + 8) != ~0ull || p[18] != 2) break;
        const std::size_t size = be16(p + 16);
        if (size < LEAST_UPDATE || size > MAX_MESSAGE || size > data.size - at) break;
        at += size;
    }
    return at;
}

FeedResult Reader::feed(Octets run, double now) {
    FeedResult result;
    for (std::size_t at = 0; at + HEADER <= run.size;) {
        const std::size_t size = be16(run.data + at + 16);
        ++result.messages;
        try {
            message_.decode(run.part(at + HEADER, size - HEADER), config.context);
        } catch (ProtocolFault &fault) {
            result.error = std::move(fault);
            break;
        }
        at += size;
        note(result);
        for (const Part &part : message_.parts) {
            if (part.announces)
                announce(part, now, result);
            else
                for (u32 i = 0; i < part.count; ++i)
                    withdraw(part.family, message_.routes[part.first + i], result);
        }
    }
    message_.clear();
    return result;
}

void Reader::note(FeedResult &result) {
    const Message &m = message_;
    if (m.ends_rib) result.ended.push_back(m.ended);
    for (const Fault &fault : m.faults) {
        ++result.faults[{fault.code, fault.remedy}];
        if (!result.fault) result.fault = fault;
    }
    for (const Ignored &each : m.ignored) ++result.ignored[{each.afi, each.safi}];
    if (!m.skipped.empty() && !result.skipped) result.skipped_reason = m.skipped.front();
    result.skipped += static_cast<u32>(m.skipped.size());
}

void Reader::withdraw(Family family, const Nlri &route, FeedResult &result) {
    const RouteId id = rib_.get(config.tables[family], message_.key(route));
    if (!id) return;
    const Path *path = rib_.find_path(rib_.route(id), config.source, 0, 0);
    if (!path) return;
    if (!rib_.is_left(*path, config.tables[family])) --result.held[family];
    rib_.remove_from(id, config.source, 0, 0);
    if (family == ROUTE_TARGET) result.wishes.emplace_back(false, message_.key(route).text());
}

const char *Reader::refusal(Family family, const Nlri &route) const {
    if (is_vpn(family)) return route.label_field >> 4 < 16 ? "reserved label" : nullptr;
    if (family != EVPN) return nullptr;
    if (route.type == 5) {
        bool any = route.has_gateway;
        const u8 *esi = message_.esi(route);
        for (int i = 0; esi && i < 10; ++i) any |= esi[i] != 0;
        return any ? "prefix route with gateway or ESI" : nullptr;
    }
    if ((route.type < 1 || route.type > 5) && !config.reflector) return "unknown EVPN type";
    return nullptr;
}

void Reader::read(Family family, const Nlri &route, const Attributes &a, PathView &view) const {
    const Octets key = message_.key(route);
    view.path.label = view.path.label2 = 0;
    std::memset(view.rd, 0, 8);
    std::memset(view.esi, 0, 10);
    if (is_vpn(family)) {
        view.path.label = route.label_field >> 4;
        std::memcpy(view.rd, key.data, 8);
    }
    if (family != EVPN || route.type < 1 || route.type > 5) return;
    const bool vxlan = a.has(VXLAN);
    std::memcpy(view.rd, key.data + 1, 8);
    switch (route.type) {
    case 2:
        view.path.label = number(route.label_field, route.tag, vxlan);
        view.path.label2 = route.label2_field ? number(route.label2_field, 0, vxlan) : 0;
        break;
    case 3: {
        const Octets tunnel = values_of(a.next_hop(), a.block()).pmsi;
        if (tunnel.size >= 5) view.path.label = number(be24(tunnel.data + 2), route.tag, vxlan);
        return;
    }
    case 1:
    case 5:
        view.path.label = number(route.label_field, 0, vxlan);
        break;
    default:
        return;
    }
    if (const u8 *esi = message_.esi(route)) std::memcpy(view.esi, esi, 10);
}

void Reader::announce(const Part &part, double now, FeedResult &result) {
    const u32 attributes = taken(part.attributes, part.family);
    const Attributes &a = rib_.attributes[attributes];
    PathView view{};
    view.path.attributes = attributes;
    view.path.source = config.source;
    view.path.flags = flags_of(a);
    view.path.modified = now;
    if (view.path.flags) result.infeasible[view.path.flags] += part.count;
    const u32 table = config.tables[part.family];
    for (u32 i = 0; i < part.count; ++i) {
        const Nlri &route = message_.routes[part.first + i];
        if (const char *reason = refusal(part.family, route)) {
            ++result.unusable[reason];
            withdraw(part.family, route, result);
            continue;
        }
        read(part.family, route, a, view);
        const RouteId id = rib_.ensure(table, message_.key(route));
        const Path *known = rib_.find_path(rib_.route(id), config.source, 0, 0);
        const bool is_new = !known || rib_.is_left(*known, table);
        result.held[part.family] += is_new;
        if (is_new && part.family == ROUTE_TARGET) result.wishes.emplace_back(true, message_.key(route).text());
        rib_.add_to(id, view);
    }
    rib_.attributes.release(attributes);
}

// Attributes as we keep them: see taken_attributes in tungsten.control.bgp_routes. Owned.
u32 Reader::taken(u32 attributes, Family family) {
    AttributeStore &store = rib_.attributes;
    const Attributes &a = store[attributes];
    const std::vector<u64> &encapsulations = config.encapsulations[family];
    const bool external_preference = config.med_is_preference && a.has(HAS_MED);
    if (config.origin < 0 && encapsulations.empty() && !external_preference) return store.hold(attributes);
    Values v = values_of(a.next_hop(), a.block());
    if (config.origin >= 0) v.origin = static_cast<u8>(config.origin);
    Buffer extended;
    bool has = encapsulations.empty();
    for (std::size_t at = 0; at + 8 <= v.extended.size; at += 8)
        has |= v.extended[at] == 0x03 && v.extended[at + 1] == 0x0C;
    if (!has) {
        extended.put(v.extended);
        for (const u64 each : encapsulations) put64(extended.room(8), each);
        v.extended = extended.view();
    }
    if (external_preference) {
        v.has_local_preference = true;
        v.local_preference = v.med == 100 ? 200 : v.med == 200 ? 100 : 0xFFFFFFFF - v.med;
    }
    return store.intern(v);
}

// What makes the attributes infeasible from this neighbour.
u16 Reader::flags_of(const Attributes &a) const {
    u16 flags = 0;
    const Octets path = a.as_path();
    u32 loops = 0;
    for (std::size_t at = 0; at < path.size;) {
        const u32 count = path[at + 1];
        at += 2;
        for (u32 i = 0; i < count; ++i, at += 4) loops += be32(path.data + at) == config.local_as;
    }
    if (path.size && loops > config.loop_count) flags |= AS_PATH_LOOPED;
    if (!config.context.internal && a.neighbor_as != config.peer_as) flags |= NO_NEIGHBOR_AS;
    if (a.has(HAS_ORIGINATOR) && !std::memcmp(a.originator, config.router_id, 4)) flags |= ORIGINATOR_ID_LOOPED;
    if (config.reflector) {
        const Octets clusters = a.cluster_list();
        for (std::size_t at = 0; at + 4 <= clusters.size; at += 4)
            if (!std::memcmp(clusters.data + at, config.cluster_id, 4)) flags |= CLUSTER_LIST_LOOPED;
    }
    return flags;
}

} // namespace tungsten
