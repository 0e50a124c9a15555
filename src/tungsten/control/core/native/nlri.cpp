// NLRI of the families that have tables; see tungsten.bgp.nlri.
#include "update.hpp"

#include <cstdarg>
#include <cstdio>

namespace tungsten {

const FamilyInfo FAMILY[FAMILIES] = {
    {1, 1, "inet"}, {2, 1, "inet6"}, {1, 128, "inet-vpn"}, {2, 128, "inet6-vpn"}, {25, 70, "e-vpn"},
    {1, 132, "route-target"},
};

Family family_of(u32 afi, u32 safi) {
    for (u8 f = 0; f < FAMILIES; ++f)
        if (FAMILY[f].afi == afi && FAMILY[f].safi == safi) return static_cast<Family>(f);
    return FAMILIES;
}

std::string format(const char *pattern, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, pattern);
    std::vsnprintf(text, sizeof text, pattern, arguments);
    va_end(arguments);
    return text;
}

namespace {

[[noreturn]] void bad(Family family, const std::string &reason) {
    throw ProtocolFault{3, static_cast<u8>(family == INET ? INVALID_NETWORK : OPTIONAL_ATTRIBUTE),
                        std::string(FAMILY[family].name) + " NLRI: " + reason, ""};
}

// The end of the NLRI at `pos`, whose length is in bits.
std::size_t checked_end(Family family, Octets data, std::size_t pos, u32 least, u32 most) {
    const u32 bits = data[pos];
    if (bits < least || bits > most)
        bad(family, format("length %u bits, expected %u to %u", bits, least, most));
    const std::size_t end = pos + 1 + (bits + 7) / 8;
    if (end > data.size)
        bad(family, format("length %u bits runs %zu octets past the end", bits, end - data.size));
    return end;
}

// Reads fields of one typed NLRI; the first that does not fit is remembered.
class Cursor {
  public:
    explicit Cursor(Octets data) : data_(data) {}
    std::size_t left() const { return data_.size - pos_; }
    const u8 *take(std::size_t count) {
        if (failed() || count > left()) {
            if (!failed()) reason_ = format("%zu octets wanted, %zu left", count, left());
            return NOTHING;
        }
        const u8 *at = data_.data + pos_;
        pos_ += count;
        return at;
    }
    u32 number(std::size_t width) {
        const u8 *p = take(width);
        return width == 1 ? p[0] : width == 3 ? be24(p) : be32(p);
    }
    // An address of one of the allowed lengths in bits.
    Octets address(bool may_be_empty) {
        const u32 bits = number(1);
        if (failed()) return {};
        if (bits != 32 && bits != 128 && !(may_be_empty && bits == 0)) {
            refuse(format("address length %u bits, expected one of %s", bits,
                          may_be_empty ? "(0, 32, 128)" : "(32, 128)"));
            return {};
        }
        const u8 *p = take(bits / 8);
        return failed() ? Octets{} : Octets{p, bits / 8};
    }
    void refuse(std::string reason) {
        if (!failed()) reason_ = std::move(reason);
    }
    bool failed() const { return !reason_.empty(); }
    std::string &reason() { return reason_; }

  private:
    static const u8 NOTHING[32];
    Octets data_;
    std::size_t pos_ = 0;
    std::string reason_;
};
const u8 Cursor::NOTHING[32] = {};

} // namespace

void put_prefix(Buffer &out, u32 bits, const u8 *octets) {
    const u32 count = (bits + 7) / 8, spare = (8 - bits % 8) % 8;
    out.put(static_cast<u8>(bits));
    out.put(octets, count);
    if (spare) {
        u8 &last = *out.at(out.size() - 1);
        last = static_cast<u8>(last >> spare << spare);
    }
}

void Message::decode_prefixes(Family family, Octets data) {
    const u32 most = family == INET ? 32 : family == INET6 ? 128 : 96;
    for (std::size_t pos = 0; pos < data.size;) {
        const std::size_t end = checked_end(family, data, pos, 0, most);
        const u32 bits = data[pos];
        if (family == ROUTE_TARGET && bits && bits < 32)
            bad(family, format("length %u bits, expected 0 or 32 to 96", bits));
        Nlri route{};
        route.key_at = static_cast<u32>(octets_.size());
        put_prefix(octets_, bits, data.data + pos + 1);
        route.key_size = static_cast<u16>(octets_.size() - route.key_at);
        routes.push_back(route);
        pos = end;
    }
}

