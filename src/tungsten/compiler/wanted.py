"""What should be: the results of all roots, gathered by what they are about.

Each *producer*, a root query applied to a resource, contributes its output; an object or a
field may have several producers (networks that list the same route target), and exists as long
as one is left. Should they disagree about the content, the least of them by name decides, so
that it does not depend on who came first. An object's *provenance* names the resource of its
least producer: ``virtual-network:<uuid>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from tungsten.compiler.derived import Claim, Derived, Object, Output, References
from tungsten.compiler.graph import type_name


class Producer(NamedTuple):
    """A root query of a resource."""

    type: str
    uuid: str
    query: str

    @property
    def provenance(self) -> str:
        """How records name what they were derived from."""
        return f"{self.type}:{self.uuid}"


class ObjectKey(NamedTuple):
    """A derived object, by its name."""

    type: str
    fq_name: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.type} {':'.join(self.fq_name)}"


class FieldKey(NamedTuple):
    """Derived references: a field of an object that people wrote."""

    holder: str
    field: str

    def __str__(self) -> str:
        return f"{self.field} of {self.holder}"


class ClaimKey(NamedTuple):
    """A number: the space it is from and the resource that holds it."""

    space: str
    owner: str

    def __str__(self) -> str:
        return f"number of {self.space} for {self.owner}"


Key = ObjectKey | FieldKey | ClaimKey
D = TypeVar("D", Object, References, Claim)


@dataclass(frozen=True)
class Want(Generic[D]):
    """A derived thing and the least of those who want it."""

    derived: D
    producer: Producer


def key_of(derived: Derived) -> Key:
    """What a derived thing is about."""
    match derived:
        case Object(resource):
            return ObjectKey(type_name(type(resource)), tuple(resource.fq_name))
        case References(holder, field):
            return FieldKey(holder, field)
        case Claim(pool=pool, owner=owner):
            return ClaimKey(pool.space, owner)


class Wanted:
    """All outputs, by producer and by key.

    Outputs are kept as the queries returned them. Most keys have one producer, which then stands
    for itself.
    """

    def __init__(self) -> None:
        self._outputs: dict[Producer, Output] = {}
        self._producers: dict[Key, Producer | set[Producer]] = {}
        #: the output that was looked into last, by key: all of a large one may be asked for
        self._opened: tuple[Output, dict[Key, Derived]] = ((), {})

    def replace(self, producer: Producer, output: Output) -> set[Key]:
        """Take over a producer's output; returns the keys about which it says something else.

        Raises ValueError when an output says two things about one key.
        """
        new: dict[Key, Derived] = {}
        for derived in output:
            if new.setdefault(key_of(derived), derived) is not derived:
                raise ValueError(f"{producer} derives {key_of(derived)} twice")
        old = self._by_key(self._outputs.pop(producer, ()))
        if new:
            self._outputs[producer] = output
        for key in old.keys() - new.keys():
            self._leave(key, producer)
        for key in new.keys() - old.keys():
            self._join(key, producer)
        return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}

    def _join(self, key: Key, producer: Producer) -> None:
        others = self._producers.get(key)
        if others is None:
            self._producers[key] = producer
        elif isinstance(others, set):
            others.add(producer)
        else:
            self._producers[key] = {others, producer}

    def _leave(self, key: Key, producer: Producer) -> None:
        producers = self._producers[key]
        if isinstance(producers, set):
            producers.discard(producer)
            if len(producers) == 1:
                self._producers[key] = producers.pop()
        else:
            del self._producers[key]

    def keys(self) -> list[Key]:
        """All keys that somebody wants."""
        return list(self._producers)

    def __contains__(self, key: Key) -> bool:
        return key in self._producers

    def object(self, key: ObjectKey) -> Want[Object] | None:
        """The object that should have this name."""
        producer, derived = self._least(key)
        if producer is None or not isinstance(derived, Object):
            return None
        return Want(derived, producer)

    def references(self, key: FieldKey) -> References | None:
        """The references that should be in this field."""
        _, derived = self._least(key)
        return derived if isinstance(derived, References) else None

    def claim(self, key: ClaimKey) -> Claim | None:
        """The claim that should be there."""
        _, derived = self._least(key)
        return derived if isinstance(derived, Claim) else None

    def _least(self, key: Key) -> tuple[Producer, Derived] | tuple[None, None]:
        producers = self._producers.get(key)
        if producers is None:
            return None, None
        producer = min(producers) if isinstance(producers, set) else producers
        return producer, self._by_key(self._outputs[producer])[key]

    def _by_key(self, output: Output) -> dict[Key, Derived]:
        if self._opened[0] is not output:
            self._opened = (output, {key_of(derived): derived for derived in output})
        return self._opened[1]
