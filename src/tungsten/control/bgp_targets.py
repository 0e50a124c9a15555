"""Route target constraint (RFC 4684): which routes a neighbour asked for, and which we ask for.

A neighbour's wishes (:class:`Wishes`) are prefixes of origin AS and route target; a route is
wanted if one of its targets is. The default wish wants all. :class:`OwnWishes` keeps in
``bgp.rtarget.0`` one route for each target that an instance here imports, so that neighbours
send us what we can use.
"""

from __future__ import annotations

from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.nlri import RouteTarget

from .instances import Instance, Instances
from .paths import ATTRIBUTES, Path, Protocol, Source
from .tables import Table


class Wishes:
    """What one neighbour asked for. ``changed`` gathers targets since it was last taken.

    ``changed`` is None when any target may be concerned.
    """

    def __init__(self) -> None:
        self.changed: set[bytes] | None = set()
        self._targets: dict[bytes, int] = {}
        self._partial: set[bytes] = set()

    def __len__(self) -> int:
        return sum(self._targets.values()) + len(self._partial)

    def add(self, wish: RouteTarget) -> None:
        """A wish came."""
        target = wish.target
        if target is None:
            self._partial.add(wish.prefix)
            self.changed = None
        else:
            self._targets[target] = self._targets.get(target, 0) + 1
            self._note(target)

    def remove(self, wish: RouteTarget) -> None:
        """A wish that had come was taken back."""
        target = wish.target
        if target is None:
            self._partial.discard(wish.prefix)
            self.changed = None
            return
        left = self._targets.get(target, 0) - 1
        if left > 0:
            self._targets[target] = left
        else:
            self._targets.pop(target, None)
        self._note(target)

    def take_changed(self) -> set[bytes] | None:
        """What has changed since this was last called."""
        changed, self.changed = self.changed, set()
        return changed

    def wants(self, targets: frozenset[bytes]) -> bool:
        """Whether a route with these targets is wanted."""
        if not self._targets.keys().isdisjoint(targets):
            return True
        return any(_covers(wish, target) for wish in self._partial for target in targets)

    def _note(self, target: bytes) -> None:
        if self.changed is not None:
            self.changed.add(target)


def _covers(wish: bytes, target: bytes) -> bool:
    """Whether a partial wish (length 0, or 32 to 95 bits) covers a target of any origin AS."""
    bits = wish[0] - 32
    if bits <= 0:
        return True
    wanted = int.from_bytes(wish[5:].ljust(8, b"\0"), "big")
    return (int.from_bytes(target, "big") ^ wanted) >> (64 - bits) == 0


class OwnWishes:
    """The wishes of this node, in ``bgp.rtarget.0``: what its instances import, no more."""

    def __init__(self, table: Table, instances: Instances) -> None:
        self._table = table
        self._instances = instances
        self._source = Source("rtarget", Protocol.LOCAL)
        self._asn = 0
        self._router_id = b""
        self._imports: dict[str, frozenset[bytes]] = {}
        instances.on_created.append(self._follow)
        instances.on_changed.append(self._follow)
        instances.on_deleted.append(self._follow)
        for instance in instances:
            self._follow(instance)

    def identify(self, asn: int, router_id: bytes) -> None:
        """Speak for this AS and identifier."""
        if (asn, router_id) == (self._asn, self._router_id):
            return
        targets = {target for imports in self._imports.values() for target in imports}
        for target in targets:
            self._take_back(target)
        self._asn, self._router_id = asn, router_id
        for target in targets:
            self._say(target)

    def _follow(self, instance: Instance) -> None:
        """An instance came, went or changed."""
        lives = self._instances.get(instance.name) is instance
        now = instance.config.imports if lives else frozenset()
        before = self._imports.pop(instance.name, frozenset())
        if now:
            self._imports[instance.name] = now
        for target in now - before:
            self._say(target)
        for target in before - now:
            if not self._instances.importers(target):
                self._take_back(target)

    def _say(self, target: bytes) -> None:
        if self._asn:
            attributes = ATTRIBUTES.intern(PathAttributes(next_hop=self._router_id))
            self._table.add(self._key(target), Path(self._source, attributes))

    def _take_back(self, target: bytes) -> None:
        if self._asn:
            self._table.withdraw(self._key(target), self._source)

    def _key(self, target: bytes) -> bytes:
        return RouteTarget.of(self._asn, target).key
