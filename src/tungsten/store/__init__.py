"""The configuration store: records in transactions, with revisions and watches.

:mod:`tungsten.store.base` is the contract, :mod:`tungsten.store.sqlite` the embedded engine,
:mod:`tungsten.store.etcd` the cluster engine, :mod:`tungsten.store.records` the way between
records and the model's resources.
"""

from __future__ import annotations

from pathlib import Path

from tungsten.store.base import Store, StoreUnusable
from tungsten.store.etcd_options import EtcdOptions
from tungsten.store.sqlite import SqliteStore

EXPECTED = "sqlite:FILE or etcd:HOST:PORT[,HOST:PORT...]/PREFIX expected"


def open_store(url: str, *, readonly: bool = False, etcd: EtcdOptions | None = None) -> Store:
    """Open the store that a URL names: ``sqlite:FILE`` or ``etcd:HOST:PORT[,...]/PREFIX``.

    ``etcd`` says how to reach etcd. Raises :class:`~tungsten.store.base.StoreUnusable`.
    """
    engine, _, rest = url.partition(":")
    if engine == "sqlite" and rest:
        return SqliteStore.open(Path(rest), readonly=readonly)
    if engine != "etcd" or not rest:
        raise StoreUnusable(f"{url!r} names no store: {EXPECTED}")
    try:
        from tungsten.store.etcd import EtcdStore
    except ImportError as error:
        raise StoreUnusable(
            f"{url!r} needs {error.name}, which is not installed: install tungsten[etcd]"
        ) from error
    return EtcdStore.open(rest, readonly=readonly, options=etcd)


__all__ = ["EtcdOptions", "SqliteStore", "Store", "StoreUnusable", "open_store"]
