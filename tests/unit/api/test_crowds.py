"""One source cannot keep others out; a server whose store cannot commit says so."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from tests.unit.api.api_server import Api, serving

from tungsten.api.queries import MOST_FILTERS
from tungsten.api.server import source_of

HALF = b"GET /aaa-mode HTTP/1.1\r\nHost: 127.0.0.1\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def half_requests(api: Api, source: str, count: int) -> AsyncIterator[list[Streams]]:
    """Connections from an address that have sent half a request each."""
    streams: list[Streams] = []
    try:
        for _ in range(count):
            local = (source, 0)
            streams.append(await asyncio.open_connection("127.0.0.1", api.port, local_addr=local))
            streams[-1][1].write(HALF)
        yield streams
    finally:
        for _, writer in streams:
            writer.close()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server has ended a connection that waits."""
    try:
        return await asyncio.wait_for(reader.read(), 0.5) is not None
    except TimeoutError:
        return False


async def asked(api: Api, source: str) -> int:
    """The status of the answer to a request from an address; 0: closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port, local_addr=(source, 0))
    try:
        writer.write(HALF + b"\r\n")
        line = await asyncio.wait_for(reader.readline(), 10)
        return int(line.split()[1]) if line else 0
    except ConnectionError:
        return 0
    finally:
        writer.close()


async def test_a_source_has_a_limit_of_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path, max_requests=64, max_connections_per_source=8) as api:
        async with half_requests(api, "127.0.0.2", 8):
            assert await asked(api, "127.0.0.2") in (0, 503)
            assert await asked(api, "127.0.0.3") == 200
        for _ in range(100):  # the server hears of the ends when it hears of them
            if await asked(api, "127.0.0.2") == 200:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("connections that ended are still counted")


async def test_connections_that_wait_make_room_for_others(tmp_path: Path) -> None:
    async with serving(tmp_path, max_requests=16, max_connections_per_source=0) as api:
        async with (
            half_requests(api, "127.0.0.2", 40) as flood,
            half_requests(api, "127.0.0.3", 1) as few,
        ):
            assert await asked(api, "127.0.0.4") == 200
            reader, writer = few[0]
            writer.write(b"\r\n")
            assert b"200" in await asyncio.wait_for(reader.readline(), 10)
            gone = await asyncio.gather(*(ended(one) for one, _ in flood))
            assert sum(gone) >= 24


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("127.0.0.1", ""),
        ("::1", ""),
        ("", ""),
        ("127.0.0.2", "127.0.0.2"),
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_what_counts_as_one_source(host: str, source: str) -> None:
    assert source_of(host) == source


@contextmanager
def full_disk(file: Path) -> Iterator[None]:
    """No file of this process may grow beyond what one has now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_health_tells_that_the_store_cannot_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tungsten.api.engine.PROBE_AGE", 0.0)
    async with serving(tmp_path) as api:
        revision = (await api.get("/healthz"))["revision"]
        (log,) = tmp_path.glob("*-wal")
        with full_disk(log):
            sick = await api.ask("GET", "/healthz")
            read = await api.ask("GET", "/aaa-mode")
        assert (sick.status, read.status) == (503, 200)
        assert "could not be written" in sick.text
        assert await api.get("/healthz") == {"status": "ok", "revision": revision}


async def test_a_list_has_so_many_filters(api: Api) -> None:
    many = ",".join(f"display_name==x{n}" for n in range(MOST_FILTERS))
    assert (await api.ask("GET", f"/virtual-networks?filters={many}")).status == 200
    refused = await api.ask("GET", f"/virtual-networks?filters={many},display_name==y")
    assert refused.status == 400
    assert f"more than {MOST_FILTERS}" in refused.text
