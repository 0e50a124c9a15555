#include "update.hpp"

namespace tungsten {

namespace {

constexpr u8 FLAG_MASK = OPTIONAL | TRANSITIVE, OPT_TRANS = OPTIONAL | TRANSITIVE;
constexpr std::size_t MAX_PATH_LENGTH = 1000;
const u8 V4_MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

struct Spec {
    u8 flags;
    Remedy remedy;
    u8 subcode;
};

// How an attribute must be flagged and what its errors cost; null for one that is not known.
const Spec *spec_of(u8 code) {
    static const Spec origin{TRANSITIVE, TREAT_AS_WITHDRAW, INVALID_ORIGIN},
        path{TRANSITIVE, TREAT_AS_WITHDRAW, MALFORMED_AS_PATH},
        next_hop{TRANSITIVE, TREAT_AS_WITHDRAW, INVALID_NEXT_HOP},
        med{OPTIONAL, TREAT_AS_WITHDRAW, ATTRIBUTE_LENGTH},
        preference{TRANSITIVE, TREAT_AS_WITHDRAW, ATTRIBUTE_LENGTH},
        atomic{TRANSITIVE, DISCARD_ATTRIBUTE, ATTRIBUTE_LENGTH},
        decorating{OPT_TRANS, DISCARD_ATTRIBUTE, OPTIONAL_ATTRIBUTE},
        carried{OPT_TRANS, TREAT_AS_WITHDRAW, OPTIONAL_ATTRIBUTE},
        local{OPTIONAL, TREAT_AS_WITHDRAW, OPTIONAL_ATTRIBUTE};
    switch (code) {
    case ORIGIN: return &origin;
    case AS_PATH: return &path;
    case NEXT_HOP: return &next_hop;
    case MED: return &med;
    case LOCAL_PREF: return &preference;
    case ATOMIC_AGGREGATE: return &atomic;
    case AGGREGATOR: case AS4_PATH: case AS4_AGGREGATOR: case ORIGIN_VN_PATH: return &decorating;
    case COMMUNITIES: case EXTENDED_COMMUNITIES: case PMSI_TUNNEL: case LARGE_COMMUNITIES: return &carried;
    case ORIGINATOR_ID: case CLUSTER_LIST: case MP_REACH: case MP_UNREACH: return &local;
    default: return nullptr;
    }
}

std::string wrong_length(std::size_t size, const char *expected) {
    return format("length %zu, expected %s", size, expected);
}

bool martian(const u8 *address) { return address[0] == 0 || address[0] >= 224; }

// Checks segments and writes them with four-octet AS numbers; an error in words, or nothing.
std::string parse_path(Octets value, u32 width, Buffer &out) {
    std::size_t hops = 0;
    for (std::size_t at = 0; at < value.size;) {
        const u8 kind = value[at++];
        if (at == value.size) return "1 octets wanted, 0 left";
        const u8 count = value[at++];
        if (kind != 1 && kind != 2)
            return format("segment type %u, expected AS_SET 1 or AS_SEQUENCE 2", kind);
        if (count == 0) return "segment without AS numbers";
        if (value.size - at < count * width)
            return format("%u octets wanted, %zu left", count * width, value.size - at);
        out.put(kind);
        out.put(count);
        bool zero = false;
        for (u32 i = 0; i < count; ++i, at += width) {
            const u32 asn = width == 4 ? be32(value.data + at) : be16(value.data + at);
            zero |= asn == 0;
            out.put_32(asn);
        }
        if (zero) return "AS number 0";
        hops += count;
        if (hops > MAX_PATH_LENGTH) return format("more than %zu AS numbers", MAX_PATH_LENGTH);
    }
    return "";
}

std::size_t path_hops(Octets path) {
    std::size_t hops = 0;
    for (std::size_t at = 0; at < path.size; at += 2 + 4u * path[at + 1])
        hops += path[at] == 2 ? path[at + 1] : 1;
    return hops;
}

// AS_PATH of a two-octet peer completed by AS4_PATH (RFC 6793 section 4.2.3).
void merge_paths(Buffer &path, Octets path4, Buffer &scratch) {
    const std::size_t mine = path_hops(path.view()), theirs = path_hops(path4);
    if (mine < theirs) return;
    long lead = static_cast<long>(mine - theirs);
    scratch.clear();
    std::size_t last = 0;
    for (std::size_t at = 0; at < path.size() && lead > 0;) {
        const u8 *segment = path.data() + at;
        const u8 count = segment[1];
        at += 2 + 4u * count;
        last = scratch.size();
        if (segment[0] == 1) {
            scratch.put(segment, 2 + 4u * count);
            --lead;
        } else {
            const u8 kept = static_cast<u8>(lead < count ? lead : count);
            scratch.put(2);
            scratch.put(kept);
            scratch.put(segment + 2, 4u * kept);
            lead -= count;
        }
    }
    if (scratch.size() && path4.size && *scratch.at(last) == 2 && path4[0] == 2 &&
        scratch.at(last)[1] + path4[1] <= 255) {
        scratch.at(last)[1] = static_cast<u8>(scratch.at(last)[1] + path4[1]);
        scratch.put(path4.from(2));
    } else {
        scratch.put(path4);
    }
    path.clear();
    path.put(scratch.view());
}

std::string chunks(Octets value, u32 width) {
    if (value.size && value.size % width == 0) return "";
    return format("length %zu, expected a positive multiple of %u", value.size, width);
}

const char *next_hop_lengths(Family family, std::size_t size, bool &legal) {
    const auto is = [&](std::initializer_list<std::size_t> sizes) {
        for (const std::size_t each : sizes) legal |= each == size;
    };
    legal = false;
    switch (family) {
    case INET: is({4, 16, 32}); return "[4, 16, 32]";
    case INET6: is({16, 32}); return "[16, 32]";
    case INET_VPN: is({12, 24, 48}); return "[12, 24, 48]";
    case INET6_VPN: is({24, 48}); return "[24, 48]";
    default: is({4, 16}); return "[4, 16]";
    }
}

[[noreturn]] void mp_error(u8 code, Octets value, const std::string &reason) {
    std::string data;
    const bool wide = value.size > 0xFF;
    data.push_back(static_cast<char>(OPTIONAL | (wide ? EXTENDED : 0)));
    data.push_back(static_cast<char>(code));
    if (wide) data.push_back(static_cast<char>(value.size >> 8));
    data.push_back(static_cast<char>(value.size & 0xFF));
    throw ProtocolFault{3, OPTIONAL_ATTRIBUTE, format("attribute %u: ", code) + reason, data + value.text()};
}

} // namespace

void Message::clear() {
    for (const Part &part : parts)
        if (part.attributes) store_.release(part.attributes);
    routes.clear();
    parts.clear();
    faults.clear();
    skipped.clear();
    ignored.clear();
    ends_rib = false;
    ended = FAMILIES;
    octets_.clear();
    octets_.put(0); // so that no key or ESI is at 0
    raws_.clear();
    split_faults_.clear();
}

const Message::Raw *Message::raw(u8 code) const {
    for (const Raw &each : raws_)
        if (each.code == code) return &each;
    return nullptr;
}

// See tungsten.bgp.attributes.split_block.
void Message::split(Octets block) {
    raws_.clear();
    split_faults_.clear();
    for (std::size_t at = 0; at < block.size;) {
        const std::size_t start = at, header = block[at] & EXTENDED ? 4 : 3, left = block.size - at;
        if (header > left) {
            split_faults_.push_back({0, TREAT_AS_WITHDRAW,
                                     format("attribute header cut after %zu octets", left),
                                     MALFORMED_ATTRIBUTE_LIST});
            return;
        }
        const u8 flags = block[at], code = block[at + 1];
        const std::size_t size = header == 3 ? block[at + 2] : be16(block.data + at + 2);
        at += header;
        if (size > block.size - at) {
            split_faults_.push_back({0, TREAT_AS_WITHDRAW,
                                     format("attribute %u: length %zu with %zu octets left", code, size,
                                            block.size - at),
                                     MALFORMED_ATTRIBUTE_LIST});
            return;
        }
        const Octets value = block.part(at, size);
        at += size;
        if (raw(code)) {
            if (code == MP_REACH || code == MP_UNREACH)
                throw ProtocolFault{3, MALFORMED_ATTRIBUTE_LIST, format("attribute %u given twice", code), ""};
            split_faults_.push_back(
                {code, DISCARD_ATTRIBUTE, "given twice, the first is kept", OPTIONAL_ATTRIBUTE});
            continue;
        }
        raws_.push_back({flags, code, value, block.part(start, at - start)});
    }
}

// The message that has exactly the End-of-RIB form (RFC 4724 section 2).
bool Message::end_of_rib(Octets body, const Context &context) {
    u32 afi, safi;
    if (body.size == 4 && be32(body.data) == 0) {
        afi = safi = 1;
    } else if ((body.size == 10 || body.size == 11) && body[5] == MP_UNREACH && be16(body.data) == 0) {
        split(body.from(4));
        const Raw *found = raw(MP_UNREACH);
        if (!found || found->value.size != 3 || !split_faults_.empty() ||
            body.size != 4u + be16(body.data + 2))
            return false;
        afi = be16(found->value.data);
        safi = found->value[2];
    } else {
        return false;
    }
    const Family family = family_of(afi, safi);
    if (context.has(family)) {
        ends_rib = true;
        ended = family;
    } else {
        ignored.push_back({static_cast<u16>(afi), static_cast<u8>(safi)});
    }
    return true;
}

void Message::add_part(Family family, bool announces, u32 attributes, u32 first, u32 count) {
    if (count)
        parts.push_back({family, announces, attributes, first, count});
    else if (attributes)
        store_.release(attributes);
}

Message::Mp Message::mp_unreach(Octets value, const Context &context) {
    Mp mp;
    mp.present = true;
    if (value.size < 3) mp_error(MP_UNREACH, value, wrong_length(value.size, "3 or more"));
    mp.family = family_of(be16(value.data), value[2]);
    if (!context.has(mp.family)) {
        ignored.push_back({be16(value.data), value[2]});
        return mp;
    }
    u32 unusable;
    mp.known = true;
    mp.first = static_cast<u32>(routes.size());
    decode_nlri(mp.family, value.from(3), true, unusable);
    mp.count = static_cast<u32>(routes.size()) - mp.first;
    return mp;
}

Message::Mp Message::mp_reach(Octets value, const Context &context, u32 &unusable) {
    Mp mp;
    mp.present = true;
    unusable = 0;
    if (value.size < 5) mp_error(MP_REACH, value, wrong_length(value.size, "5 or more"));
    mp.family = family_of(be16(value.data), value[2]);
    if (!context.has(mp.family)) {
        ignored.push_back({be16(value.data), value[2]});
        return mp;
    }
    bool legal;
    const std::size_t size = value[3], end = 4 + size;
    const char *lengths = next_hop_lengths(mp.family, size, legal);
    if (!legal || end + 1 > value.size)
        mp_error(MP_REACH, value, std::string(FAMILY[mp.family].name) +
                 format(" next hop length %zu, expected one of %s that fits", size, lengths));
    // The global address: no distinguisher, no link-local, v4-mapped unwrapped.
    Octets hop = value.part(4, size);
    hop = is_vpn(mp.family) ? hop.part(8, size >= 24 ? 16 : size - 8) : hop.part(0, size > 16 ? 16 : size);
    if (hop.size >= 12 && std::memcmp(hop.data, V4_MAPPED, 12) == 0) hop = hop.from(12);
    mp.next_hop = hop;
    mp.known = true;
    mp.first = static_cast<u32>(routes.size());
    decode_nlri(mp.family, value.from(end + 1), false, unusable);
    mp.count = static_cast<u32>(routes.size()) - mp.first - unusable;
    return mp;
}

void Message::decode(Octets body, const Context &context) {
    clear();
    if (end_of_rib(body, context)) return;
    raws_.clear();
    split_faults_.clear();
    Octets withdrawn, block, nlri;
    const std::size_t withdrawn_end = body.size >= 4 ? 2u + be16(body.data) : body.size + 1;
    bool fits = withdrawn_end + 2 <= body.size;
    if (fits) {
        const std::size_t at = withdrawn_end + 2, end = at + be16(body.data + withdrawn_end);
        fits = end <= body.size;
        if (fits) {
            withdrawn = body.part(2, withdrawn_end - 2);
            block = body.part(at, end - at);
            nlri = body.from(end);
        }
    }
    if (!fits)
        throw ProtocolFault{3, MALFORMED_ATTRIBUTE_LIST,
                            format("withdrawn and attribute lengths exceed the %zu octets of the body", body.size), ""};
    if (block.size) split(block);
    u32 unusable = 0;
    const auto plain = [&](Octets data) {
        const u32 first = static_cast<u32>(routes.size());
        if (data.size && !context.has(INET))
            ignored.push_back({1, 1});
        else
            decode_nlri(INET, data, true, unusable);
        return first;
    };
    const u32 gone = plain(withdrawn);
    add_part(INET, false, 0, gone, static_cast<u32>(routes.size()) - gone);
    if (const Raw *found = raw(MP_UNREACH)) {
        const Mp mp = mp_unreach(found->value, context);
        add_part(mp.family, false, 0, mp.first, mp.count);
    }
    Mp reach;
    u32 reach_unusable = 0;
    if (const Raw *found = raw(MP_REACH)) reach = mp_reach(found->value, context, reach_unusable);
    const u32 first = plain(nlri), count = static_cast<u32>(routes.size()) - first;
    if (reach.known) add_part(reach.family, false, 0, reach.first + reach.count, reach_unusable);
    const bool has_routes = nlri.size || reach.present;
    if (has_routes || raws_.size() > (raw(MP_UNREACH) ? 1u : 0u) || !split_faults_.empty())
        announce(context, first, count, reach, nlri.size);
    if (has_routes) return;
    // Errors in a message with no route to withdraw may hide lost routes (RFC 7606 5.2).
    for (const Fault &fault : faults)
        if (fault.remedy > DISCARD_ATTRIBUTE)
            throw ProtocolFault{3, fault.subcode,
                                format("attribute %u: ", fault.code) + fault.reason + ", and no route to withdraw",
                                fault.subcode == MISSING_WELL_KNOWN ? std::string(1, static_cast<char>(fault.code)) : ""};
}

void Message::announce(const Context &context, u32 plain_first, u32 plain_count, const Mp &mp, bool) {
    struct Set {
        Family family;
        u32 attributes, first, count;
    };
    Set sets[2];
    u32 count = 0;
    const bool has_mp = mp.known && mp.count;
    std::vector<Fault> found;
    if (has_mp)
        sets[count++] = {mp.family, decode_set(context, true, mp.next_hop, found), mp.first, mp.count};
    if (plain_count || !has_mp) {
        found.clear();
        sets[count++] = {INET, decode_set(context, false, {}, found), plain_first, plain_count};
    }
    faults = split_faults_;
    for (Fault &fault : found)
        if (plain_count || fault.code != NEXT_HOP) faults.push_back(std::move(fault));
    if (has_mp) {
        bool strange = mp.next_hop.size == 4 ? martian(mp.next_hop.data) : mp.next_hop[0] == 0xFF;
        if (mp.next_hop.size != 4) {
            bool any = false;
            for (std::size_t i = 0; i < mp.next_hop.size; ++i) any |= mp.next_hop[i] != 0;
            strange |= !any;
        }
        if (strange) {
            std::string hex;
            for (std::size_t i = 0; i < mp.next_hop.size; ++i) hex += format("%02x", mp.next_hop[i]);
            faults.push_back({MP_REACH, TREAT_AS_WITHDRAW, "next hop " + hex + " is not a host address",
                              OPTIONAL_ATTRIBUTE});
        }
    }
    if (plain_count || has_mp) {
        const std::size_t known = faults.size();
        const auto need = [&](u8 code) {
            if (raw(code)) return;
            for (std::size_t i = 0; i < known; ++i)
                if (faults[i].code == code) return;
            faults.push_back({code, TREAT_AS_WITHDRAW, "mandatory, but missing", MISSING_WELL_KNOWN});
        };
        need(ORIGIN);
        need(AS_PATH);
        if (plain_count) need(NEXT_HOP);
        if (context.internal) need(LOCAL_PREF);
    }
    bool usable = true;
    for (const Fault &fault : faults) usable &= fault.remedy < TREAT_AS_WITHDRAW;
    for (u32 i = 0; i < count; ++i) {
        const Set &set = sets[i];
        if (!usable) {
            if (set.attributes) store_.release(set.attributes);
            add_part(set.family, false, 0, set.first, set.count);
        } else {
            add_part(set.family, true, set.attributes, set.first, set.count);
        }
    }
}

// The set of attributes, owned; the octets are looked up before anything is parsed.
u32 Message::decode_set(const Context &context, bool from_mp, Octets next_hop, std::vector<Fault> &found) {
    if (from_mp && split_faults_.empty() && context.four_octet_as) {
        shared_.clear();
        for (const Raw &each : raws_)
            if (each.code != MP_REACH && each.code != MP_UNREACH) shared_.put(each.whole);
        const u32 known = store_.find(next_hop, shared_.view());
        if (known) {
            if (context.internal || store_[known].has(PLAIN)) return known;
            store_.release(known);
        }
    }
    Values v;
    path_.clear();
    path4_.clear();
    aggregator_.clear();
    has_as4_path_ = has_as4_aggregator_ = has_path_ = false;
    for (const Raw &each : raws_) decode_one(each, context, v, found);
    if (!context.four_octet_as) {
        const bool merge = !v.aggregator.size || be32(v.aggregator.data) == AS_TRANS;
        if (v.aggregator.size && merge && has_as4_aggregator_) v.aggregator = as4_aggregator_;
        if (merge && has_path_ && has_as4_path_) {
            Buffer scratch;
            merge_paths(path_, path4_.view(), scratch);
        }
    }
    v.as_path = has_path_ ? path_.view() : Octets{};
    if (from_mp) v.next_hop = next_hop;
    return store_.intern(v);
}

void Message::decode_one(const Raw &r, const Context &context, Values &v, std::vector<Fault> &found) {
    const u8 code = r.code;
    const Octets value = r.value;
    const Spec *spec = spec_of(code);
    if (!spec) {
        if (!(r.flags & OPTIONAL))
            found.push_back({code, TREAT_AS_WITHDRAW, "unrecognised well-known attribute", UNRECOGNIZED_WELL_KNOWN});
        else if (r.flags & TRANSITIVE)
            v.opaque.push_back({OPT_TRANS | PARTIAL, code, value});
        return;
    }
    if (!context.internal && (code == LOCAL_PREF || code == ORIGINATOR_ID || code == CLUSTER_LIST)) {
        found.push_back({code, DISCARD_ATTRIBUTE, "sent by an external peer", OPTIONAL_ATTRIBUTE});
        return;
    }
    if (context.four_octet_as && (code == AS4_PATH || code == AS4_AGGREGATOR)) return;
    if ((r.flags & FLAG_MASK) != spec->flags) {
        found.push_back({code, spec->remedy,
                         format("flags 0x%02x, expected 0x%02x in the upper two bits", r.flags, spec->flags),
                         ATTRIBUTE_FLAGS});
        return;
    }
    std::string wrong;
    const auto exactly = [&](std::size_t size) {
        if (value.size != size) wrong = format("length %zu, expected %zu", value.size, size);
        return wrong.empty();
    };
    switch (code) {
    case ORIGIN:
        if (exactly(1)) {
            if (value[0] > 2)
                wrong = format("value %u, expected 0, 1 or 2", value[0]);
            else
                v.origin = value[0];
        }
        break;
    case AS_PATH:
        if (!value.size && !context.internal) {
            wrong = "empty from an external peer";
        } else {
            wrong = parse_path(value, context.four_octet_as ? 4 : 2, path_);
            has_path_ = wrong.empty();
        }
        break;
    case NEXT_HOP:
        if (exactly(4)) {
            if (martian(value.data))
                wrong = format("%u.%u.%u.%u is not a host address", value[0], value[1], value[2], value[3]);
            else
                v.next_hop = value;
        }
        break;
    case MED:
        if (exactly(4)) {
            v.has_med = true;
            v.med = be32(value.data);
        }
        break;
    case LOCAL_PREF:
        if (exactly(4)) {
            v.has_local_preference = true;
            v.local_preference = be32(value.data);
        }
        break;
    case ATOMIC_AGGREGATE:
        v.atomic = exactly(0);
        break;
    case AGGREGATOR:
    case AS4_AGGREGATOR: {
        const bool four = code == AS4_AGGREGATOR || context.four_octet_as;
        if (!exactly(four ? 8 : 6)) break;
        if ((four ? be32(value.data) : be16(value.data)) == 0) {
            wrong = "AS number 0";
        } else if (code == AS4_AGGREGATOR) {
            as4_aggregator_ = value;
            has_as4_aggregator_ = true;
        } else if (four) {
            v.aggregator = value;
        } else {
            aggregator_.put_32(be16(value.data));
            aggregator_.put(value.from(2));
            v.aggregator = aggregator_.view();
        }
        break;
    }
    case COMMUNITIES:
        if ((wrong = chunks(value, 4)).empty()) v.communities = value;
        break;
    case ORIGINATOR_ID:
        if (exactly(4)) {
            v.has_originator = true;
            v.originator = value;
        }
        break;
    case CLUSTER_LIST:
        if ((wrong = chunks(value, 4)).empty()) v.cluster_list = value;
        break;
    case EXTENDED_COMMUNITIES:
        if ((wrong = chunks(value, 8)).empty()) v.extended = value;
        break;
    case LARGE_COMMUNITIES:
        if ((wrong = chunks(value, 12)).empty()) v.large = value;
        break;
    case ORIGIN_VN_PATH:
        if ((wrong = chunks(value, 8)).empty()) v.origin_vn_path = value;
        break;
    case AS4_PATH:
        wrong = parse_path(value, 4, path4_);
        has_as4_path_ = wrong.empty();
        break;
    case PMSI_TUNNEL:
        if (value.size < 5)
            wrong = wrong_length(value.size, "5 or more");
        else if (value[1] == 6 && value.size != 9 && value.size != 21)
            wrong = format("ingress replication endpoint of %zu octets", value.size - 5);
        else
            v.pmsi = value;
        break;
    default: // MP attributes are dealt with elsewhere
        break;
    }
    if (!wrong.empty()) found.push_back({code, spec->remedy, std::move(wrong), spec->subcode});
}

} // namespace tungsten
