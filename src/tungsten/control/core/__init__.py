"""The core of the tables: compiled where it was built, else in Python.

The Python core (:mod:`tungsten.control.tables`, ``replication``, ``bgp_ribout``) runs everywhere
and says what is right; the compiled one (``core/native``, in C++) does the same many times
faster, in less memory. Tests hold them against each other.

Which one runs is the setting ``control.core``, or the environment variable
``TUNGSTEN_CONTROL_CORE`` before it: ``compiled``, ``python``, or ``auto``, which takes the compiled
one if it can be imported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from tungsten.control.tables import Rib

CORES = ("auto", "compiled", "python")
VARIABLE = "TUNGSTEN_CONTROL_CORE"


@dataclass(frozen=True, slots=True)
class Core:
    """The core in use. ``reason`` says why it is not the compiled one, if nobody asked for that."""

    name: str
    make_rib: type[Rib]
    reason: str = ""


def choose(setting: str = "auto") -> Core:
    """The core that a setting names.

    ``ValueError`` for another word, and for ``compiled`` where it cannot be had.
    """
    asked = os.environ.get(VARIABLE) or setting
    if asked not in CORES:
        raise ValueError(f"control core {asked!r}; expected one of {', '.join(CORES)}")
    if asked == "python":
        return Core("python", Rib)
    try:
        from .compiled import CompiledRib
    except ImportError as error:
        if asked == "compiled":
            raise ValueError(f"the compiled control core cannot be used: {error}") from error
        return Core("python", Rib, str(error))
    return Core("compiled", CompiledRib)
