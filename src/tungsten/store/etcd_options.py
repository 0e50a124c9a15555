"""How to reach an etcd cluster. Apart from the engine, which needs libraries that may be absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdOptions:
    """How to reach etcd; all files are read when the store is opened.

    ``ca`` switches TLS on; ``certificate`` and ``key`` are shown to the servers;
    ``credentials`` holds a line ``user:password``. ``allow_unpatched`` opens clusters of versions
    whose authorization is known to be broken (:data:`tungsten.store.etcd_client.PATCHED`).
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    credentials: Path | None = None
    allow_unpatched: bool = False
