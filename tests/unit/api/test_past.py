"""``GET /history`` and ``GET /past``: what changed when, and how things stood."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tests.unit.api.api_server import PROJECT, Api

from tungsten.api import past
from tungsten.api.errors import ApiFault
from tungsten.store import history
from tungsten.store.base import Record, Transaction
from tungsten.store.sqlite import Limits, SqliteStore

NAME = "default-domain:p1:vn1"


def create(record: Record, tx: Transaction) -> None:
    tx.create(record)


async def revision(api: Api) -> int:
    return int((await api.get("/healthz"))["revision"])


async def test_history_tells_changes_with_what_was_before(api: Api) -> None:
    uuid = await api.network()
    await api.put("virtual-network", uuid, display_name="Blue")
    await api.delete("virtual-network", uuid)
    told = await api.get(f"/history?type=virtual-network&fq_name_str={NAME}")
    assert told["revision"] == await revision(api)
    assert told["kept_since"] == 0
    deleted, updated, created = told["changes"]
    assert [one["action"] for one in told["changes"]] == ["delete", "update", "create"]
    assert deleted["before"]["display_name"] == "Blue"
    assert deleted["after"] is None
    assert updated["before"]["display_name"] == "vn1"
    assert updated["after"]["display_name"] == "Blue"
    assert "network_ipam_refs" not in updated["after"]
    assert updated["when"][:16] == updated["after"]["id_perms"]["last_modified"][:16]
    assert updated["when"].endswith("Z")
    assert deleted["when"] > updated["when"] > created["when"]
    assert deleted["request"] == f"DELETE /virtual-network/{uuid}"
    assert created["request"] == "POST /virtual-networks"
    assert deleted["client"] == "127.0.0.1"
    assert deleted["user"] is None  # nobody is asked who they are
    assert created["before"] is None
    assert created["after"]["fq_name"] == [*PROJECT, "vn1"]
    by_uuid = await api.get(f"/history?uuid={uuid}")
    assert by_uuid["changes"] == told["changes"]


async def test_history_is_read_on_from_where_it_ended(api: Api) -> None:
    uuid = await api.network()
    for number in range(4):
        await api.put("virtual-network", uuid, display_name=f"v{number}")
    first = (await api.get(f"/history?uuid={uuid}&limit=2"))["changes"]
    last = first[-1]["revision"]
    rest = (await api.get(f"/history?uuid={uuid}&before={last}"))["changes"]
    shown = [one["after"]["display_name"] for one in [*first, *rest]]
    assert shown == ["v3", "v2", "v1", "v0", "vn1"]


async def test_objects_are_read_as_they_stood(api: Api) -> None:
    uuid = await api.network()
    at = await revision(api)
    await api.put("virtual-network", uuid, display_name="Blue")
    other = await api.network("vn2")
    await api.delete("virtual-network", uuid)
    then = await api.get(f"/past?type=virtual-network&revision={at}")
    names = [one["virtual-network"]["fq_name"][-1] for one in then["virtual-networks"]]
    assert "vn1" in names
    assert "vn2" not in names
    one = await api.get(f"/past?type=virtual-network&revision={at + 1}&fq_name_str={NAME}")
    (only,) = one["virtual-networks"]
    assert only["virtual-network"]["display_name"] == "Blue"
    gone = await api.ask("GET", f"/past?type=virtual-network&revision={at}&uuid={other}")
    assert gone.status == 404
    assert other in gone.text


async def test_the_past_is_found_by_time(api: Api) -> None:
    uuid = await api.network()
    await api.put("virtual-network", uuid, display_name="Blue")
    await api.delete("virtual-network", uuid)
    told = (await api.get(f"/history?uuid={uuid}"))["changes"]
    deleted, updated, created = (one["when"] for one in told)
    between = await api.get(f"/history?uuid={uuid}&since={updated}&until={updated}")
    assert [one["action"] for one in between["changes"]] == ["update"]
    later = await api.get(f"/history?uuid={uuid}&since={deleted}")
    assert [one["action"] for one in later["changes"]] == ["delete"]
    then = await api.get(f"/past?type=virtual-network&time={created}&uuid={uuid}")
    assert then["revision"] == told[-1]["revision"]
    gone = await api.ask("GET", f"/past?type=virtual-network&time={deleted}&uuid={uuid}")
    assert gone.status == 404
    before = await api.ask("GET", f"/past?type=virtual-network&time=2001-01-01&uuid={uuid}")
    assert before.status == 404  # everything is kept, and there was nothing then


async def test_a_revision_to_come_is_refused(api: Api) -> None:
    last = await revision(api)
    answer = await api.ask("GET", f"/past?type=project&revision={last + 1}")
    assert answer.status == 410
    assert f"stands at revision {last}" in answer.text


async def test_a_past_that_is_not_kept_is_refused_with_what_is(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "config.db", limits=Limits(commits=3))
    for number in range(8):
        record = Record(f"u{number}", "project", ("d", f"p{number}"), None, (), b"{}")
        await store.transact(partial(create, record))
    await store.close()  # which still knew
    store = SqliteStore.open(tmp_path / "config.db")
    since = await history.kept_since(store)
    assert since > 0
    with pytest.raises(ApiFault, match=f"kept from revision {since} on") as refused:
        await past.stood(store, {"type": "project", "revision": "2"})
    assert refused.value.status == 410
    assert (await past.changes(store, {}))["kept_since"] == since
    await store.close()


async def test_malformed_questions_are_refused(api: Api) -> None:
    for path, word in (
        ("/past?type=project", "revision"),
        ("/past?revision=1", "type"),
        ("/past?type=project&revision=x", "number"),
        ("/past?type=project&revision=-1", "number"),
        ("/past?type=nothing&revision=1", "nothing"),
        ("/history?limit=0", "limit"),
        ("/history?limit=1001", "limit"),
        ("/history?fq_name_str=a", "type"),
        ("/history?nothing=a", "nothing"),
        ("/history?since=noon", "since"),
        ("/past?type=project&revision=1&time=2026-01-01", "either"),
        ("/past?type=project&time=9999999", "time"),
    ):
        answer = await api.ask("GET", path)
        assert 400 <= answer.status < 500
        assert word in answer.text
