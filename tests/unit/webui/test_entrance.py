"""Who gets in, for how long, and that nobody gets in as somebody else."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.unit.api.keystone_stand_in import keystone_settings, standing_in
from tests.unit.webui.web import CONFIG, Bed, Web, web_bed

from tungsten.api import server
from tungsten.webui.certificate import make, self_signed
from tungsten.webui.sessions import Sessions

LIST = {"data": [{"type": "projects"}]}


async def status(web: Web, **headers: str) -> int:
    return (await web.ask(CONFIG + "get-config-list", LIST, headers=headers)).status


async def test_cookies_are_for_this_server_only(bed: Bed) -> None:
    web = bed.browser()
    assert (await web.login()).status == 200
    session, csrf = web.set_cookies
    for word in ("Secure", "SameSite=strict", "Path=/"):
        assert word in session
        assert word in csrf
    assert ("HttpOnly" in session, "HttpOnly" in csrf) == (True, False)


async def test_a_wrong_password_gets_nothing_and_costs_time(bed: Bed) -> None:
    web = bed.browser()
    for _ in range(5):
        answer = await web.login(password="wrong")
        assert (answer.status, web.set_cookies) == (401, [])
    answer = await web.login()
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")


async def test_nothing_is_done_without_session_and_csrf_token(bed: Bed, web: Web) -> None:
    other = bed.browser()
    assert (await other.login()).status == 200
    assert await status(web) == 200
    assert await status(bed.browser()) == 401
    for wrong in ("", "x", other.cookies["_csrf"]):
        assert await status(web, **{"x-csrf-token": wrong}) == 403
    assert await status(web, **{"sec-fetch-site": "cross-site"}) == 403
    assert await status(web, host="evil.example") == 421
    assert (await web.ask("/logout")).status == 200
    assert await status(web) == 401
    assert await status(other) == 200


async def test_a_new_login_ends_the_session_that_it_came_with(bed: Bed, web: Web) -> None:
    old = bed.browser()
    old.cookies = dict(web.cookies)
    assert (await web.login()).status == 200
    assert await status(old) == 401
    assert await status(web) == 200


def test_sessions_end_by_rest_by_age_and_by_number() -> None:
    sessions = Sessions(idle=10, life=25, most=2)
    first, _ = sessions.open("a", 0)
    assert sessions.find(first, 9) is not None
    assert sessions.find(first, 20) is None
    second, _ = sessions.open("b", 0)
    assert [sessions.find(second, now) is not None for now in (9, 18, 25, 26)] == [1, 1, 1, 0]
    old, new, newest = (sessions.open(name, 30)[0] for name in "cde")
    assert [sessions.find(one, 31) is not None for one in (old, new, newest)] == [0, 1, 1]
    assert len(sessions) == 2


def test_a_kept_certificate_is_used_again_and_an_unusable_one_is_replaced(tmp_path: Path) -> None:
    path = self_signed(tmp_path / "state", "127.0.0.1:8143")
    made = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert self_signed(tmp_path / "state", "127.0.0.1:8143").read_bytes() == made
    path.write_bytes(b"nothing")
    assert self_signed(tmp_path / "state", "127.0.0.1:8143").read_bytes() not in (made, b"nothing")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"certificate": "/nowhere"}, "together"),
        ({"certificate": "/nowhere", "key": "/nowhere"}, "No such file"),
        ({"plain_http": True, "key": "/nowhere"}, "of no use"),
        ({"state_directory": "/proc/nowhere"}, "webui.state_directory"),
    ],
)
async def test_settings_that_cannot_be_used_are_refused(
    tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        async with web_bed(tmp_path, **settings):
            raise AssertionError("it started")


async def test_a_certificate_of_the_settings_is_shown(tmp_path: Path) -> None:
    pem = tmp_path / "own.pem"
    pem.write_bytes(make("127.0.0.1:0"))
    async with web_bed(tmp_path, certificate=str(pem), key=str(pem)) as bed:
        assert (await bed.browser().login()).status == 200
        assert not (tmp_path / "state").exists()


async def test_who_does_not_finish_a_handshake_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sends nothing, and who sends the beginning of a greeting; others are served meanwhile."""
    assert server.HANDSHAKE == 10
    monkeypatch.setattr(server, "HANDSHAKE", 0.5)
    async with web_bed(tmp_path) as bed:
        stalled = [await asyncio.open_connection("127.0.0.1", bed.service.port) for _ in range(20)]
        for _, writer in stalled[::2]:
            writer.write(b"\x16\x03\x01\x02\x00\x01")
        assert (await bed.browser().login()).status == 200
        for reader, writer in stalled:
            assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
        assert (await bed.browser().login()).status == 200


async def test_plain_http_is_served_only_when_asked_for(tmp_path: Path) -> None:
    async with web_bed(tmp_path, plain_http=True) as bed:
        web = bed.browser("http")
        assert (await web.login()).status == 200
        assert all("Secure" not in one for one in web.set_cookies)


async def test_without_keystone_a_password_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"api\.admin_password_file"):
        async with web_bed(tmp_path, {"admin_password_file": ""}):
            raise AssertionError("it started")


async def test_a_token_stands_for_its_own_user_only(tmp_path: Path) -> None:
    async with standing_in() as keystone:
        settings = keystone_settings(tmp_path, keystone, aaa_mode="rbac")
        async with web_bed(tmp_path, settings) as bed:
            root = keystone.token("root", "admin", project_id="1" * 32)
            joe = keystone.token("joe", "member", project_id="2" * 32)
            web = bed.browser()
            assert await status(web, **{"x-auth-token": root}) == 200
            assert await status(web, **{"x-auth-token": joe}) == 403
            assert await status(web, **{"x-auth-token": joe + "x"}) == 401
            body = {"network-policy": {"fq_name": ["default-domain", "default-project", "x"]}}
            for path in ("create-config-object", "lbaas/load-balancer"):
                answer = await web.ask(CONFIG + path, body, headers={"x-auth-token": joe})
                assert answer.status in (400, 403), answer.text
            assert (await bed.browser().ask("/authenticate", {"username": "joe"})).status == 400
