// NLRI and UPDATE messages of a rib-out: tungsten.bgp.update.pack_reach and pack_unreach.
#include "ribout.hpp"

namespace tungsten {

namespace {

constexpr std::size_t MAX_MESSAGE = 4096, HEADER = 19;

// Begins an UPDATE; its length is filled in by finish().
std::size_t begin(Buffer &out) {
    const std::size_t at = out.size();
    u8 *head = out.room(HEADER);
    std::memset(head, 0xFF, 16);
    head[18] = 2;
    return at;
}

void finish(Buffer &out, std::size_t at) { put16(out.at(at + 16), static_cast<u32>(out.size() - at)); }

} // namespace

bool pack_next_hop(Family family, Octets address, Buffer &out) {
    if (address.size != 4 && address.size != 16) return false;
    u8 zero[10] = {};
    if (is_vpn(family)) out.put(zero, 8);
    if (FAMILY[family].afi == 2 && address.size == 4) {
        out.put(zero, 10);
        out.put_16(0xFFFF);
    }
    out.put(address);
    return true;
}

// --- NLRI

void RibOut::put_withdrawal(Octets key) {
    if (is_vpn(policy_.family)) {
        nlris_.put(static_cast<u8>(key[8] + 88));
        nlris_.put_24(0x800000);
        nlris_.put(key.part(0, 8));
        nlris_.put(key.from(9));
    } else if (policy_.family != EVPN) {
        nlris_.put(key);
    } else {
        put_evpn(key, 0, 0, nullptr);
    }
}

void RibOut::put_evpn(Octets key, u32 label_field, u32 label2_field, const u8 *esi) {
    static const u8 ZERO[16] = {};
    if (!esi) esi = ZERO;
    const std::size_t head = nlris_.size();
    nlris_.put(key[0]);
    nlris_.put(0);
    const Octets rd = key.part(1, key.size > 8 ? 8 : key.size - 1);
    switch (key[0]) {
    case 1:
        nlris_.put(key.from(1));
        nlris_.put_24(label_field);
        break;
    case 2: {
        const Octets ip = key.from(19);
        nlris_.put(rd);
        nlris_.put(esi, 10);
        nlris_.put(key.part(9, 4));
        nlris_.put(48);
        nlris_.put(key.part(13, 6));
        nlris_.put(static_cast<u8>(ip.size * 8));
        nlris_.put(ip);
        nlris_.put_24(label_field);
        if (label2_field) nlris_.put_24(label2_field);
        break;
    }
    case 3:
        nlris_.put(key.part(1, 12));
        nlris_.put(static_cast<u8>((key.size - 13) * 8));
        nlris_.put(key.from(13));
        break;
    case 4:
        nlris_.put(key.part(1, 18));
        nlris_.put(static_cast<u8>((key.size - 19) * 8));
        nlris_.put(key.from(19));
        break;
    case 5: {
        const std::size_t width = key[13] == 1 ? 4 : 16;
        nlris_.put(rd);
        nlris_.put(ZERO, 10);
        nlris_.put(key.part(9, 4));
        nlris_.put(key[14]);
        const Octets prefix = key.from(15);
        nlris_.put(prefix);
        nlris_.put(ZERO, width - prefix.size);
        nlris_.put(ZERO, width);
        nlris_.put_24(label_field);
        break;
    }
    default:
        nlris_.put(key.from(1));
    }
    *nlris_.at(head + 1) = static_cast<u8>(nlris_.size() - head - 2);
}

void RibOut::put_route(const Route &route, const Entry &e, bool has_esi) {
    const Octets key = route.key();
    if (is_vpn(policy_.family)) {
        u8 *p = nlris_.room(key.size + 3);
        p[0] = static_cast<u8>(key[8] + 88);
        put24(p + 1, e.label << 4 | 1);
        std::memcpy(p + 4, key.data, 8);
        std::memcpy(p + 12, key.data + 9, key.size - 9);
    } else if (policy_.family != EVPN) {
        nlris_.put(key);
    } else {
        const bool vxlan = rib_.attributes[e.attributes].has(VXLAN);
        const auto field = [&](u32 label) { return vxlan ? label : label << 4 | 1; };
        const u8 *esi = has_esi && route.path.attributes ? rib_.esi_of(route.path) : nullptr;
        put_evpn(key, field(e.label), e.label2 ? field(e.label2) : 0, esi);
    }
}

// --- messages

// Cuts a group's NLRI into runs that fit `room`; false when one does not fit at all.
template <typename Emit> bool RibOut::runs(const Group &group, std::size_t room, Emit emit) {
    gathered_.clear();
    for (u32 each = group.first; each; each = pieces_[each - 1].next) {
        const Piece &piece = pieces_[each - 1];
        if (piece.size > room) return false;
        if (gathered_.size() + piece.size > room) {
            emit(gathered_.view());
            gathered_.clear();
        }
        gathered_.put(nlris_.at(piece.at), piece.size);
    }
    if (gathered_.size()) emit(gathered_.view());
    return true;
}

void RibOut::withdraw(const Group &group) {
    Output &to = output(group.members);
    const FamilyInfo &family = FAMILY[policy_.family];
    const bool inet = policy_.family == INET;
    runs(group, MAX_MESSAGE - HEADER - (inet ? 4 : 11), [&](Octets run) {
        const std::size_t at = begin(to.octets);
        if (inet) {
            to.octets.put_16(static_cast<u32>(run.size));
            to.octets.put(run);
            to.octets.put_16(0);
        } else {
            to.octets.put_16(0);
            to.octets.put_16(static_cast<u32>(run.size + 7));
            to.octets.put_16(0x900F);
            to.octets.put_16(static_cast<u32>(run.size + 3));
            to.octets.put_16(family.afi);
            to.octets.put(family.safi);
            to.octets.put(run);
        }
        finish(to.octets, at);
        ++to.messages;
    });
}

void RibOut::announce(const Group &group) {
    const Attributes &a = rib_.attributes[group.attributes];
    const FamilyInfo &family = FAMILY[policy_.family];
    const bool inet = policy_.family == INET;
    block_.clear();
    bool fits = encode_told(policy_, a, rib_.sources[group.source], block_);
    Buffer &hop = hop_;
    hop.clear();
    if (fits && !inet) fits = pack_next_hop(policy_.family, a.next_hop(), hop);
    Output &to = output(group.members);
    const std::size_t start = to.octets.size();
    const u32 messages = to.messages;
    const std::size_t used = HEADER + block_.size() + (inet ? 4 : 8 + 5 + hop.size());
    if (fits) fits = used < MAX_MESSAGE;
    if (fits)
        fits = runs(group, MAX_MESSAGE - used, [&](Octets run) {
            const std::size_t at = begin(to.octets), size = run.size + 5 + hop.size();
            to.octets.put_16(0);
            if (inet) {
                to.octets.put_16(static_cast<u32>(block_.size()));
                to.octets.put(block_.view());
                to.octets.put(run);
            } else {
                to.octets.put_16(static_cast<u32>(4 + size + block_.size()));
                to.octets.put_16(0x900E);
                to.octets.put_16(static_cast<u32>(size));
                to.octets.put_16(family.afi);
                to.octets.put(family.safi);
                to.octets.put(static_cast<u8>(hop.size()));
                to.octets.put(hop.view());
                to.octets.put(0);
                to.octets.put(run);
                to.octets.put(block_.view());
            }
            finish(to.octets, at);
            ++to.messages;
        });
    if (fits) return;
    // It cannot be said: what was said of these routes before no longer holds.
    untold["attributes leave no room, or the next hop cannot be said"] += group.count;
    to.octets.truncate(start);
    to.messages = messages;
    withdraw(group);
}

} // namespace tungsten
