"""Operations beside those on single objects, as a table from path and method to a function.

Each takes what was asked (:class:`Asked`) and gives the JSON of the answer, or None for an
answer without a body. Which paths there are, the discovery document says too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tungsten.api import (
    authority,
    batch,
    beside,
    declarative,
    draft_review,
    int_pools,
    leases,
    relaxing,
    user_agent,
    views,
)
from tungsten.api.audit import audit
from tungsten.api.bodies import Json
from tungsten.api.callers import CALLER
from tungsten.api.engine import Engine
from tungsten.api.references import Mirror
from tungsten.api.transactions import Write
from tungsten.api.views import Hrefs
from tungsten.model import RESOURCE_TYPES
from tungsten.store.base import Snapshot


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says: its body, its query, and what hrefs of answers begin with."""

    body: Json = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    base: str = ""


Operation = Callable[[Engine, Asked], Awaitable[Json | None]]
NetworkOperation = Callable[[Engine, str, Json], Awaitable[Json | None]]


def _writes(change: Callable[[Write, Json], Any]) -> Operation:
    async def operation(engine: Engine, asked: Asked) -> Json | None:
        result: Json | None = await engine.write(lambda write: change(write, asked.body))
        return result

    return operation


async def _user_agent(engine: Engine, asked: Asked) -> Json | None:
    if user_agent.operation(asked.body) == user_agent.RETRIEVE:
        caller = CALLER.get()
        return await engine.read(lambda snapshot: user_agent.retrieve(snapshot, caller, asked.body))
    await engine.write(lambda write: user_agent.change(write, asked.body))
    return None


async def _int_owner(engine: Engine, asked: Asked) -> Json:
    return await engine.read(lambda snapshot: int_pools.owner(snapshot, asked.query))


async def _transaction(engine: Engine, asked: Asked) -> Json:
    drop = engine.drop_unknown
    return await engine.write(
        lambda write: batch.run(write, asked.body, asked.base, drop=drop),
        brief=batch.is_brief(asked.body),
    )


async def _review(engine: Engine, asked: Asked) -> Json:
    return await engine.write(lambda write: draft_review.review(write, asked.body, asked.base))


async def _manifests(engine: Engine, asked: Asked) -> Json:
    caller = CALLER.get()
    return await engine.read(lambda snapshot: beside.manifests(snapshot, caller, asked.body))


def _reads(look: Callable[[Snapshot, Json], Json]) -> Operation:
    async def operation(engine: Engine, asked: Asked) -> Json:
        body = asked.body or dict(asked.query)
        return await engine.read(lambda snapshot: look(snapshot, body))

    return operation


async def _apply(engine: Engine, asked: Asked) -> Json:
    return await declarative.apply(engine, asked.body, asked.base)


async def _plan(engine: Engine, asked: Asked) -> Json:
    return await declarative.foretell(engine, asked.body, asked.base)


async def _history(engine: Engine, asked: Asked) -> Json:
    return await declarative.changes(engine, asked.query)


async def _past(engine: Engine, asked: Asked) -> Json:
    return await declarative.stood(engine, asked.query)


async def _profile(engine: Engine, asked: Asked) -> None:
    """Profiles of the process are taken from outside; clients that ask are told nothing."""


async def _check(engine: Engine, asked: Asked) -> Json:
    """What does not hold in the store; nothing ever should."""
    return {"results": await engine.read(audit)}


async def _everything(engine: Engine, asked: Asked) -> Json:
    """All objects, a list for each type that has some."""

    def run(snapshot: Snapshot) -> Json:
        hrefs, found = Hrefs(asked.base, wanted=False), []
        for declared in RESOURCE_TYPES.values():
            mirror = Mirror(snapshot, declared, whole=True)
            shown = [views.body(one, hrefs, mirror) for one in snapshot.records(declared.name)]
            if shown:
                found.append(shown)
        return {"results": found}

    return await engine.read(run)


OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "/useragent-kv": {"POST": _user_agent},
    "/ref-relax-for-delete": {"POST": _writes(relaxing.relax)},
    "/int-pools": {
        "POST": _writes(int_pools.create_pool),
        "DELETE": _writes(int_pools.delete_pool),
    },
    "/int-pool": {
        "GET": _int_owner,
        "POST": _writes(int_pools.give),
        "DELETE": _writes(int_pools.take_back),
    },
    "/transaction": {"POST": _transaction},
    "/security-policy-draft": {"POST": _review},
    "/apply": {"POST": _apply},
    "/plan": {"POST": _plan},
    "/history": {"GET": _history},
    "/past": {"GET": _past},
    "/db-check": {"POST": _check},
    "/hbs-get": {"POST": _manifests},
    "/obj-cache": {"GET": _reads(beside.held), "POST": _reads(beside.held)},
    "/execute-job": {"POST": _reads(beside.execute_job)},
    "/abort-job": {"POST": _reads(beside.abort_job)},
    "/amqp-publish": {"POST": _reads(beside.publish)},
    "/amqp-request": {"POST": _reads(beside.publish)},
    "/fetch-records": {"POST": _everything},
    "/start-profile": {"POST": _profile},
    "/stop-profile": {"POST": _profile},
}
"""Operations by path and method."""


async def _allocate(engine: Engine, uuid: str, body: Json) -> Json | None:
    return await engine.write(lambda write: leases.allocate(write, uuid, body))


async def _free(engine: Engine, uuid: str, body: Json) -> Json | None:
    await engine.write(lambda write: leases.free(write, uuid, body))
    return None


async def _count(engine: Engine, uuid: str, body: Json) -> Json | None:
    caller = CALLER.get()

    def run(snapshot: Snapshot) -> Json:
        network = leases.network_of(snapshot, uuid)
        authority.require(snapshot, caller, network, authority.READ)
        return leases.count(snapshot, uuid, body)

    return await engine.read(run)


NETWORK_OPERATIONS: Mapping[str, NetworkOperation] = {
    "ip-alloc": _allocate,
    "ip-free": _free,
    "subnet-ip-count": _count,
}
"""Operations on one network: ``POST /virtual-network/<uuid>/<name>``."""
