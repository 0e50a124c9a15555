// What the binding's files share.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "reader.hpp"
#include "replication.hpp"
#include "ribout.hpp"

namespace tungsten {

namespace nb = nanobind;

// The RIB lives as long as somebody in Python refers to something of it.
using Shared = std::shared_ptr<Rib>;

struct Core {
    Shared rib = std::make_shared<Rib>();
};

// A counted reference to a set of attributes.
struct AttributesHandle {
    Shared rib;
    u32 id;
    AttributesHandle(Shared owner, u32 number) : rib(std::move(owner)), id(number) {}
    ~AttributesHandle() { rib->attributes.release(id); }
    AttributesHandle(const AttributesHandle &) = delete;
    AttributesHandle &operator=(const AttributesHandle &) = delete;
};

inline Octets octets_of(const nb::bytes &b) {
    return {reinterpret_cast<const u8 *>(b.c_str()), b.size()};
}
inline nb::bytes bytes_of(Octets o) { return nb::bytes(reinterpret_cast<const char *>(o.data), o.size); }
inline nb::bytes bytes_of(const std::string &s) { return nb::bytes(s.data(), s.size()); }

// Octets that must have a length, or a ValueError that names them.
Octets sized(const nb::bytes &b, std::size_t size, const char *what);
std::vector<u64> communities_of(const std::vector<nb::bytes> &all);
u32 checked_table(const Rib &rib, u32 table);
u32 checked_source(const Rib &rib, u32 source);

void bind_rib(nb::module_ &m);
void bind_speaking(nb::module_ &m);

} // namespace tungsten
