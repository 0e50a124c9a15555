"""Who may call: tokens of Keystone, the modes, the administrator's listener."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.api.api_server import Answer, Api, serving
from tests.unit.api.keystone_stand_in import (
    ADMIN_PASSWORD,
    StandIn,
    keystone_settings,
    standing_in,
)

from tungsten.api.keystone import identity_of
from tungsten.api.local_admin import FREE_FAILURES, Attempts, credentials
from tungsten.client import ApiError, Client


@pytest.fixture
async def keystone() -> AsyncIterator[StandIn]:
    async with standing_in() as stand_in:
        yield stand_in


@pytest.fixture
async def secured(tmp_path: Path, keystone: StandIn) -> AsyncIterator[Api]:
    """A server that wants tokens."""
    async with serving(tmp_path, **keystone_settings(tmp_path, keystone)) as api:
        yield api


async def ask(api: Api, token: str | None, path: str = "/projects") -> Answer:
    headers = {"X-Auth-Token": token} if token is not None else {}
    return await api.ask("GET", path, headers=headers)


async def test_without_a_token_the_answer_says_where_to_get_one(
    secured: Api, keystone: StandIn
) -> None:
    answer = await ask(secured, None)
    assert (answer.status, answer.text) == (401, "Authentication required")
    assert answer.headers["www-authenticate"] == f'Keystone uri="{keystone.url}"'
    assert answer.headers["content-type"].lower() == "text/html; charset=utf-8"
    assert keystone.asked == 0


@pytest.mark.parametrize("token", ["nonsense", "ä", "x" * 9000, "a b", "%00"])
async def test_a_token_that_is_none_is_refused(secured: Api, token: str) -> None:
    assert (await ask(secured, token)).status == 401


async def test_what_tells_where_everything_is_needs_no_token(secured: Api) -> None:
    for path in (
        "/",
        "/documentation/",
        "/documentation/index.html",
        "/healthz",
        "/metrics",
        "/openapi.json",
    ):
        assert (await ask(secured, None, path)).status == 200, path


async def test_in_mode_cloud_admin_only_administrators_pass(
    secured: Api, keystone: StandIn
) -> None:
    assert (await ask(secured, keystone.token("root", "Admin"))).status == 200
    refused = await ask(secured, keystone.token("joe", "member"))
    assert (refused.status, refused.text) == (403, "403 Permission Denied")
    auditor = {"X-Auth-Token": keystone.token("eve", "auditor")}
    assert (await secured.ask("GET", "/projects", headers=auditor)).status == 200
    name = {"type": "project", "fq_name": ["default-domain", "default-project"]}
    found = await secured.ask("POST", "/fqname-to-id", name, headers=auditor)
    assert found.status == 200
    body = {"project": {"fq_name": ["default-domain", "p"], "parent_type": "domain"}}
    assert (await secured.ask("POST", "/projects", body, headers=auditor)).status == 403


async def test_roles_that_the_caller_sends_itself_count_for_nothing(
    secured: Api, keystone: StandIn
) -> None:
    sent = {"X-Api-Role": "admin", "X-Role": "admin", "X-Roles": "admin", "X-Project-Id": "x"}
    headers = {"X-Auth-Token": keystone.token("joe", "member"), **sent}
    assert (await secured.ask("GET", "/projects", headers=headers)).status == 403
    assert (await secured.ask("GET", "/projects", headers=sent)).status == 401


async def test_a_token_is_asked_about_once_in_a_while(secured: Api, keystone: StandIn) -> None:
    token = keystone.token("root", "admin")
    for _ in range(5):
        assert (await ask(secured, token)).status == 200
    assert (keystone.logins, keystone.asked) == (1, 1)


async def test_the_own_token_is_renewed_when_keystone_forgets_it(
    secured: Api, keystone: StandIn
) -> None:
    await ask(secured, keystone.token("root", "admin"))
    keystone.own = "forgotten"
    tokens = [keystone.token(str(n), "admin") for n in range(8)]
    answers = await asyncio.gather(*(ask(secured, token) for token in tokens))
    assert [one.status for one in answers] == [200] * 8
    assert keystone.logins == 2


async def test_an_expired_token_is_refused(secured: Api, keystone: StandIn) -> None:
    old = keystone.token("root", "admin", expires_at="2020-01-01T00:00:00.000000Z")
    assert (await ask(secured, old)).status == 401


@pytest.mark.parametrize(
    "broken",
    [
        web.Response(status=500),
        web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        web.Response(text="not json"),
        web.Response(text='{"token": {}}'),
        web.Response(text='{"token": {"user": {}, "expires_at": "soon"}}'),
        web.Response(text="[]"),
    ],
)
async def test_when_keystone_fails_nobody_gets_in(
    secured: Api, keystone: StandIn, broken: web.Response
) -> None:
    await ask(secured, keystone.token("root", "admin"))
    keystone.broken = broken
    answer = await ask(secured, keystone.token("other", "admin"))
    assert answer.status == 503
    assert answer.text.startswith("Tokens cannot be checked now")


async def test_an_answer_without_end_is_cut(secured: Api, keystone: StandIn) -> None:
    await ask(secured, keystone.token("root", "admin"))
    keystone.endless = True
    assert (await ask(secured, keystone.token("other", "admin"))).status == 503


async def test_an_answer_that_unpacks_without_end_is_cut(secured: Api, keystone: StandIn) -> None:
    await ask(secured, keystone.token("root", "admin"))
    packed = gzip.compress(b" " * 64_000_000)
    keystone.broken = web.Response(body=packed, headers={"content-encoding": "gzip"})
    assert (await ask(secured, keystone.token("other", "admin"))).status == 503


async def test_no_token_is_taken_where_keystone_leads(secured: Api, keystone: StandIn) -> None:
    await ask(secured, keystone.token("root", "admin"))
    async with standing_in() as elsewhere:
        elsewhere.own, elsewhere.tokens = keystone.own, keystone.tokens
        where = {"Location": f"{elsewhere.url}/v3/auth/tokens"}
        keystone.broken = web.Response(status=307, headers=where)
        assert (await ask(secured, keystone.token("other", "admin"))).status == 503
        assert (elsewhere.asked, elsewhere.logins) == (0, 0)


async def test_a_keystone_that_is_not_there_is_no_open_door(
    tmp_path: Path, keystone: StandIn
) -> None:
    settings = keystone_settings(tmp_path, keystone, keystone_url="http://127.0.0.1:1/v3")
    async with serving(tmp_path, **settings) as api:
        assert (await ask(api, "any")).status == 503
        assert (await ask(api, None)).status == 401


@pytest.mark.parametrize("auth", ["keystone", "noauth"])
async def test_a_password_that_others_may_read_is_refused(
    tmp_path: Path, keystone: StandIn, auth: str
) -> None:
    settings = keystone_settings(tmp_path, keystone, auth=auth)
    admin = Path(settings["admin_password_file"])
    for mode in (0o640, 0o604, 0o700):
        admin.chmod(mode)
        with pytest.raises(ValueError, match=rf"mode is {mode:04o}.*0600 or 0400"):
            async with serving(tmp_path, **settings):
                pass
    admin.chmod(0o400)
    async with serving(tmp_path, **settings) as api:
        assert (await ask(api, None)).status == (401 if auth == "keystone" else 200)


async def test_a_password_file_that_is_not_there_is_refused_without_keystone(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match=r"api\.admin_password_file is '/none/x': No such file"):
        async with serving(tmp_path, admin_password_file="/none/x"):
            pass


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"keystone_url": ""}, "api.keystone_url is needed"),
        ({"keystone_password_file": ""}, "api.keystone_password_file is needed"),
        ({"keystone_url": "ftp://x"}, "api.keystone_url 'ftp://x' is no http or https address"),
        ({"keystone_password_file": "/none/x"}, "api.keystone_password_file is '/none/x': No such"),
        ({"admin_password_file": "/none/x"}, "api.admin_password_file is '/none/x': No such file"),
        ({"keystone_ca_file": "/none/x"}, "api.keystone_ca_file is '/none/x': No such file"),
        ({"keystone_ca_file": "/etc/hostname"}, "'/etc/hostname', which holds no certificates"),
        ({"admin_password_file": "/dev/null"}, "api.admin_password_file /dev/null is empty"),
        ({"admin_listen": "bogus"}, "api.admin_listen is 'bogus'; expected HOST:PORT"),
        ({"introspect_listen": "bogus"}, "api.introspect_listen: listen address 'bogus'"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_named(
    tmp_path: Path, keystone: StandIn, changed: dict[str, str], words: str
) -> None:
    settings = keystone_settings(tmp_path, keystone, **changed)
    with pytest.raises(ValueError, match="api") as refused:
        async with serving(tmp_path, **settings):
            pass
    assert words in str(refused.value)


@given(st.binary(max_size=200))
def test_what_keystone_says_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        identity_of(data)


async def test_the_client_shows_its_token(secured: Api, keystone: StandIn) -> None:
    async with Client(secured.url, token=keystone.token("root", "admin")) as client:
        assert await client.id_of("project", ["default-domain", "default-project"])
    async with Client(secured.url) as client:
        with pytest.raises(ApiError) as refused:
            await client.id_of("project", ["default-domain", "default-project"])
    assert refused.value.status == 401


# -- the mode --------------------------------------------------------------------------------


async def test_administrators_change_the_mode_for_good(tmp_path: Path, keystone: StandIn) -> None:
    settings = keystone_settings(tmp_path, keystone)
    root = {"X-Auth-Token": keystone.token("root", "admin")}
    joe = {"X-Auth-Token": keystone.token("joe", "member")}
    async with serving(tmp_path, **settings) as api:
        assert (await api.ask("GET", "/aaa-mode", headers=root)).json == {"aaa-mode": "cloud-admin"}
        for body, headers, status in (
            ({"aaa-mode": "no-auth"}, joe, 403),
            ({"aaa-mode": "open"}, root, 400),
            ({"aaa-mode": ["rbac"]}, root, 400),
            ({}, root, 400),
            ({"aaa-mode": "no-auth"}, root, 200),
        ):
            answer = await api.ask("PUT", "/aaa-mode", body, headers=headers)
            assert answer.status == status, body
        assert (await ask(api, None)).status == 200
    async with serving(tmp_path, **settings) as api:
        assert await api.get("/aaa-mode") == {"aaa-mode": "no-auth"}


async def test_without_authentication_there_is_one_mode(api: Api) -> None:
    assert await api.get("/aaa-mode") == {"aaa-mode": "no-auth"}
    assert (await api.ask("PUT", "/aaa-mode", {"aaa-mode": "rbac"})).status == 400
    assert (await api.ask("PUT", "/aaa-mode", {"aaa-mode": "no-auth"})).status == 200


# -- what a token may do ---------------------------------------------------------------------


async def test_obj_perms_tell_whose_a_token_is(secured: Api, keystone: StandIn) -> None:
    missing = await secured.ask("GET", "/obj-perms", headers={})
    assert missing.status == 401
    root, eve = keystone.token("root", "admin"), keystone.token("eve", "auditor")
    headers = {"X-Auth-Token": root, "X-User-Token": eve}
    said = (await secured.ask("GET", "/obj-perms", headers=headers)).json
    assert said["token_info"]["token"]["user"]["name"] == "eve"
    assert (said["is_cloud_admin_role"], said["is_global_read_only_role"]) == (False, True)
    assert "permissions" not in said
    wrong = {**headers, "X-User-Token": "wrong"}
    assert (await secured.ask("GET", "/obj-perms", headers=wrong)).status == 403


async def test_without_authentication_obj_perms_are_those_of_an_administrator(api: Api) -> None:
    assert await api.get("/obj-perms") == {
        "token_info": None,
        "is_cloud_admin_role": False,
        "is_global_read_only_role": False,
        "permissions": "RWX",
    }


# -- the administrator's listener ------------------------------------------------------------


async def local(api: Api, header: str | None) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": header} if header is not None else {}
        url = f"http://127.0.0.1:{api.service.admin_port}/projects"
        async with session.get(url, headers=headers) as response:
            return response.status, await response.text()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_a_password_opens_the_local_listener_when_keystone_is_away(
    secured: Api, keystone: StandIn
) -> None:
    keystone.broken = web.Response(status=500)
    assert (await local(secured, basic("admin", ADMIN_PASSWORD)))[0] == 200
    assert await local(secured, None) == (401, "HTTP_AUTHORIZATION header missing")
    wrong = (401, "Authentication check failed")
    for header in (basic("admin", "x"), basic("root", ADMIN_PASSWORD), "Basic ?", "Bearer x"):
        assert await local(secured, header) == wrong
    assert (await ask(secured, None)).status == 401


def test_wrong_passwords_cost_more_and_more_time() -> None:
    attempts, who = Attempts(), ("127.0.0.1", "admin")
    for _ in range(FREE_FAILURES):
        assert attempts.wait(who, 0.0) == 0
        attempts.failed(who, 0.0)
    waits = []
    for _ in range(9):
        waits.append(attempts.wait(who, 0.0))
        attempts.failed(who, 0.0)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert attempts.wait(("127.0.0.1", "other"), 0.0) == 0
    assert attempts.wait(who, 1000.0) == 0
    attempts.passed(who)
    assert attempts.wait(who, 0.0) == 0


@given(st.text(max_size=60))
def test_an_authorization_header_is_read_or_is_none(header: str) -> None:
    credentials(header)
    credentials("Basic " + header)


async def test_a_passwords_length_does_not_show_in_time(secured: Api) -> None:
    before = time.monotonic()
    assert (await local(secured, basic("admin", "x" * 4000)))[0] == 401
    assert time.monotonic() - before < 1


# -- secrets ---------------------------------------------------------------------------------


async def test_no_secret_is_logged_or_shown(
    secured: Api, keystone: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    tokens = [keystone.token("root", "admin"), keystone.token("joe", "member"), "canary-wrong"]
    for token in tokens:
        await ask(secured, token)
    await local(secured, basic("admin", ADMIN_PASSWORD))
    await local(secured, basic("admin", "canary-wrong-password"))
    keystone.broken = web.Response(status=500)
    await ask(secured, "canary-unchecked")
    metrics = (await ask(secured, None, "/metrics")).text
    out, err = capfd.readouterr()
    assert "request_refused" in out + err
    assert "canary" not in out + err + metrics
