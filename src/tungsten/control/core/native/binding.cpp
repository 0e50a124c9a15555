// Python's view of the core: see _core.pyi. Nothing here is called for each route of a neighbour.
#include "binding.hpp"

namespace tungsten {

Octets sized(const nb::bytes &b, std::size_t size, const char *what) {
    const Octets o = octets_of(b);
    if (o.size != size) throw nb::value_error(format("%s has %zu octets, not %zu", what, o.size, size).c_str());
    return o;
}

std::vector<u64> communities_of(const std::vector<nb::bytes> &all) {
    std::vector<u64> found;
    for (const nb::bytes &each : all) found.push_back(be64(sized(each, 8, "an extended community").data));
    return found;
}

u32 checked_table(const Rib &rib, u32 table) {
    if (!table || table >= rib.tables.size() || !rib.tables[table].alive) throw nb::value_error("no such table");
    return table;
}

u32 checked_source(const Rib &rib, u32 source) {
    if (!source || source >= rib.sources.size() || !rib.sources[source].known)
        throw nb::value_error("no such source");
    return source;
}

namespace {

// A table to be read: number 0 is a table that is gone, which is empty.
u32 read_table(const Rib &rib, u32 table) { return table ? checked_table(rib, table) : 0; }

Family checked_family(u32 afi, u32 safi) {
    const Family family = family_of(afi, safi);
    if (family == FAMILIES) throw nb::value_error("no tables of this family");
    return family;
}

// The key of a route, checked as far as reading it needs.
Octets checked_key(const Rib &rib, u32 table, const nb::bytes &key) {
    const Octets o = octets_of(key);
    const Family family = rib.tables[table].family;
    std::size_t least = 1;
    if (is_vpn(family)) least = 9;
    if (family == EVPN) {
        static const u8 LEAST[6] = {1, 23, 19, 13, 19, 15};
        least = o.size && o[0] <= 5 ? LEAST[o[0]] : 1;
    }
    if (o.size < least) throw nb::value_error("a route's key is too short for its family");
    return o;
}

nb::list path_tuples(Rib &rib, RouteId id) {
    nb::list found;
    std::vector<PathView> views;
    rib.paths_of(id, views);
    for (const PathView &view : views) {
        const Path &path = view.path;
        nb::object origin = nb::none();
        if (path.origin) {
            const Route &from = rib.route(path.origin);
            origin = nb::make_tuple(from.table, bytes_of(from.key()));
        }
        found.append(nb::make_tuple(path.source, rib.attributes.handle(path.attributes), path.label, path.label2,
                                    bytes_of({view.rd, 8}), view.path_id, path.flags, origin,
                                    rib.sub_protocols[view.sub_protocol], bytes_of({view.esi, 10}), path.modified,
                                    view.original ? nb::cast(rib.attributes.handle(view.original)) : nb::none()));
    }
    return found;
}

nb::list keys_of(Rib &rib, const std::vector<RouteId> &ids) {
    nb::list found;
    for (const RouteId id : ids) found.append(nb::make_tuple(rib.route(id).table, bytes_of(rib.route(id).key())));
    return found;
}

u16 sub_protocol(Rib &rib, const std::string &name) {
    for (std::size_t i = 0; i < rib.sub_protocols.size(); ++i)
        if (rib.sub_protocols[i] == name) return static_cast<u16>(i);
    if (rib.sub_protocols.size() > 0xFFFF) throw nb::value_error("more than 65535 names of sub-protocols");
    rib.sub_protocols.push_back(name);
    return static_cast<u16>(rib.sub_protocols.size() - 1);
}

RouteId origin_of(Rib &rib, u32 table, const nb::bytes &key) {
    if (!table) return 0;
    const RouteId id = rib.get(checked_table(rib, table), octets_of(key));
    if (!id) throw nb::value_error("a path's origin is no route");
    return id;
}

bool add(Core &core, u32 table, const nb::bytes &key, u32 source, const AttributesHandle &attributes, u32 label,
         u32 label2, const nb::bytes &rd, u32 path_id, u32 flags, u32 origin_table, const nb::bytes &origin_key,
         const std::string &sub, const nb::bytes &esi, double modified) {
    Rib &rib = *core.rib;
    const Octets k = checked_key(rib, checked_table(rib, table), key);
    PathView view{};
    view.path.attributes = attributes.id;
    view.path.label = label;
    view.path.label2 = label2;
    view.path.origin = origin_of(rib, origin_table, origin_key);
    view.path.source = static_cast<SourceId>(checked_source(rib, source));
    view.path.flags = static_cast<u16>(flags & ALL_FLAGS);
    view.path.modified = modified;
    std::memcpy(view.rd, sized(rd, 8, "a distinguisher").data, 8);
    std::memcpy(view.esi, sized(esi, 10, "an ESI").data, 10);
    view.sub_protocol = sub_protocol(rib, sub);
    view.path_id = path_id;
    return rib.add(table, k, view);
}

nb::object table_list(Core &core, std::size_t limit) {
    Rib &rib = *core.rib;
    rib.process_batch(limit);
    nb::list tables;
    for (const auto &each : rib.told) {
        nb::list keys;
        for (const RouteId id : each.second) keys.append(bytes_of(rib.route(id).key()));
        tables.append(nb::make_tuple(each.first, keys));
    }
    return tables;
}

void bind_routes(nb::class_<Core> &c) {
    c.def("add", &add);
    c.def("remove", [](Core &core, u32 table, const nb::bytes &key, u32 source, u32 path_id, u32 origin_table,
                       const nb::bytes &origin_key) {
        Rib &rib = *core.rib;
        read_table(rib, table);
        const RouteId origin = origin_table ? rib.get(checked_table(rib, origin_table), octets_of(origin_key)) : 0;
        if (origin_table && !origin) return false;
        return rib.remove(table, octets_of(key), static_cast<SourceId>(checked_source(rib, source)), path_id, origin);
    });
    c.def("exists", [](Core &core, u32 table, const nb::bytes &key) {
        return core.rib->get(read_table(*core.rib, table), octets_of(key)) != 0;
    });
    c.def("paths", [](Core &core, u32 table, const nb::bytes &key) -> nb::list {
        const RouteId id = core.rib->get(read_table(*core.rib, table), octets_of(key));
        return id ? path_tuples(*core.rib, id) : nb::list();
    });
    c.def("replicas", [](Core &core, u32 table, const nb::bytes &key) {
        Rib &rib = *core.rib;
        nb::list found;
        const RouteId id = rib.get(read_table(rib, table), octets_of(key));
        for (u32 each = id ? rib.route(id).replicas : 0; each; each = rib.replicas[each].next) {
            const Replica &replica = rib.replicas[each];
            const Route &copy = rib.route(replica.route);
            found.append(nb::make_tuple(copy.table, bytes_of(copy.key()), replica.source, replica.path_id));
        }
        return found;
    });
    c.def("mark", [](Core &core, u32 table, const nb::bytes &key) {
        if (const RouteId id = core.rib->get(read_table(*core.rib, table), octets_of(key))) core.rib->mark(id);
    });
}

using PrefixTuple = std::tuple<u32, u32, u32, nb::bytes>; // length, least, most, address
using Verdict = std::function<nb::object(u64, u32, const std::string &, bool, nb::bytes)>;

PrefixMatch prefix_match(const PrefixTuple &given) {
    const auto &[length, least, most, address] = given;
    if (length > 128 || least > 255 || most > 255 || address.size() > 16 || address.size() * 8 < length)
        throw nb::value_error("no prefix");
    PrefixMatch match{static_cast<u8>(length), static_cast<u8>(least), static_cast<u8>(most), {}};
    std::memcpy(match.address, address.c_str(), address.size());
    return match;
}

// Without a judge, the table's paths become what was said.
void set_policy(Core &core, u32 number, const std::vector<std::vector<PrefixTuple>> &given,
                const std::optional<Verdict> &judge) {
    Rib *rib = core.rib.get();
    const u32 table = checked_table(*rib, number);
    if (!judge) {
        rib->set_policy(table, std::make_shared<TablePolicy>());
        return;
    }
    std::vector<std::vector<PrefixMatch>> conditions;
    for (const auto &prefixes : given) {
        conditions.emplace_back();
        for (const PrefixTuple &each : prefixes) conditions.back().push_back(prefix_match(each));
    }
    const auto ask = [rib, judge = *judge](u32 attributes, const Speaker &speaker, const std::string &fits) {
        const nb::object made = judge(rib->attributes.handle(attributes), speaker.source,
                                      rib->sub_protocols[speaker.sub_protocol], speaker.replicated, bytes_of(fits));
        return made.is_none() ? 0 : rib->attributes.hold(nb::cast<const AttributesHandle &>(made).id);
    };
    rib->set_policy(table, std::make_shared<TablePolicy>(++rib->policies_made, std::move(conditions), ask));
}

void bind_tables(nb::class_<Core> &c) {
    c.def("set_policy", &set_policy, nb::arg(), nb::arg(), nb::arg().none());
    c.def("add_table", [](Core &core, const std::string &name, u32 afi, u32 safi, bool vpn) {
        return core.rib->add_table(name, checked_family(afi, safi), vpn);
    });
    c.def("drop_table", [](Core &core, u32 table) {
        Rib &rib = *core.rib;
        if (rib.tables[checked_table(rib, table)].routes) throw nb::value_error("the table has routes");
        rib.drop_table(table);
    });
    c.def("table_size", [](Core &core, u32 table) { return core.rib->tables[read_table(*core.rib, table)].routes; });
    c.def("table_keys", [](Core &core, u32 table) {
        Rib &rib = *core.rib;
        nb::list keys;
        rib.tables[read_table(rib, table)].index.each([&](u32 id) {
            if (rib.route(id).state & PRESENT) keys.append(bytes_of(rib.route(id).key()));
        });
        return keys;
    });
    c.def("inclusive_keys", [](Core &core, u32 table) {
        Rib &rib = *core.rib;
        nb::list keys;
        for (const RouteId id : rib.tables[read_table(rib, table)].inclusive)
            keys.append(bytes_of(rib.route(id).key()));
        return keys;
    });
    c.def("set_contributing", [](Core &core, u32 table, const nb::bytes &key, bool contributing) {
        core.rib->set_contributing(checked_table(*core.rib, table), octets_of(key), contributing);
    });
    c.def("contributing", [](Core &core, u32 table) {
        nb::list keys;
        for (const std::string &key : core.rib->tables[read_table(*core.rib, table)].contributing)
            keys.append(bytes_of(key));
        return keys;
    });
    c.def("set_listened", [](Core &core, u32 table, bool listened) {
        core.rib->tables[checked_table(*core.rib, table)].listened = listened;
    });
    c.def("mark_table", [](Core &core, u32 table) { core.rib->mark_table(read_table(*core.rib, table)); });
    c.def("remove_primaries",
          [](Core &core, u32 table) { core.rib->remove_primaries(checked_table(*core.rib, table)); });
}

void bind_sources(nb::class_<Core> &c) {
    c.def("add_source", [](Core &core) { return u32(core.rib->add_source()); });
    c.def("set_source", [](Core &core, u32 number, const std::string &name, u32 rank, bool bgp, bool local,
                           bool external, const nb::bytes &address, const nb::bytes &router_id) {
        Source &s = core.rib->sources[checked_source(*core.rib, number)];
        s.name = name;
        s.rank = static_cast<u8>(rank);
        s.bgp = bgp;
        s.local = local;
        s.external = external;
        s.indexed = !bgp;
        s.address = octets_of(address).text();
        s.router_id = octets_of(router_id).text();
    });
    c.def("source_references",
          [](Core &core, u32 source) { return core.rib->sources[checked_source(*core.rib, source)].paths; });
    c.def("forget_source", [](Core &core, u32 source) {
        Rib &rib = *core.rib;
        if (rib.sources[checked_source(rib, source)].paths) throw nb::value_error("the source is in use");
        rib.forget_source(static_cast<SourceId>(source));
    });
    using In = std::vector<u32>;
    c.def("leave", [](Core &core, u32 source, bool all, const In &in, u32 which) {
        return core.rib->leave(static_cast<SourceId>(checked_source(*core.rib, source)), all ? nullptr : &in,
                               which == 0 ? Rib::EVERY : which == 1 ? Rib::STALE_ONLY : Rib::MAKE_STALE);
    });
    c.def("spoken", [](Core &core, u32 source, bool all, const In &in) {
        std::vector<RouteId> found;
        core.rib->spoken(static_cast<SourceId>(checked_source(*core.rib, source)), all ? nullptr : &in, found);
        return keys_of(*core.rib, found);
    });
    c.def("path_count", [](Core &core, u32 source) {
        return core.rib->path_count(static_cast<SourceId>(checked_source(*core.rib, source)));
    });
}

void bind_attributes(nb::module_ &m, nb::class_<Core> &c) {
    nb::class_<AttributesHandle>(m, "AttributesHandle").def_prop_ro("number", [](const AttributesHandle &h) {
        return h.rib->attributes.handle(h.id);
    });
    c.def("intern", [](Core &core, const nb::bytes &next_hop, const nb::bytes &block) {
        if (next_hop.size() > 255) throw nb::value_error("a next hop has more than 255 octets");
        return new AttributesHandle(core.rib, core.rib->attributes.intern_block(octets_of(next_hop), octets_of(block)));
    });
    c.def("hold", [](Core &core, u64 number) {
        const u32 id = static_cast<u32>(number), generation = static_cast<u32>(number >> 32);
        if (!core.rib->attributes.alive(id, generation)) throw nb::value_error("no such attributes");
        return new AttributesHandle(core.rib, core.rib->attributes.hold(id));
    });
    c.def("attributes", [](Core &core, u64 number) {
        const u32 id = static_cast<u32>(number), generation = static_cast<u32>(number >> 32);
        if (!core.rib->attributes.alive(id, generation)) throw nb::value_error("no such attributes");
        const Attributes &a = core.rib->attributes[id];
        return nb::make_tuple(bytes_of(a.next_hop()), bytes_of(a.block()));
    });
    c.def("attribute_sets", [](Core &core) { return core.rib->attributes.size(); });
    c.def("live_targets", [](Core &core) {
        const AttributeStore &store = core.rib->attributes;
        nb::set found;
        for (u32 set = 1; set < store.target_sets(); ++set)
            for (const u64 target : store.targets(set)) {
                u8 octets[8];
                put64(octets, target);
                found.add(bytes_of({octets, 8}));
            }
        return found;
    });
}

void bind_instances(nb::class_<Core> &c) {
    c.def("set_vpn_tables", [](Core &core, u32 inet, u32 inet6, u32 evpn) {
        core.rib->replication->vpn_tables = {inet, inet6, evpn};
    });
    c.def("add_instance", [](Core &core, bool master, u32 inet, u32 inet6, u32 evpn) {
        Rib &rib = *core.rib;
        const u32 number = rib.replication->add_instance();
        Instance &instance = rib.replication->instances[number];
        instance.master = master;
        const u32 tables[3] = {inet, inet6, evpn};
        for (int i = 0; i < 3; ++i) {
            instance.tables[i] = tables[i];
            if (tables[i]) rib.tables[checked_table(rib, tables[i])].instance = number;
        }
        return number;
    });
    c.def("configure_instance", [](Core &core, u32 number, const std::vector<nb::bytes> &imports,
                                   const std::vector<nb::bytes> &exports, u32 network_index) {
        core.rib->replication->configure(number, communities_of(imports), communities_of(exports), network_index);
    });
    c.def("drop_instance", [](Core &core, u32 number) { core.rib->replication->drop_instance(number); });
    c.def("set_asn", [](Core &core, u32 asn) { core.rib->replication->set_asn(asn); });
    c.def("set_reachability_check", [](Core &core, bool check) { core.rib->replication->set_reachability_check(check); });
    c.def("reconsider_target", [](Core &core, const nb::bytes &target) {
        core.rib->replication->reconsider_target(be64(sized(target, 8, "a route target").data));
    });
}

} // namespace

void bind_rib(nb::module_ &m) {
    nb::class_<Core> c(m, "Core");
    c.def(nb::init<>());
    bind_attributes(m, c);
    bind_tables(c);
    bind_sources(c);
    bind_routes(c);
    bind_instances(c);
    c.def("settled", [](Core &core) { return core.rib->settled(); });
    c.def("take_armed", [](Core &core) { return core.rib->take_armed(); });
    c.def("process_batch", &table_list);
    c.def("finish_batch", [](Core &core) { core.rib->finish_batch(); });
}

} // namespace tungsten

NB_MODULE(_core, m) {
    m.doc() = "Tables of a control node, compiled; see _core.pyi.";
    tungsten::bind_rib(m);
    tungsten::bind_speaking(m);
}
