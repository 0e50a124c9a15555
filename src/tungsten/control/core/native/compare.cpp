// Which of several paths is better: tungsten.control.paths, step by step.
#include <algorithm>

#include "tables.hpp"

namespace tungsten {

namespace {

template <typename T> int three_way(T a, T b) { return a < b ? -1 : a > b; }

u32 preference(const Attributes &a) {
    return a.has(HAS_LOCAL_PREF) ? a.local_preference : DEFAULT_LOCAL_PREFERENCE;
}

Octets octets(const std::string &text) {
    return {reinterpret_cast<const u8 *>(text.data()), text.size()};
}

} // namespace

int Rib::compare_cost(const Path &a, const Path &b) const {
    if (a.attributes == b.attributes && a.flags == b.flags) return 0;
    const Attributes &x = attributes[a.attributes], &y = attributes[b.attributes];
    if (a.feasible() != b.feasible()) return a.feasible() ? -1 : 1;
    if (const int c = three_way(preference(y), preference(x))) return c;
    if (x.has(LEAF) != y.has(LEAF)) return x.has(LEAF) ? 1 : -1;
    if (x.has(STICKY) != y.has(STICKY)) return x.has(STICKY) ? -1 : 1;
    if (const int c = three_way(y.mobility, x.mobility)) return c;
    const bool llgr_a = (a.flags & LLGR_STALE_FLAG) || x.has(LLGR),
               llgr_b = (b.flags & LLGR_STALE_FLAG) || y.has(LLGR);
    if (llgr_a != llgr_b) return llgr_a ? 1 : -1;
    if (!(x.has(HAS_ORIGIN_VN_PATH) && y.has(HAS_ORIGIN_VN_PATH)))
        if (const int c = three_way(x.path_length, y.path_length)) return c;
    if (const int c = three_way(x.origin, y.origin)) return c;
    if (x.neighbor_as && x.neighbor_as == y.neighbor_as) return three_way(x.med, y.med);
    return 0;
}

int Rib::compare(const Path &a, const Path &b) {
    if (const int cost = compare_cost(a, b)) return cost;
    const Attributes &x = attributes[a.attributes], &y = attributes[b.attributes];
    const Source &s = sources[a.source], &t = sources[b.source];
    if (const int c = three_way(a.flags & ALIASED, b.flags & ALIASED)) return c;
    const u32 chained_a = x.has(HAS_ORIGIN_VN_PATH) ? x.path_length : 0,
              chained_b = y.has(HAS_ORIGIN_VN_PATH) ? y.path_length : 0;
    if (const int c = three_way(chained_a, chained_b)) return c;
    if (s.local != t.local) return s.local ? -1 : 1;
    if (const int c = three_way(s.rank, t.rank)) return c;
    if (s.bgp != t.bgp) return s.bgp ? 1 : -1;
    if (s.external != t.external) return s.external ? -1 : 1;
    if (const int c = three_way(path_id_of(a), path_id_of(b))) return c;
    const Octets id_a = x.has(HAS_ORIGINATOR) ? Octets{x.originator, 4} : octets(s.router_id),
                 id_b = y.has(HAS_ORIGINATOR) ? Octets{y.originator, 4} : octets(t.router_id);
    if (const int c = compare_octets(id_a, id_b)) return c;
    if (const int c = three_way(x.clusters, y.clusters)) return c;
    if (const int c = compare_octets(octets(s.address), octets(t.address))) return c;
    if (a.primary() != b.primary()) return a.primary() ? -1 : 1;
    if (!a.primary() && a.origin != b.origin) {
        const Route &from_a = route(a.origin), &from_b = route(b.origin);
        if (const int c = compare_octets(octets(tables[from_a.table].name), octets(tables[from_b.table].name)))
            return c;
        if (const int c = compare_octets(from_a.key(), from_b.key())) return c;
    }
    return compare_octets(octets(s.name), octets(t.name));
}

// Orders the paths just as Python's sort does for few of them (a run, then insertion by
// bisection): the steps up to MED do not always agree among three, and then the way matters.
void Rib::order(Route &r) {
    if (!r.path.next) return;
    std::vector<Path> &all = scratch_;
    all.clear();
    all.push_back(r.path);
    for (u32 each = r.path.next; each; each = more[each].next) all.push_back(more[each]);
    const std::size_t n = all.size();
    if (n < 64) {
        std::size_t run = 2;
        if (compare(all[1], all[0]) < 0) {
            while (run < n && compare(all[run], all[run - 1]) < 0) ++run;
            std::reverse(all.begin(), all.begin() + static_cast<long>(run));
        } else {
            while (run < n && compare(all[run], all[run - 1]) >= 0) ++run;
        }
        for (; run < n; ++run) {
            std::size_t low = 0, high = run;
            while (low < high) {
                const std::size_t middle = (low + high) / 2;
                if (compare(all[run], all[middle]) < 0)
                    high = middle;
                else
                    low = middle + 1;
            }
            std::rotate(all.begin() + static_cast<long>(low), all.begin() + static_cast<long>(run),
                        all.begin() + static_cast<long>(run) + 1);
        }
    } else {
        std::stable_sort(all.begin(), all.end(), [this](const Path &a, const Path &b) { return compare(a, b) < 0; });
    }
    u32 at = r.path.next;
    for (std::size_t i = 0; i < n; ++i) {
        Path &place = i ? more[at] : r.path;
        const u32 next = place.next;
        place = all[i];
        place.next = next;
        if (i) at = next;
    }
}

void Rib::equal_cost(Route &r, std::vector<Path> &out) {
    out.clear();
    if (!r.path.attributes || !r.path.feasible()) return;
    out.push_back(r.path);
    for (u32 each = r.path.next; each; each = more[each].next) {
        const Path &path = more[each];
        if (path.feasible() && compare_cost(r.path, path) == 0) out.push_back(path);
    }
}

} // namespace tungsten
