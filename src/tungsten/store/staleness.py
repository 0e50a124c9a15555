"""How old what was read may be.

A cluster store whose etcd cannot be asked answers reads from what it last knew. Who passes such an
answer on has to say so.
"""

from __future__ import annotations

from contextvars import ContextVar

#: Of the last read in this context: None, it was current when it was made; else for how many
#: seconds the store had not known to be current.
READ_AGE: ContextVar[float | None] = ContextVar("tungsten_store_read_age", default=None)
