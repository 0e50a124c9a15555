"""Where a commit comes from: when it was made, for whom, and by what request.

Whoever answers requests says so in :data:`ORIGIN` before writing; a store stamps it with the
time of the commit and keeps it as long as it keeps the commit. What the system does of itself
(default objects, what is compiled) says :data:`SYSTEM`.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass

#: Most characters of each text that are kept.
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """``time`` is in seconds since the epoch, 0 when it is not known.

    ``user`` is empty when the server does not ask who its users are, ``request`` (method and
    path) and ``client`` (its address) when there was none.
    """

    time: float = 0.0
    user: str = ""
    request: str = ""
    client: str = ""

    def now(self) -> Origin:
        """The same at this moment, to the microsecond."""
        return Origin(round(time.time(), 6), self.user, self.request, self.client)


UNKNOWN = Origin()
SYSTEM = Origin(user="system")

ORIGIN: ContextVar[Origin] = ContextVar("tungsten_store_origin", default=SYSTEM)
"""What commits that are asked for in this context say of themselves."""


def origin_of(user: str, request: str, client: str) -> Origin:
    """The origin of what a request writes; its texts are cut to what is kept."""
    return Origin(user=user[:LONGEST], request=request[:LONGEST], client=client[:LONGEST])
