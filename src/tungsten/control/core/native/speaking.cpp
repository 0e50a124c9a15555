// Python's view of what neighbours say and are told: readers, rib-outs, and the decoder alone.
#include "binding.hpp"

namespace tungsten {

namespace {

// The members of a route-target set are asked for by number; Python sees the targets.
nb::list target_list(const Rib &rib, u32 set) {
    nb::list found;
    for (const u64 target : rib.attributes.targets(set)) {
        u8 octets[8];
        put64(octets, target);
        found.append(bytes_of({octets, 8}));
    }
    return found;
}

nb::tuple fault_tuple(const Fault &f) {
    const std::string data = f.subcode == MISSING_WELL_KNOWN ? std::string(1, static_cast<char>(f.code)) : "";
    return nb::make_tuple(f.code, int(f.remedy), f.reason, f.subcode, bytes_of(data));
}

nb::object error_tuple(const std::optional<ProtocolFault> &error) {
    if (!error) return nb::none();
    return nb::make_tuple(error->code, error->subcode, error->reason, bytes_of(error->data));
}

nb::tuple family_tuple(Family family) { return nb::make_tuple(FAMILY[family].afi, FAMILY[family].safi); }

u32 family_bits(const std::vector<std::pair<u32, u32>> &families) {
    u32 bits = 0;
    for (const auto &each : families) {
        const Family family = family_of(each.first, each.second);
        if (family != FAMILIES) bits |= 1u << family;
    }
    return bits;
}

std::vector<std::pair<u32, u32>> pairs_of(const nb::list &families) {
    std::vector<std::pair<u32, u32>> found;
    for (nb::handle each : families)
        found.emplace_back(nb::cast<u32>(each[nb::int_(0)]), nb::cast<u32>(each[nb::int_(1)]));
    return found;
}

// Everything a message says, for comparing with what tungsten.bgp.update makes of it.
nb::tuple decode(Core &core, const nb::bytes &body, bool internal, bool four, const nb::list &families) {
    Message m(core.rib->attributes);
    std::optional<ProtocolFault> error;
    try {
        m.decode(octets_of(body), {internal, four, family_bits(pairs_of(families))});
    } catch (ProtocolFault &fault) {
        error = std::move(fault);
    }
    nb::list parts, faults, ignored;
    for (const Part &part : m.parts) {
        nb::list routes;
        for (u32 i = 0; i < part.count; ++i) {
            const Nlri &n = m.routes[part.first + i];
            const u8 *esi = m.esi(n);
            nb::object label2 = nb::none();
            if (n.has_label2) label2 = nb::int_(n.label2_field);
            routes.append(nb::make_tuple(bytes_of(m.key(n)), n.label_field, label2,
                                         esi ? bytes_of({esi, 10}) : nb::bytes("", 0), n.has_gateway));
        }
        nb::object said = nb::none();
        if (part.announces) {
            const Attributes &a = core.rib->attributes[part.attributes];
            said = nb::make_tuple(bytes_of(a.next_hop()), bytes_of(a.block()));
        }
        parts.append(nb::make_tuple(family_tuple(part.family), said, routes));
    }
    for (const Fault &fault : m.faults) faults.append(fault_tuple(fault));
    for (const Ignored &each : m.ignored) ignored.append(nb::make_tuple(each.afi, each.safi));
    nb::object ended = nb::none();
    if (m.ends_rib) ended = family_tuple(m.ended);
    nb::list skipped;
    for (const std::string &reason : m.skipped) skipped.append(reason);
    return nb::make_tuple(parts, ended, faults, skipped, ignored, error_tuple(error));
}

// --- readers

struct BoundReader {
    Shared rib;
    Reader reader;
    BoundReader(Shared owner, ReaderConfig config) : rib(std::move(owner)), reader(*rib, std::move(config)) {}
};

BoundReader *make_reader(Core &core, u32 source, bool internal, bool four, u32 local_as, u32 peer_as, u32 loop_count,
                         const nb::bytes &router_id, const nb::bytes &cluster_id, int origin, bool med_is_preference,
                         const nb::list &families) {
    ReaderConfig config;
    config.source = static_cast<SourceId>(checked_source(*core.rib, source));
    config.context = {internal, four, 0};
    config.local_as = local_as;
    config.peer_as = peer_as;
    config.loop_count = loop_count;
    std::memcpy(config.router_id, sized(router_id, 4, "a router id").data, 4);
    config.reflector = cluster_id.size() != 0;
    if (config.reflector) std::memcpy(config.cluster_id, sized(cluster_id, 4, "a cluster id").data, 4);
    config.origin = origin;
    config.med_is_preference = med_is_preference;
    for (nb::handle each : families) {
        const Family family = family_of(nb::cast<u32>(each[nb::int_(0)]), nb::cast<u32>(each[nb::int_(1)]));
        if (family == FAMILIES) throw nb::value_error("no tables of this family");
        config.tables[family] = checked_table(*core.rib, nb::cast<u32>(each[nb::int_(2)]));
        config.encapsulations[family] = communities_of(nb::cast<std::vector<nb::bytes>>(each[nb::int_(3)]));
        config.context.families |= 1u << family;
    }
    return new BoundReader(core.rib, std::move(config));
}

void bind_reader(nb::module_ &m) {
    nb::class_<FeedResult>(m, "FeedResult")
        .def_ro("messages", &FeedResult::messages)
        .def_ro("skipped", &FeedResult::skipped)
        .def_ro("skipped_reason", &FeedResult::skipped_reason)
        .def_prop_ro("ended", [](const FeedResult &r) {
            nb::list all;
            for (const Family f : r.ended) all.append(family_tuple(f));
            return all;
        })
        .def_prop_ro("faults", [](const FeedResult &r) {
            nb::list all;
            for (const auto &each : r.faults)
                all.append(nb::make_tuple(each.first.first, each.first.second, each.second));
            return all;
        })
        .def_prop_ro("fault", [](const FeedResult &r) -> nb::object {
            if (!r.fault) return nb::none();
            return fault_tuple(*r.fault);
        })
        .def_prop_ro("ignored", [](const FeedResult &r) {
            nb::list all;
            for (const auto &each : r.ignored)
                all.append(nb::make_tuple(each.first.first, each.first.second, each.second));
            return all;
        })
        .def_prop_ro("unusable", [](const FeedResult &r) {
            nb::list all;
            for (const auto &each : r.unusable) all.append(nb::make_tuple(each.first, each.second));
            return all;
        })
        .def_prop_ro("infeasible", [](const FeedResult &r) {
            nb::list all;
            for (const auto &each : r.infeasible) all.append(nb::make_tuple(each.first, each.second));
            return all;
        })
        .def_prop_ro("held", [](const FeedResult &r) {
            nb::list all;
            for (u8 f = 0; f < FAMILIES; ++f)
                if (r.held[f]) all.append(nb::make_tuple(FAMILY[f].afi, FAMILY[f].safi, r.held[f]));
            return all;
        })
        .def_prop_ro("wishes", [](const FeedResult &r) {
            nb::list all;
            for (const auto &each : r.wishes) all.append(nb::make_tuple(each.first, bytes_of(each.second)));
            return all;
        })
        .def_prop_ro("error", [](const FeedResult &r) { return error_tuple(r.error); });
    nb::class_<BoundReader>(m, "Reader")
        .def("feed", [](BoundReader &b, const nb::bytes &run, double now) { return b.reader.feed(octets_of(run), now); });
}

// --- rib-outs

struct BoundRibOut {
    Shared rib;
    RibOut out;
    BoundRibOut(Shared owner, u32 table, Policy policy, RibOut::IsClient is_client, RibOut::Wants wants)
        : rib(std::move(owner)), out(*rib, table, std::move(policy), std::move(is_client), std::move(wants)) {}
};

BoundRibOut *make_rib_out(Core &core, u32 table, bool internal, bool four, bool client, u32 local_as, u32 peer_as,
                          bool as_override, const std::string &private_as, const std::vector<nb::bytes> &encapsulations,
                          bool long_lived, const nb::bytes &cluster_id, std::function<bool(u32)> is_client,
                          std::function<bool(u32, nb::list)> wants) {
    Policy policy;
    policy.family = core.rib->tables[checked_table(*core.rib, table)].family;
    policy.internal = internal;
    policy.four_octet_as = four;
    policy.client = client;
    policy.local_as = local_as;
    policy.peer_as = peer_as;
    policy.as_override = as_override;
    if (private_as == "remove") policy.private_as = REMOVE;
    if (private_as == "remove-all") policy.private_as = REMOVE_ALL;
    if (private_as == "replace-all") policy.private_as = REPLACE_ALL;
    policy.encapsulations = communities_of(encapsulations);
    policy.long_lived = long_lived;
    policy.reflector = cluster_id.size() != 0;
    if (policy.reflector) std::memcpy(policy.cluster_id, sized(cluster_id, 4, "a cluster id").data, 4);
    Rib *rib = core.rib.get();
    return new BoundRibOut(
        core.rib, table, std::move(policy), [is_client](SourceId source) { return is_client(source); },
        [rib, wants](u32 member, u32 set) { return wants(member, target_list(*rib, set)); });
}

u32 checked_member(u32 member) {
    if (member > 63) throw nb::value_error("a rib-out has 64 members at most");
    return member;
}

void bind_rib_out(nb::module_ &m) {
    nb::class_<BoundRibOut>(m, "RibOut")
        .def("join", [](BoundRibOut &b, u32 member, u32 source, bool choosy) {
            b.out.join(checked_member(member), static_cast<SourceId>(checked_source(*b.rib, source)), choosy);
        })
        .def("leave", [](BoundRibOut &b, u32 member) { b.out.leave(checked_member(member)); })
        .def("refresh", [](BoundRibOut &b, u32 member) { b.out.refresh(checked_member(member)); })
        .def("refilter", [](BoundRibOut &b, u32 member, bool choosy, bool all, const std::vector<nb::bytes> &targets) {
            const std::vector<u64> changed = communities_of(targets);
            b.out.refilter(checked_member(member), choosy, all ? nullptr : &changed);
        })
        .def("is_behind", [](BoundRibOut &b, u32 member) { return b.out.is_behind(checked_member(member)); })
        .def("count", [](BoundRibOut &b, u32 member) { return b.out.count(checked_member(member)); })
        .def("has_work", [](BoundRibOut &b) { return b.out.has_work() || b.out.has_waiting(); })
        .def("untold", [](BoundRibOut &b) {
            nb::dict all;
            for (const auto &each : b.out.untold) all[each.first.c_str()] = each.second;
            return all;
        })
        .def("flush", [](BoundRibOut &b, u64 ready, std::size_t budget) {
            const bool more = b.out.flush(ready, budget);
            nb::list outputs;
            for (const Output &each : b.out.outputs)
                if (each.messages) outputs.append(nb::make_tuple(each.members, bytes_of(each.octets.view()), each.messages));
            b.out.outputs.clear();
            return nb::make_tuple(more, outputs);
        });
}

} // namespace

void bind_speaking(nb::module_ &m) {
    bind_reader(m);
    bind_rib_out(m);
    m.def("make_reader", &make_reader);
    m.def("make_rib_out", &make_rib_out);
    m.def("decode_update", &decode);
    m.def("update_run_end", [](const nb::bytes &data, std::size_t at) {
        const Octets o = octets_of(data);
        return at > o.size ? o.size : update_run_end(o, at);
    });
}

} // namespace tungsten
