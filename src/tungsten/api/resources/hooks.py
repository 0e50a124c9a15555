"""The places at which the rules of a type are asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tungsten.api.transactions import Write
from tungsten.model import Resource

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True)
class Hooks(Generic[R]):
    """Rules of one type; each may change the new object, or raise to refuse it.

    ``name`` runs before the name of a new object is looked up, ``create`` when it is complete,
    ``update`` with the stored and the new state, ``delete`` before it is looked at for what
    holds it. ``goes_with`` tells the uuids of what is deleted after it.
    """

    name: tuple[Callable[[Write, R], None], ...] = ()
    create: tuple[Callable[[Write, R], None], ...] = ()
    update: tuple[Callable[[Write, R, R], None], ...] = ()
    delete: tuple[Callable[[Write, R], None], ...] = ()
    goes_with: tuple[Callable[[Write, R], list[str]], ...] = ()