void Message::decode_vpn(Family family, Octets data, bool withdraw, u32 &unusable) {
    const u32 head = 88, most = head + (family == INET_VPN ? 32 : 128);
    unusable_.clear();
    for (std::size_t pos = 0; pos < data.size;) {
        const std::size_t end = checked_end(family, data, pos, head, most);
        const u32 bits = data[pos] - head;
        const u8 *p = data.data + pos;
        Nlri route{};
        route.label_field = be24(p + 1);
        route.key_at = static_cast<u32>(octets_.size());
        octets_.put(p + 4, 8);
        put_prefix(octets_, bits, p + 12);
        route.key_size = static_cast<u16>(octets_.size() - route.key_at);
        (withdraw || route.label_field & 1 ? routes : unusable_).push_back(route);
        pos = end;
    }
    unusable = static_cast<u32>(unusable_.size());
    routes.insert(routes.end(), unusable_.begin(), unusable_.end());
}

bool Message::decode_evpn_one(u8 type, Octets content, std::string &reason) {
    Cursor c(content);
    Nlri route{};
    route.type = type;
    route.key_at = static_cast<u32>(octets_.size());
    octets_.put(type);
    const auto keep_esi = [&](const u8 *esi) {
        route.esi_at = static_cast<u32>(octets_.size());
        octets_.put(esi, 10);
    };
    const u8 *esi = nullptr;
    if (type == 1) {
        octets_.put(c.take(8), 8);
        esi = c.take(10);
        octets_.put(esi, 10);
        octets_.put_32(route.tag = c.number(4));
        route.label_field = c.number(3);
    } else if (type == 2) {
        const u8 *rd = c.take(8);
        esi = c.take(10);
        route.tag = c.number(4);
        const u32 mac_bits = c.number(1);
        if (!c.failed() && mac_bits != 48) c.refuse(format("MAC length %u bits, expected 48", mac_bits));
        const u8 *mac = c.take(6);
        const Octets ip = c.address(true);
        route.label_field = c.number(3);
        if (!c.failed() && c.left()) {
            route.has_label2 = true;
            route.label2_field = c.number(3);
        }
        octets_.put(rd, 8);
        octets_.put_32(route.tag);
        octets_.put(mac, 6);
        octets_.put(ip);
    } else if (type == 3) {
        octets_.put(c.take(8), 8);
        octets_.put_32(route.tag = c.number(4));
        octets_.put(c.address(false));
    } else if (type == 4) {
        octets_.put(c.take(8), 8);
        octets_.put(c.take(10), 10);
        octets_.put(c.address(false));
    } else if (type == 5) {
        const u32 width = content.size == 34 ? 4 : 16;
        if (content.size != 34 && content.size != 58)
            c.refuse(format("length %zu, expected 34 or 58", content.size));
        const u8 *rd = c.take(8);
        esi = c.take(10);
        route.tag = c.number(4);
        const u32 bits = c.number(1);
        if (bits > width * 8)
            c.refuse(format("prefix length %u bits, expected %u at most", bits, width * 8));
        const u8 *prefix = c.take(width), *gateway = c.take(width);
        route.label_field = c.number(3);
        if (!c.failed()) {
            for (u32 i = 0; i < width; ++i) route.has_gateway |= gateway[i] != 0;
            octets_.put(rd, 8);
            octets_.put_32(route.tag);
            octets_.put(width == 4 ? 1 : 2);
            put_prefix(octets_, bits, prefix);
        }
    } else {
        octets_.put(content);
        c.take(content.size);
    }
    if (!c.failed() && c.left()) c.refuse(format("%zu octets too many", c.left()));
    if (c.failed()) {
        octets_.truncate(route.key_at);
        reason = std::move(c.reason());
        return false;
    }
    route.key_size = static_cast<u16>(octets_.size() - route.key_at);
    if (esi) keep_esi(esi);
    routes.push_back(route);
    return true;
}

void Message::decode_evpn(Octets data) {
    std::string reason;
    for (std::size_t pos = 0; pos < data.size;) {
        if (pos + 1 >= data.size) bad(EVPN, "1 octets wanted, 0 left");
        const u8 type = data[pos], size = data[pos + 1];
        const std::size_t left = data.size - pos - 2;
        if (size > left) bad(EVPN, format("%u octets wanted, %zu left", size, left));
        if (!decode_evpn_one(type, data.part(pos + 2, size), reason))
            skipped.push_back(format("e-vpn type %u: ", type) + reason);
        pos += 2u + size;
    }
}

void Message::decode_nlri(Family family, Octets data, bool withdraw, u32 &unusable) {
    unusable = 0;
    if (is_vpn(family))
        decode_vpn(family, data, withdraw, unusable);
    else if (family == EVPN)
        decode_evpn(data);
    else
        decode_prefixes(family, data);
}

} // namespace tungsten
