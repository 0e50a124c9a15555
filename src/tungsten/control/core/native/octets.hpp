// Octets, big-endian numbers, hashing, slabs: what everything else in the core is made of.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
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

// A growing run of octets; what room() gives is not cleared.
class Buffer {
  public:
    Buffer() = default;
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    Buffer(Buffer &&other) noexcept
        : octets_(std::move(other.octets_)), size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0)) {}
    Buffer &operator=(Buffer &&other) noexcept {
        octets_ = std::move(other.octets_);
        size_ = std::exchange(other.size_, 0);
        capacity_ = std::exchange(other.capacity_, 0);
        return *this;
    }

    const u8 *data() const { return octets_.get(); }
    std::size_t size() const { return size_; }
    void clear() { size_ = 0; }
    void put(u8 v) { *room(1) = v; }
    void put(const u8 *p, std::size_t n) {
        if (n) std::memcpy(room(n), p, n);
    }
    void put(Octets o) { put(o.data, o.size); }
    void put_16(u32 v) { put16(room(2), v); }
    void put_24(u32 v) { put24(room(3), v); }
    void put_32(u32 v) { put32(room(4), v); }
    u8 *room(std::size_t n) {
        if (size_ + n > capacity_) grow(size_ + n);
        u8 *at = octets_.get() + size_;
        size_ += n;
        return at;
    }
    u8 *at(std::size_t pos) { return octets_.get() + pos; }
    void truncate(std::size_t n) { size_ = n; }
    Octets view() const { return {octets_.get(), size_}; }

  private:
    void grow(std::size_t least) {
        std::size_t capacity = capacity_ ? capacity_ * 2 : 256;
        while (capacity < least) capacity *= 2;
        std::unique_ptr<u8[]> octets(new u8[capacity]);
        if (size_) std::memcpy(octets.get(), octets_.get(), size_);
        octets_ = std::move(octets);
        capacity_ = capacity;
    }

    std::unique_ptr<u8[]> octets_;
    std::size_t size_ = 0, capacity_ = 0;
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
// themselves decide whether they are equal. It grows bit by bit: what it held before moves over
// with the insertions that follow, so that none of them takes long.
class Index {
  public:
    std::size_t size() const { return count_; }

    template <typename Same> u32 find(u32 hash, Same same) const {
        const u32 found = slots_.find(hash, same);
        return found || !old_.slots ? found : old_.find(hash, same);
    }

    void insert(u32 hash, u32 id) {
        if ((count_ + 1) * 4 > slots_.size * 3) grow();
        if (old_.slots) move(8);
        slots_.place({hash, id});
        ++count_;
    }

    void erase(u32 hash, u32 id) {
        if (!slots_.erase(hash, id) && !old_.bury(hash, id)) return;
        if (--count_) return;
        slots_ = Slots();
        old_ = Slots();
    }

    template <typename Visit> void each(Visit visit) const {
        slots_.each(visit);
        old_.each(visit);
    }

  private:
    static constexpr u32 MOVED = ~0u; // in the old slots: there was something

    struct Slot {
        u32 hash, id;
    };
    struct Free {
        void operator()(Slot *slots) const { std::free(slots); }
    };
    struct Slots {
        std::unique_ptr<Slot[], Free> slots;
        std::size_t size = 0;

        Slots() = default;
        explicit Slots(std::size_t n) : slots(static_cast<Slot *>(std::calloc(n, sizeof(Slot)))), size(n) {
            if (!slots) throw std::bad_alloc();
        }
        std::size_t mask() const { return size - 1; }

        template <typename Same> u32 find(u32 hash, Same same) const {
            if (!size) return 0;
            for (std::size_t i = hash & mask();; i = (i + 1) & mask()) {
                const Slot &slot = slots[i];
                if (slot.id == 0) return 0;
                if (slot.hash == hash && slot.id != MOVED && same(slot.id)) return slot.id;
            }
        }
        void place(Slot slot) {
            std::size_t i = slot.hash & mask();
            while (slots[i].id) i = (i + 1) & mask();
            slots[i] = slot;
        }
        // Where a record is, `size` if it is not there.
        std::size_t at(u32 hash, u32 id) const {
            if (!size) return size;
            for (std::size_t i = hash & mask(); slots[i].id; i = (i + 1) & mask())
                if (slots[i].id == id) return i;
            return size;
        }
        bool bury(u32 hash, u32 id) {
            const std::size_t i = at(hash, id);
            if (i == size) return false;
            slots[i].id = MOVED;
            return true;
        }
        // Takes a record out and moves back what would no longer be found.
        bool erase(u32 hash, u32 id) {
            std::size_t i = at(hash, id);
            if (i == size) return false;
            for (std::size_t next = (i + 1) & mask(); slots[next].id; next = (next + 1) & mask()) {
                const std::size_t home = slots[next].hash & mask();
                const bool stays = i <= next ? (i < home && home <= next) : (i < home || home <= next);
                if (stays) continue;
                slots[i] = slots[next];
                i = next;
            }
            slots[i] = {0, 0};
            return true;
        }
        template <typename Visit> void each(Visit visit) const {
            for (std::size_t i = 0; i < size; ++i)
                if (slots[i].id && slots[i].id != MOVED) visit(slots[i].id);
        }
    };

    void grow() {
        if (old_.slots) move(old_.size);
        old_ = std::move(slots_);
        slots_ = Slots(old_.size ? old_.size * 2 : 8);
        moved_ = 0;
        if (!old_.size) old_ = Slots();
    }

    void move(std::size_t limit) {
        for (; limit && moved_ < old_.size; ++moved_, --limit) {
            Slot &slot = old_.slots[moved_];
            if (!slot.id || slot.id == MOVED) continue;
            slots_.place(slot);
            slot.id = MOVED;
        }
        if (moved_ == old_.size) old_ = Slots();
    }

    Slots slots_, old_;
    std::size_t moved_ = 0, count_ = 0;
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
