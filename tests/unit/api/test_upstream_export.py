"""What is exported in upstream's form says all there is, and is taken over again as it was."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.api.api_server import Api, serving
from tests.unit.api.test_takeover import held, installation, tables, taken, told, world
from tests.unit.api.upstream_writer import dump_of

from tungsten.api import pairs as named_values
from tungsten.api import relaxing, upstream_export, user_agent
from tungsten.api.resources import secrets
from tungsten.api.takeover import CHANGED, LEFT_OUT, NOTICED
from tungsten.model import RESOURCE_TYPES, Project, Resource, type_of
from tungsten.store.backup import BackupError, write_file
from tungsten.store.base import Transaction
from tungsten.store.sqlite import SqliteStore

Json = dict[str, Any]

#: Of an imported object, what a server shows beside what was said.
SHOWN = ("href", "name", "parent_href", "uuid", "parent_uuid")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "config.db")
    yield store
    await store.close()


async def exported(store: SqliteStore, path: Path) -> Json:
    await write_file(store, path, upstream_export.write)
    dump: Json = json.loads(path.read_text())
    return dump


def columns(dump: Json, table: str = "obj_uuid_table") -> Json:
    """The columns of a table without their times, their texts read."""
    rows = dump["cassandra"]["config_db_uuid"][table]
    return {
        key: {name: json.loads(text) for name, (text, _) in row.items()}
        for key, row in rows.items()
        if row
    }


def without_empty(value: Any) -> Any:
    """A column without the members that are null, which a writer may leave out or not."""
    if isinstance(value, dict):
        return {k: without_empty(v) for k, v in value.items() if v is not None}
    return [without_empty(one) for one in value] if isinstance(value, list) else value


async def test_every_type_goes_in_and_out_again(store: SqliteStore, tmp_path: Path) -> None:
    objects = world()
    assert {type_of(one).name for one in objects} == set(RESOURCE_TYPES)
    original = dump_of(objects)
    result = await taken(store, original, tmp_path / "dump.json")
    assert told(result, NOTICED) == []
    after = await exported(store, tmp_path / "again.json")
    assert columns(after, "obj_fq_name_table") == columns(original, "obj_fq_name_table")
    before, again = columns(original), columns(after)
    assert again.keys() == before.keys()
    for one in objects:
        expected, got = before[one.uuid], again[one.uuid]
        assert got.keys() == expected.keys(), type_of(one).name
        for name, value in expected.items():
            assert without_empty(got[name]) == without_empty(value), (type_of(one).name, name)


async def test_every_reference_of_the_schema_is_among_them() -> None:
    """The dump above has each reference that two types can have."""
    objects = world()
    for one in objects:
        for name, reference in type_of(one).references.items():
            if reference.target != type_of(one).name:
                assert getattr(one, name), (type_of(one).name, name)


def hide(value: Any) -> None:
    """Put nothing in the place of passwords."""
    for one in value if isinstance(value, list) else []:
        hide(one)
    for name, one in list(value.items()) if isinstance(value, dict) else []:
        if name.endswith("password") or name == "v2_community":
            value[name] = None
        hide(one)


async def test_what_was_taken_over_is_what_a_server_shows(tmp_path: Path) -> None:
    objects = world()
    store = SqliteStore.open(tmp_path / "config.db")
    await taken(store, dump_of(objects), tmp_path / "dump.json")
    stored = await held(store)
    await store.close()
    async with serving(tmp_path) as api:
        for one in objects:
            shown, expected = await _shown(api, one), _expected(stored[one.uuid])
            if isinstance(one, Project):
                # A server gives each project a policy set of its own when it starts.
                assert shown.pop("application_policy_set_refs")
                expected.pop("application_policy_set_refs")
            for place, name, _ in secrets.places(one):
                # A server encrypts them when it starts.
                assert getattr(place, name) not in json.dumps(shown), type_of(one).name
            hide(shown)
            hide(expected)
            assert shown == expected, type_of(one).name


async def _shown(api: Api, one: Resource) -> Json:
    type_ = type_of(one).name
    path = f"/{type_}/{one.uuid}?exclude_children=true&exclude_back_refs=true&exclude_hrefs=true"
    return _expected((await api.get(path))[type_])


def _expected(fields: Json) -> Json:
    """The members of an object to compare; references in one order, without their addresses."""
    shown: Json = {}
    for name, value in without_empty(fields).items():
        if name in SHOWN:
            continue
        if name.endswith("_refs"):
            refs = [{k: v for k, v in ref.items() if k != "href"} for ref in value]
            value = sorted(refs, key=lambda ref: ref["uuid"])
        shown[name] = value
    return shown


async def test_an_exported_installation_is_taken_over_whole(
    store: SqliteStore, tmp_path: Path
) -> None:
    await taken(store, dump_of(installation(), **tables()), tmp_path / "dump.json")
    await store.transact(_relax)
    first = await exported(store, tmp_path / "first.json")
    other = SqliteStore.open(tmp_path / "other.db")
    result = await taken(other, first, tmp_path / "again.json")
    assert [told(result, kind) for kind in (LEFT_OUT, CHANGED, NOTICED)] == [[], [], []]
    assert await held(other) == await held(store)
    assert await other.read(_claims) == await store.read(_claims)
    second = await exported(other, tmp_path / "second.json")
    assert second == first
    nodes = {path for path, _ in json.loads(first["zookeeper"])}
    assert "/id/virtual-networks/0000000003/" in nodes
    assert "/id/security-groups/id/0000000003/" in nodes
    assert "/id/bgp/route-targets/type0/0008000005/" in nodes
    await other.close()


def _relax(tx: Transaction) -> None:
    address = next(iter(tx.records("instance-ip")))
    relaxing.note(tx, address.uuid, address.edges[0].target)
    named_values.put(tx, user_agent.SPACE, "k2", "v2")


def _claims(snapshot: Any) -> list[Any]:
    return [
        (record.uuid, snapshot.owned_claims(record.uuid))
        for name in RESOURCE_TYPES
        for record in snapshot.records(name)
    ]


async def test_an_export_is_not_written_over_another(store: SqliteStore, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(BackupError, match="exists"):
        await exported(store, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"
