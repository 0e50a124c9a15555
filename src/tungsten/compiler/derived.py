"""What root queries return: the objects, references and numbers that should be.

These are values of the model without uuids: references name their target (``to``), and the
output (:mod:`tungsten.compiler.output`) finds or makes what is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tungsten.compiler.pools import Pool
from tungsten.model import Ref, Resource


@dataclass(frozen=True, slots=True)
class Object:
    """An object that should exist with this content.

    ``resource`` has a fq_name, and a ``parent_uuid`` unless it hangs below the root. A
    ``shared`` object is a mere name that people, too, may create and use: if they did, theirs
    is left alone.
    """

    resource: Resource
    shared: bool = False


@dataclass(frozen=True, slots=True)
class References:
    """References that an object written by people should have in one field.

    They join those that people wrote there, if people may: see
    :data:`tungsten.compiler.rules.OWNED`.
    """

    holder: str
    field: str
    refs: tuple[Ref[Any], ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A number of ``pool`` that ``owner`` should have, and keep.

    The number will be in the name of a root object: of type ``type``, its only name ``prefix``
    and the number. As long as there is such an object, the number is not given to another.
    """

    pool: Pool
    owner: str
    type: str
    prefix: str


Derived = Object | References | Claim

#: What a root query returns.
Output = tuple[Derived, ...]
