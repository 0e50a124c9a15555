// UPDATE messages: what tungsten.bgp.update.decode_update says of them, with the same remedies.
#pragma once

#include "attributes.hpp"

namespace tungsten {

enum Family : u8 { INET, INET6, INET_VPN, INET6_VPN, EVPN, ROUTE_TARGET, FAMILIES };

struct FamilyInfo {
    u16 afi;
    u8 safi;
    const char *name;
};
extern const FamilyInfo FAMILY[FAMILIES];
// The family of AFI and SAFI, FAMILIES for one that has no tables here.
Family family_of(u32 afi, u32 safi);
inline bool is_vpn(Family f) { return f == INET_VPN || f == INET6_VPN; }

enum Remedy : u8 { DISCARD_ATTRIBUTE = 1, TREAT_AS_WITHDRAW = 2 };
enum UpdateSubcode : u8 {
    MALFORMED_ATTRIBUTE_LIST = 1,
    UNRECOGNIZED_WELL_KNOWN = 2,
    MISSING_WELL_KNOWN = 3,
    ATTRIBUTE_FLAGS = 4,
    ATTRIBUTE_LENGTH = 5,
    INVALID_ORIGIN = 6,
    INVALID_NEXT_HOP = 8,
    OPTIONAL_ATTRIBUTE = 9,
    INVALID_NETWORK = 10,
    MALFORMED_AS_PATH = 11,
};

struct Fault {
    u8 code;
    Remedy remedy;
    std::string reason;
    u8 subcode;
};

// What closes the session: code, subcode and data of the NOTIFICATION.
struct ProtocolFault {
    u8 code, subcode;
    std::string reason, data;
};

// One route of a message. Key and ESI are in the message's own buffer.
struct Nlri {
    u32 key_at;
    u16 key_size;
    u8 type;           // EVPN type, 0 in other families
    bool has_label2, has_gateway;
    u32 label_field, label2_field, tag;
    u32 esi_at;        // 0: no ESI field
};

struct Part {
    Family family;
    bool announces;
    u32 attributes;    // owned by the message, 0 in withdrawals
    u32 first, count;
};

struct Ignored {
    u16 afi;
    u8 safi;
};

struct Context {
    bool internal, four_octet_as;
    u32 families;      // a bit for each
    bool has(Family f) const { return f < FAMILIES && families >> f & 1; }
};

// A decoded message, made to be used again for the next one.
class Message {
  public:
    explicit Message(AttributeStore &store) : store_(store) {}
    ~Message() { clear(); }
    Message(const Message &) = delete;
    Message &operator=(const Message &) = delete;

    // Throws ProtocolFault for what cannot be survived.
    void decode(Octets body, const Context &context);
    void clear();

    std::vector<Nlri> routes;
    std::vector<Part> parts; // withdrawals first
    std::vector<Fault> faults;
    std::vector<std::string> skipped;
    std::vector<Ignored> ignored;
    bool ends_rib = false;
    Family ended = FAMILIES;

    Octets key(const Nlri &n) const { return {octets_.data() + n.key_at, n.key_size}; }
    const u8 *esi(const Nlri &n) const { return n.esi_at ? octets_.data() + n.esi_at : nullptr; }

  private:
    struct Raw {
        u8 flags, code;
        Octets value, whole;
    };
    struct Mp {
        bool present = false, known = false;
        Family family = FAMILIES;
        Octets next_hop;
        u32 first = 0, count = 0;
    };

    void split(Octets block);
    const Raw *raw(u8 code) const;
    bool end_of_rib(Octets body, const Context &context);
    Mp mp_unreach(Octets value, const Context &context);
    Mp mp_reach(Octets value, const Context &context, u32 &unusable);
    void announce(const Context &context, u32 plain_first, u32 plain_count, const Mp &mp, bool has_nlri);
    u32 decode_set(const Context &context, bool from_mp, Octets next_hop, std::vector<Fault> &faults);
    void decode_one(const Raw &raw, const Context &context, Values &v, std::vector<Fault> &faults);
    void add_part(Family family, bool announces, u32 attributes, u32 first, u32 count);

    // nlri.cpp: appends routes; `unusable` counts those at the end that cannot be used.
    void decode_nlri(Family family, Octets data, bool withdraw, u32 &unusable);
    void decode_prefixes(Family family, Octets data);
    void decode_vpn(Family family, Octets data, bool withdraw, u32 &unusable);
    void decode_evpn(Octets data);
    bool decode_evpn_one(u8 type, Octets content, std::string &reason);

    AttributeStore &store_;
    Buffer octets_, shared_, path_, path4_, aggregator_;
    std::vector<Raw> raws_;
    std::vector<Fault> split_faults_;
    std::vector<Nlri> unusable_;
    Octets as4_path_, as4_aggregator_;
    bool has_as4_path_ = false, has_as4_aggregator_ = false, has_path_ = false;
    u32 faulty_next_ = 0;
};

// The prefix with host bits cleared, in wire form.
void put_prefix(Buffer &out, u32 bits, const u8 *octets);
std::string format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

} // namespace tungsten
