// What routing policies make of the paths of a table: tungsten.control.routing_policy, which is asked
// once for each set of attributes, speaker and choice of prefix conditions.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "attributes.hpp"

namespace tungsten {

// Prefixes of `least` to `most` bits within the first `length` bits of an address.
struct PrefixMatch {
    u8 length, least, most;
    u8 address[16];

    bool fits(Octets key) const;
};

// Who says a path, as far as policies ask.
struct Speaker {
    u16 source, sub_protocol;
    u8 protocol; // the source's rank, and bit 3 for BGP
    bool replicated;
};

// The policies of an instance as they act in one of its tables.
class TablePolicy {
  public:
    // The attributes that result, owned by whoever asked; 0: the path is rejected. The bits say
    // which conditions the route fits, number 0 first.
    using Judge = std::function<u32(u32 attributes, const Speaker &speaker, const std::string &fits)>;

    // Without policies it gives each path back what was said.
    TablePolicy() = default;
    TablePolicy(u32 generation, std::vector<std::vector<PrefixMatch>> conditions, Judge judge)
        : generation_(generation), conditions_(std::move(conditions)), judge_(std::move(judge)) {}

    bool judges() const { return static_cast<bool>(judge_); }
    // Which conditions a route fits, as a number.
    u32 kind_of(Octets key);
    // The attributes that result, owned by whoever asks; 0: rejected. Counts in `asked` when the judge
    // had to be asked.
    u32 verdict(AttributeStore &store, u32 attributes, const Speaker &speaker, u32 kind, u32 &asked);

  private:
    u32 generation_ = 0;
    std::vector<std::vector<PrefixMatch>> conditions_;
    Judge judge_;
    std::map<std::string, u32> kinds_;
    std::vector<const std::string *> fits_;
    std::string scratch_;
};

} // namespace tungsten
