"""Who asks: the identity and roles of whoever sent a request.

The front (:mod:`tungsten.api.front`) finds out, once per request; everything below asks
:data:`CALLER`. Where nothing was set, the system itself asks, which may do everything.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Caller:
    """A user with roles in a project, or the system.

    Ids are uuids with dashes where they are uuids at all. ``admin`` may do everything,
    ``reader`` may see everything. ``expires`` is when that ends, in seconds since the epoch.
    """

    user: str = ""
    user_id: str = ""
    roles: tuple[str, ...] = ()
    project: str = ""
    project_id: str = ""
    domain: str = ""
    domain_id: str = ""
    admin: bool = False
    reader: bool = False
    expires: float = inf

    @property
    def sees_all(self) -> bool:
        """Whether no object is hidden from the caller."""
        return self.admin or self.reader


SYSTEM = Caller(admin=True)

CALLER: ContextVar[Caller] = ContextVar("caller", default=SYSTEM)
"""Who sent the request that is being answered."""


def dashed(text: str) -> str:
    """A uuid of 32 digits with its dashes; any other text as it is."""
    if len(text) != 32 or not all(one in "0123456789abcdefABCDEF" for one in text):
        return text
    low = text.lower()
    return "-".join((low[:8], low[8:12], low[12:16], low[16:20], low[20:]))


def same_id(one: str, other: str) -> bool:
    """Whether two ids are the same but for dashes and case."""
    return bool(one) and one.replace("-", "").lower() == other.replace("-", "").lower()
