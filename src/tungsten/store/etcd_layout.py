"""Which layout a store in etcd has, who may use it, and how it becomes one of the next layout.

The key ``layout`` below the store's prefix says it:

============  =====================================================================
``N``         the store has layout N: programs of layout N use it, no others do
``N>M``       it is being made one of layout M: nobody uses it
============  =====================================================================

The mark is looked at when a store is opened, every second after that, and by each transaction: it
is one of the conditions that etcd checks (:meth:`tungsten.store.etcd_transaction.Plan.request`).
So a program that was running when the layout changed cannot write one thing more, however late it
notices.

An upgrade (:func:`upgrade`, ``tungsten db upgrade``) goes one layout at a time: mark, do the step
of :data:`STEPS`, mark. A step may be killed and run again, so whoever finds ``N>M`` may finish it.
There is no way back but a backup.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from aetcd.rpc import rpc_pb2 as pb

from tungsten.store.base import StoreUnavailable, StoreUnusable, TransactionTooLarge
from tungsten.store.etcd_client import Access, Connection, first_answer, is_patched, parse
from tungsten.store.etcd_keys import Keys
from tungsten.store.etcd_options import EtcdOptions
from tungsten.store.etcd_transaction import absent, get, holds, put

#: The layout that this code reads and writes (see :mod:`tungsten.store.etcd_keys`).
LAYOUT = 1

#: How a store of a layout becomes one of the next; may be killed at any time and run again.
STEPS: dict[int, Callable[[Connection, Keys], None]] = {}

#: Comparisons and operations that are tried for, and what every etcd takes.
MANY, FEW = 8192, 128

_MARK = re.compile(rb"([0-9]{1,6})(?:>([0-9]{1,6}))?")


def mark(layout: int) -> bytes:
    """What the key says of a store of a layout."""
    return str(layout).encode()


def _parse(found: bytes) -> tuple[int, int | None]:
    """The layout, and the one that it is becoming. Raises StoreUnusable."""
    match = _MARK.fullmatch(found)
    if match is None:
        raise StoreUnusable(f"its layout is {found[:20]!r}, which no version of this program wrote")
    return int(match[1]), None if match[2] is None else int(match[2])


def refusal(keys: Keys, found: bytes | None, own: int) -> str:
    """Why a program of the layout ``own`` does not use a store with a mark; empty when it does."""
    where = f"the store {keys.base.decode()} in etcd"
    if found == mark(own):
        return ""
    if found is None:
        return f"{where} is gone: somebody removed it"
    try:
        layout, becoming = _parse(found)
    except StoreUnusable as error:
        return f"{where}: {error}"
    if becoming is not None:
        return (
            f"{where} is being upgraded from layout {layout} to {becoming}; when nothing does so,"
            " finish it with `tungsten db upgrade` of the newer version"
        )
    if layout > own:
        return (
            f"{where} has layout {layout} of a newer version; this one reads layout {own}:"
            " update this program"
        )
    return (
        f"{where} has layout {layout} of an older version; this one reads layout {own}:"
        " take a backup with the old one, then run `tungsten db upgrade`"
    )


def prepare(connection: Connection, keys: Keys, options: EtcdOptions, *, readonly: bool) -> int:
    """Check a cluster and its layout, or make the store; how much etcd takes in a transaction.

    Any number of processes may do so at once. Raises StoreUnusable.
    """
    check_version(connection, options)
    made = pb.TxnRequest(
        compare=[absent(keys.layout)],
        success=[] if readonly else [put(keys.layout, mark(LAYOUT))],
        failure=[get(keys.layout)],
    )
    answer = connection.txn(made)
    if answer.succeeded and readonly:
        raise StoreUnusable(
            f"{keys.base.decode()} is not in etcd yet; the API makes it when it starts"
        )
    if not answer.succeeded:
        refused = refusal(keys, answer.responses[0].response_range.kvs[0].value, LAYOUT)
        if refused:
            raise StoreUnusable(refused)
    try:
        connection.txn(pb.TxnRequest(compare=[absent(keys.layout)] * MANY))
    except TransactionTooLarge:
        return FEW
    return MANY


def check_version(connection: Connection, options: EtcdOptions) -> None:
    """Refuse an etcd whose authorization has known holes. Raises StoreUnusable."""
    version = connection.version()
    if not options.allow_unpatched and not is_patched(version):
        raise StoreUnusable(
            f"etcd at {connection.endpoint} is version {version}, whose authorization can be"
            " passed by; run 3.5.33, 3.6.14 or newer, or set store.allow_unpatched_etcd for a"
            " cluster that nobody else can reach"
        )


def upgrade(rest: str, options: EtcdOptions) -> tuple[int, int]:
    """Make the store ``HOST:PORT[,...]/PREFIX`` one of :data:`LAYOUT`; the layout it had, and has.

    No process can use the store meanwhile: those that run are refused. Raises StoreUnusable.
    """
    endpoints, prefix = parse(rest)
    keys = Keys(prefix)

    def run(connection: Connection) -> tuple[int, int]:
        check_version(connection, options)
        return _upgrade(connection, keys)

    try:
        result: tuple[int, int] = first_answer(Access(endpoints, options), run)
    except StoreUnavailable as error:
        raise StoreUnusable(f"etcd cannot be opened: {error}") from error
    return result


def _upgrade(connection: Connection, keys: Keys) -> tuple[int, int]:
    kvs = connection.range(pb.RangeRequest(key=keys.layout)).kvs
    if not kvs:
        raise StoreUnusable(f"{keys.base.decode()} is not in etcd, so there is nothing to upgrade")
    found = kvs[0].value
    first, becoming = _parse(found)
    layout = first
    while layout != LAYOUT:
        step = STEPS.get(layout)
        if layout > LAYOUT or step is None or becoming not in (None, layout + 1):
            raise StoreUnusable(
                f"{refusal(keys, found, LAYOUT)}; this version has no step from {found.decode()}"
            )
        going = f"{layout}>{layout + 1}".encode()
        if becoming is None:
            _mark(connection, keys, found, going)
        step(connection, keys)
        layout, becoming = layout + 1, None
        found = mark(layout)
        _mark(connection, keys, going, found)
    if becoming is not None:
        raise StoreUnusable(refusal(keys, found, LAYOUT))
    return first, layout


def _mark(connection: Connection, keys: Keys, old: bytes, new: bytes) -> None:
    """Replace the mark. Raises StoreUnusable when another process was quicker."""
    request = pb.TxnRequest(compare=[holds(keys.layout, old)], success=[put(keys.layout, new)])
    if not connection.txn(request).succeeded:
        raise StoreUnusable(f"the layout of {keys.base.decode()} is being changed by another")
