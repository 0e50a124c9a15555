"""The configuration store: records in transactions, with revisions and watches.

:mod:`tungsten.store.base` is the contract, :mod:`tungsten.store.sqlite` the embedded engine,
:mod:`tungsten.store.records` the way between records and the model's resources.
"""

from pathlib import Path

from tungsten.store.base import Store, StoreUnusable
from tungsten.store.sqlite import SqliteStore


def open_store(url: str, *, readonly: bool = False) -> Store:
    """Open the store that a URL names: ``sqlite:FILE``.

    Raises :class:`~tungsten.store.base.StoreUnusable`.
    """
    engine, _, rest = url.partition(":")
    if engine != "sqlite" or not rest:
        raise StoreUnusable(f"{url!r} names no store: sqlite:FILE expected")
    return SqliteStore.open(Path(rest), readonly=readonly)


__all__ = ["Store", "StoreUnusable", "open_store"]
