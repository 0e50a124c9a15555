// Octets, big-endian numbers, hashing, slabs: what everything else in the core is made of.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace tungsten {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

// A view of octets that somebody else keeps alive.
struct Octets {
    const u8 *data = nullptr;
    std::size_t size = 0;

    const u8 &operator[](std::size_t i) const { return data[i]; }
    bool empty() const { return size == 0; }
    Octets from(std::size_t at) const { return {data + at, size - at}; }
    Octets part(std::size_t at, std::size_t count) const { return {data + at, count}; }
    bool operator==(const Octets &other) const {
        return size == other.size && (size == 0 || std::memcmp(data, other.data, size) == 0);
    }
    std::string text() const { return std::string(reinterpret_cast<const char *>(data), size); }
};

inline int compare_octets(Octets a, Octets b) {
    const std::size_t common = a.size < b.size ? a.size : b.size;
    const int order = common ? std::memcmp(a.data, b.data, common) : 0;
    if (order) return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

inline u16 be16(const u8 *p) { return static_cast<u16>(p[0] << 8 | p[1]); }
inline u32 be24(const u8 *p) { return u32(p[0]) << 16 | u32(p[1]) << 8 | p[2]; }
inline u32 be32(const u8 *p) {
    u32 v;
    std::memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}
inline u64 be64(const u8 *p) {
    u64 v;
    std::memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}
inline void put16(u8 *p, u32 v) {
    p[0] = static_cast<u8>(v >> 8);
    p[1] = static_cast<u8>(v);
}
inline void put24(u8 *p, u32 v) {
    p[0] = static_cast<u8>(v >> 16);
    p[1] = static_cast<u8>(v >> 8);
    p[2] = static_cast<u8>(v);
}
inline void put32(u8 *p, u32 v) {
    v = __builtin_bswap32(v);
    std::memcpy(p, &v, 4);
}
inline void put64(u8 *p, u64 v) {
    v = __builtin_bswap64(v);
    std::memcpy(p, &v, 8);
}

// A growing run of octets.
class Buffer {
  public:
    const u8 *data() const { return octets_.data(); }
    std::size_t size() const { return octets_.size(); }
    void clear() { octets_.clear(); }
    void put(u8 v) { octets_.push_back(v); }
    void put(const u8 *p, std::size_t n) { octets_.insert(octets_.end(), p, p + n); }
    void put(Octets o) {
        if (o.size) put(o.data, o.size);
    }
    void put_16(u32 v) { put16(room(2), v); }
    void put_24(u32 v) { put24(room(3), v); }
    void put_32(u32 v) { put32(room(4), v); }
    u8 *room(std::size_t n) {
        octets_.resize(octets_.size() + n);
        return octets_.data() + octets_.size() - n;
    }
    u8 *at(std::size_t pos) { return octets_.data() + pos; }
    void truncate(std::size_t n) { octets_.resize(n); }
    Octets view() const { return {octets_.data(), octets_.size()}; }

  private:
    std::vector<u8> octets_;
};

// Hashing is keyed by a number drawn at start, so that no peer can choose keys that collide.
extern const u64 hash_seed;

inline u64 mix(u64 a, u64 b) {
    const __uint128_t product = static_cast<__uint128_t>(a) * b;
    return static_cast<u64>(product) ^ static_cast<u64>(product >> 64);
}

inline u32 hash_octets(Octets o) {
    u64 h = hash_seed ^ (o.size * 0x9E3779B97F4A7C15ull);
    const u8 *p = o.data;
    std::size_t n = o.size;
    u64 word;
    for (; n >= 8; p += 8, n -= 8) {
        std::memcpy(&word, p, 8);
        h = mix(h ^ word, 0xD6E8FEB86659FD93ull ^ hash_seed);
    }
    if (n) {
        word = 0;
        std::memcpy(&word, p, n);
        h = mix(h ^ word, 0xA0761D6478BD642Full ^ hash_seed);
    }
    h = mix(h, 0xE7037ED1A0B428DBull);
    return static_cast<u32>(h ^ h >> 32);
}

// An open-addressing index from hashes to record numbers (0 is no record). The records
// themselves decide whether they are equal.
class Index {
  public:
    std::size_t size() const { return count_; }

    template <typename Same> u32 find(u32 hash, Same same) const {
        if (slots_.empty()) return 0;
        for (std::size_t i = hash & mask();; i = (i + 1) & mask()) {
            const Slot &slot = slots_[i];
            if (slot.id == 0) return 0;
            if (slot.hash == hash && same(slot.id)) return slot.id;
        }
    }

    void insert(u32 hash, u32 id) {
        if ((count_ + 1) * 4 > slots_.size() * 3) grow();
        place({hash, id});
        ++count_;
    }

    void erase(u32 hash, u32 id) {
        if (slots_.empty()) return;
        std::size_t i = hash & mask();
        while (slots_[i].id != id) {
            if (slots_[i].id == 0) return;
            i = (i + 1) & mask();
        }
        --count_;
        // Close the gap: move back what would no longer be found.
        for (std::size_t next = (i + 1) & mask();; next = (next + 1) & mask()) {
            const Slot &slot = slots_[next];
            if (slot.id == 0) break;
            const std::size_t home = slot.hash & mask();
            const bool stays = i <= next ? (i < home && home <= next) : (i < home || home <= next);
            if (!stays) {
                slots_[i] = slot;
                i = next;
            }
        }
        slots_[i] = {0, 0};
        if (count_ == 0) {
            slots_.clear();
            slots_.shrink_to_fit();
        }
    }

    template <typename Visit> void each(Visit visit) const {
        for (const Slot &slot : slots_)
            if (slot.id) visit(slot.id);
    }

    // Records in slots from `at` on, `limit` slots at most; where to go on, 0 at the end.
    template <typename Visit> std::size_t some(std::size_t at, std::size_t limit, Visit visit) const {
        std::size_t end = at + limit < slots_.size() ? at + limit : slots_.size();
        for (; at < end; ++at)
            if (slots_[at].id) visit(slots_[at].id);
        return at < slots_.size() ? at : 0;
    }

  private:
    struct Slot {
        u32 hash, id;
    };

    std::size_t mask() const { return slots_.size() - 1; }

    void place(Slot slot) {
        std::size_t i = slot.hash & mask();
        while (slots_[i].id) i = (i + 1) & mask();
        slots_[i] = slot;
    }

    void grow() {
        std::vector<Slot> old(slots_.empty() ? 8 : slots_.size() * 2, Slot{0, 0});
        old.swap(slots_);
        for (const Slot &slot : old)
            if (slot.id) place(slot);
    }

    std::vector<Slot> slots_;
    std::size_t count_ = 0;
};

// Records of one size in chunks that never move. Numbers start at 1.
template <typename Record> class Slab {
  public:
    explicit Slab(std::size_t record_size = sizeof(Record)) : size_(record_size) {}

    Record &operator[](u32 number) {
        return *reinterpret_cast<Record *>(chunks_[number >> BITS].get() + (number & MASK) * size_);
    }
    const Record &operator[](u32 number) const {
        return *reinterpret_cast<const Record *>(chunks_[number >> BITS].get() + (number & MASK) * size_);
    }

    u32 take() {
        if (!free_.empty()) {
            const u32 number = free_.back();
            free_.pop_back();
            return number;
        }
        const u32 number = next_++;
        if ((number >> BITS) >= chunks_.size()) chunks_.emplace_back(new u8[size_ << BITS]());
        return number;
    }
    void give(u32 number) { free_.push_back(number); }
    u32 end() const { return next_; }

  private:
    static constexpr u32 BITS = 10, MASK = (1u << BITS) - 1;
    std::size_t size_;
    std::vector<std::unique_ptr<u8[]>> chunks_;
    std::vector<u32> free_;
    u32 next_ = 1;
};

} // namespace tungsten
