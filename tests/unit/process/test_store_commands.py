"""``tungsten backup|restore`` and ``db check`` on a store that an API server fills."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

from aetcd.rpc import rpc_pb2 as pb
from tests.unit.api.api_server import Api, network_body, serving
from tests.unit.api.test_takeover import installation, tables, uuid_of
from tests.unit.api.upstream_writer import dump_of
from tests.unit.store.store_samples import OLD_ETCD, etcd_place, record
from tests.unit.store.store_samples import uuid_of as uuid

from tungsten.store.etcd import EtcdStore
from tungsten.store.sqlite import SqliteStore


def run(*words: str, code: int = 0) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "tungsten", *words]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout + result.stderr


async def fill(api: Api) -> None:
    await api.project()
    await api.create("virtual-network", **network_body("vn1", "10.0.1.0/24"))
    await api.address("address1")
    body = {"operation": "STORE", "key": "k", "value": "v"}
    assert (await api.post("/useragent-kv", body)).status == 200


async def test_a_backup_of_a_running_server_becomes_the_same_configuration(tmp_path: Path) -> None:
    first, second = f"sqlite:{tmp_path / 'config.db'}", f"sqlite:{tmp_path / 'new/config.db'}"
    file = str(tmp_path / "backup.gz")
    async with serving(tmp_path) as api:
        await fill(api)
        shown = await api.get("/virtual-networks?detail=true&exclude_hrefs=true")
        text = await asyncio.to_thread(run, "backup", file, "--store", first)
    assert "revision " in text
    assert "is whole" in run("restore", file, "--dry-run", "--store", second)
    assert not (tmp_path / "new").exists()
    assert "restored into" in run("restore", file, "--store", second)
    assert "nothing found" in run("db", "check", "--store", second)
    async with serving(tmp_path / "new") as api:
        assert await api.get("/virtual-networks?detail=true&exclude_hrefs=true") == shown
        body = {"operation": "RETRIEVE", "key": "k"}
        assert (await api.post("/useragent-kv", body)).json == {"value": "v"}
        _, address = await api.address("address2")
        assert address == "10.0.1.251"
    again = run("restore", file, "--store", second, code=1)
    assert "not empty" in again


def test_what_cannot_be_is_refused_in_a_line(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'config.db'}"
    assert "does not exist" in run("db", "check", "--store", store, code=1)
    assert "does not exist" in run("backup", f"{tmp_path}/b", "--store", store, code=1)
    (tmp_path / "text").write_text("no backup")
    for file in ("text", "missing"):
        refused = run("restore", str(tmp_path / file), "--store", store, code=1)
        assert len(refused.splitlines()) == 1
        assert refused.startswith(f"tungsten: {tmp_path / file} ")
        assert refused.count(str(tmp_path)) == 1
    assert not (tmp_path / "config.db").exists()
    assert "no store" in run("db", "check", "--store", "x:y", code=1)


async def test_check_finds_what_was_broken_behind_its_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await fill(api)
    path = tmp_path / "config.db"
    store = f"sqlite:{path}"

    def check(code: int = 0) -> str:
        return run("db", "check", "--store", store, code=code)

    assert "nothing found" in await asyncio.to_thread(check)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM claims WHERE space LIKE 'address:%'")
    connection.close()
    text = await asyncio.to_thread(check, 1)
    assert "address 10.0.1.252 of 10.0.1.0/24 is held by nobody" in text
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM records WHERE type = 'project'")
    connection.close()
    assert "which does not exist" in await asyncio.to_thread(check, 1)


def test_a_dump_of_upstream_is_taken_over_with_a_report(tmp_path: Path) -> None:
    store, file = f"sqlite:{tmp_path / 'config.db'}", tmp_path / "dump.json"
    dump = dump_of(installation(), **tables())
    del dump["cassandra"]["config_db_uuid"]["obj_uuid_table"][uuid_of(10)]["type"]
    file.write_text(json.dumps(dump))
    tried = run("restore", str(file), "--dry-run", "--store", store)
    assert f"left out: a row default-domain:p1:web ({uuid_of(10)}): it has no type\n" in tried
    assert "would become 11 of 12 objects; 1 left out, 0 changed, 0 noticed" in tried
    assert not (tmp_path / "config.db").exists()
    done = run("restore", str(file), "--store", store)
    assert "taken over into" in done
    assert "nothing found" in run("db", "check", "--store", store)
    assert "not empty" in run("restore", str(file), "--store", store, code=1)


async def test_a_store_in_etcd_is_checked_and_of_the_layout_of_this_version(tmp_path: Path) -> None:
    place = etcd_place(tmp_path)
    words = ("--store", f"etcd:{place}", "--set", "store.allow_unpatched_etcd=true")
    store = EtcdStore.open(place, options=OLD_ETCD)
    await store.transact(lambda tx: tx.create(record(1)))
    assert "is of layout 1" in await asyncio.to_thread(run, "db", "upgrade", *words)
    await store.ask("KV", "Put", pb.PutRequest(key=store.keys.used(uuid(9), "port")))
    text = await asyncio.to_thread(lambda: run("db", "check", *words, code=1))
    assert f"{uuid(9)} is marked as used by port and does not exist" in text
    await store.ask("KV", "Put", pb.PutRequest(key=store.keys.layout, value=b"2"))
    for command in ("check", "upgrade"):
        text = await asyncio.to_thread(lambda: run("db", command, *words, code=1))  # noqa: B023
        assert "has layout 2 of a newer version" in text
    await store.close()


def test_a_file_needs_no_upgrade(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "config.db")
    assert "this version's layout" in run(
        "db", "upgrade", "--store", f"sqlite:{tmp_path}/config.db"
    )
    with sqlite3.connect(tmp_path / "config.db") as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    text = run("db", "upgrade", "--store", f"sqlite:{tmp_path}/config.db", code=1)
    assert "newer version" in text
