"""Every call to the store fails once, one after another: what was asked for happens whole or not.

Fault F-40, on both engines. A run has its n-th call fail, n = 1, 2, ..., until one has none left.
After each nothing differs from before, the store is whole, and in the end the same request does
all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.api.api_server import PROJECT, network_body
from tests.unit.store.store_samples import open_etcd, open_sqlite

from tungsten.api import batch, defaults, intent
from tungsten.api.audit import audit
from tungsten.api.transactions import Write, timestamp
from tungsten.model import RESOURCE_TYPES
from tungsten.store.base import Record, Snapshot, Store, Transaction

Json = dict[str, Any]
Ask = Callable[[Write], Any]


class Injected(Exception):
    """The store failed because a test wanted it to."""


class Failing:
    """A transaction whose n-th call raises; ``calls`` counts them."""

    def __init__(self, tx: Transaction, fail_at: int) -> None:
        self._tx = tx
        self._fail_at = fail_at
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._tx, name)
        if not callable(found):
            return found

        def call(*args: Any, **more: Any) -> Any:
            self.calls += 1
            if self.calls == self._fail_at:
                raise Injected(name)
            return found(*args, **more)

        return call


def everything(snapshot: Snapshot) -> tuple[list[Record], list[Any]]:
    records = [one for name in sorted(RESOURCE_TYPES) for one in snapshot.records(name)]
    return records, [sorted(snapshot.owned_claims(one.uuid)) for one in records]


def below(name: str, **more: Any) -> Json:
    return {"fq_name": [*PROJECT, name], "parent_type": "project", **more}


NETWORK = [{"to": [*PROJECT, "vn1"]}]
PORT = [{"to": [*PROJECT, "port1"]}]
MADE: list[tuple[str, Json]] = [
    ("project", {"fq_name": PROJECT, "parent_type": "domain"}),
    ("virtual-network", network_body("vn1", "10.0.1.0/24")),
    ("security-group", below("web")),
    ("virtual-machine-interface", below("port1", virtual_network_refs=NETWORK)),
    (
        "instance-ip",
        {
            "fq_name": ["address1"],
            "virtual_network_refs": NETWORK,
            "virtual_machine_interface_refs": PORT,
        },
    ),
    ("tag", below("tier=web", tag_type_name="tier", tag_value="web")),
]


def operations(*asked: Json) -> Ask:
    return lambda write: batch.run(write, {"operations": [*asked]}, "", drop=False)


def steps() -> Iterator[tuple[str, Ask]]:
    for type_, fields in MADE:
        yield (
            f"create {type_}",
            operations({"operation": "create", "type": type_, "object": fields}),
        )
    port = {"type": "virtual-machine-interface", "fq_name": [*PROJECT, "port1"]}
    group = {"security_group_refs": [{"to": [*PROJECT, "web"]}], "display_name": "x"}
    yield "change a port", operations({"operation": "update", **port, "object": group})
    more = {"virtual-network": {**network_body("vn2", "10.0.2.0/24")}}
    documents = intent.read({"apply": [more], "owner": "set", "prune": True})
    yield "apply a set", lambda write: intent.run(write, documents, "", drop=False)
    nothing = intent.read({"apply": [], "owner": "set", "prune": True})
    yield "prune a set", lambda write: intent.run(write, nothing, "", drop=False)
    gone = [{"operation": "delete", "type": t, "fq_name": f["fq_name"]} for t, f in MADE[::-1]]
    yield "delete it all", operations(*gone)


async def _stepwise(store: Store, what: str, ask: Ask) -> int:
    """Do something with each of its calls to the store failing once; how many there are."""
    before = await store.read(everything)
    at = 0
    while True:
        at += 1
        last: list[Failing] = []

        def run(tx: Transaction, at: int = at, last: list[Failing] = last) -> None:
            failing: Any = Failing(tx, at)
            last.append(failing)
            ask(Write(failing, timestamp()))

        try:
            await store.transact(run)
        except Injected:
            assert await store.read(everything) == before, (what, at)
            continue
        assert last[-1].calls < at, (what, at)
        assert await store.read(everything) != before, what
        assert await store.read(audit) == [], what
        return at - 1


@pytest.mark.parametrize("engine", [open_sqlite, open_etcd])
async def test_each_call_to_the_store_fails_once(
    engine: Callable[[Path], Any], tmp_path: Path
) -> None:
    stores = engine(tmp_path)
    try:
        await stores.writer.transact(lambda tx: defaults.ensure(Write(tx, timestamp())))
        start = await stores.writer.read(everything)
        counts = {what: await _stepwise(stores.writer, what, ask) for what, ask in steps()}
        assert all(count >= 3 for count in counts.values()), counts
        # All that was made is gone, numbers and addresses with it.
        assert await stores.writer.read(everything) == start
    finally:
        await stores.close()
