"""Routing instances: which exist, what they import and export, whose network they are.

An instance exists while its ``routing-instance`` object does; the master instance always
exists. What the configuration says of one is an :class:`InstanceConfig`, a value;
:class:`Instances` keeps the present values, the tables that go with them, and the two indexes
that replication reads: who imports a route target, and who exports it. A change of an instance
marks every route that the change can concern, whatever its age, so that copies follow.

A ``connection`` between two instances makes each import what the other exports (it is resolved
by whoever builds the values, :mod:`tungsten.control.config_instances`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import structlog

from tungsten.bgp.families import ERM_VPN, EVPN, INET, INET6, Family

from .replication import Replication
from .routing_policy import POLICY_FAMILIES, RoutingPolicy
from .tables import MASTER, Rib, Table

_log = structlog.get_logger("tungsten.control")


@dataclass(frozen=True, slots=True)
class InstanceConfig:
    """What the configuration says of an instance.

    ``imports`` and ``exports`` are route targets as extended communities. ``network`` is the
    fq_name of the virtual network joined by colons, ``network_index`` its network id (0: none
    yet), which stands for the network in origin-VN communities. ``policies`` judge the paths in
    its tables of prefixes, in this order. ``allow_transit``: routes of other networks pass through
    the network, from one service chain into another.
    """

    name: str
    imports: frozenset[bytes] = frozenset()
    exports: frozenset[bytes] = frozenset()
    network: str = ""
    network_index: int = 0
    policies: tuple[RoutingPolicy, ...] = ()
    allow_transit: bool = False


@dataclass(slots=True, eq=False)
class Instance:
    """An instance that exists. ``index`` numbers it within this process."""

    name: str
    index: int
    config: InstanceConfig
    tables: dict[Family, Table] = field(default_factory=dict)

    @property
    def is_master(self) -> bool:
        """Whether it is the fabric's own."""
        return self.name == MASTER


class Instances:
    """The instances that exist now.

    ``on_created`` and ``on_deleted`` are told of each after the fact, ``on_changed`` of one
    whose targets or network changed.
    """

    def __init__(self, rib: Rib) -> None:
        self.rib = rib
        self.replication: Replication = rib.replication_for(self)
        rib.replicator = self.replication
        self.on_created: list[Callable[[Instance], None]] = []
        self.on_changed: list[Callable[[Instance], None]] = []
        self.on_deleted: list[Callable[[Instance], None]] = []
        self._instances: dict[str, Instance] = {}
        self._by_table: dict[str, Instance] = {}
        self._importers: dict[bytes, set[Instance]] = {}
        self._exporters: dict[bytes, set[Instance]] = {}
        self._networks: dict[int, Counter[str]] = {}
        self._next_index = 1
        self.sub_cluster = b""
        self._make(InstanceConfig(MASTER), (INET, INET6))

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._instances.values())

    def get(self, name: str) -> Instance | None:
        """The instance of a name."""
        return self._instances.get(name)

    def of_table(self, table: Table) -> Instance | None:
        """The instance that a VRF table belongs to."""
        return self._by_table.get(table.name)

    def importers(self, target: bytes) -> set[Instance]:
        """Instances that import a route target. Not to be changed."""
        return self._importers.get(target, _NOBODY)

    def exporters(self, target: bytes) -> set[Instance]:
        """Instances that export a route target. Not to be changed."""
        return self._exporters.get(target, _NOBODY)

    def network_name(self, index: int) -> str:
        """Name of the virtual network of an index; empty when unknown or ambiguous."""
        names = self._networks.get(index)
        return next(iter(names)) if names and len(names) == 1 else ""

    def apply(self, wanted: Iterable[InstanceConfig]) -> None:
        """Make the instances exactly these (and the master)."""
        configs = {config.name: config for config in wanted}
        configs.setdefault(MASTER, InstanceConfig(MASTER))
        for name in [name for name in self._instances if name not in configs]:
            self.delete(name)
        for config in configs.values():
            self.put(config)

    def put(self, config: InstanceConfig) -> None:
        """Create an instance or change it."""
        instance = self._instances.get(config.name)
        if instance is None:
            trees = (ERM_VPN,) if self.rib.keeps_trees else ()
            self._make(config, (INET, INET6, EVPN, *trees))
            return
        if instance.config == config:
            return
        before, instance.config = instance.config, config
        self._index(instance, before, config)
        self.replication.follow(instance)
        if before.policies != config.policies:
            self._set_policies(instance)
        self._reconsider(instance, before, config)
        for tell in self.on_changed:
            tell(instance)

    def delete(self, name: str) -> None:
        """Remove an instance, its routes, and every copy made from or into them."""
        instance = self._instances.get(name)
        if instance is None:
            return
        gone = InstanceConfig(name)
        self._index(instance, instance.config, gone)
        self._reconsider(instance, instance.config, gone)
        self.replication.forget(instance)
        for table in instance.tables.values():
            self._by_table.pop(table.name, None)
        del self._instances[name]
        for table in instance.tables.values():
            self.rib.remove_table(table)
        for tell in self.on_deleted:
            tell(instance)
        _log.info("instance_deleted", instance=name)

    def set_sub_cluster(self, community: bytes) -> None:
        """Which sub-cluster this node is in, as the community of its routes; empty: none."""
        if community != self.sub_cluster:
            self.sub_cluster = community
            for instance in self:
                if instance.config.policies:
                    self._set_policies(instance)

    def _set_policies(self, instance: Instance) -> None:
        for family in POLICY_FAMILIES:
            instance.tables[family].set_policies(instance.config.policies, self.sub_cluster)

    def _make(self, config: InstanceConfig, families: tuple[Family, ...]) -> None:
        instance = Instance(config.name, self._next_index, config)
        self._next_index += 1
        self._instances[config.name] = instance
        for family in families:
            table = self.rib.vrf_table(config.name, family)
            instance.tables[family] = table
            self._by_table[table.name] = instance
        self._index(instance, InstanceConfig(config.name), config)
        self.replication.follow(instance)
        if config.policies:
            self._set_policies(instance)
        self._reconsider(instance, InstanceConfig(config.name), config)
        for tell in self.on_created:
            tell(instance)

    def _index(self, instance: Instance, before: InstanceConfig, after: InstanceConfig) -> None:
        for index, old, new in (
            (self._importers, before.imports, after.imports),
            (self._exporters, before.exports, after.exports),
        ):
            for target in old - new:
                members = index[target]
                members.discard(instance)
                if not members:
                    del index[target]
            for target in new - old:
                index.setdefault(target, set()).add(instance)
        if (before.network_index, before.network) != (after.network_index, after.network):
            self._rename_network(before, after)

    def _rename_network(self, before: InstanceConfig, after: InstanceConfig) -> None:
        """Keep names of network indexes by how many instances use them."""
        if before.network_index and before.network:
            names = self._networks[before.network_index]
            names[before.network] -= 1
            if not names[before.network]:
                del names[before.network]
            if not names:
                del self._networks[before.network_index]
        if after.network_index and after.network:
            self._networks.setdefault(after.network_index, Counter())[after.network] += 1

    def _reconsider(
        self, instance: Instance, before: InstanceConfig, after: InstanceConfig
    ) -> None:
        """Mark all routes whose copies depend on what changed."""
        targets = before.imports ^ after.imports | before.exports ^ after.exports
        if before.network_index != after.network_index or before.network != after.network:
            targets = before.imports | after.imports | before.exports | after.exports
        for target in targets:
            self.replication.reconsider_target(target)
        for table in instance.tables.values():
            self.replication.reconsider_table(table)


_NOBODY: set[Instance] = set()
