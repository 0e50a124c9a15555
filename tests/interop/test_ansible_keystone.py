"""Logins at the web UI's endpoints whom a real Keystone knows, in the mode ``rbac``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.keystone_server import RealKeystone, keystone_running
from tests.interop.test_keystone import allow_members, ask
from tests.unit.webui.web import CONFIG, Bed, web_bed

from tungsten.api.callers import dashed

SERVICE, JOE, ANN = "canary-service", "canary-joe", "canary-ann"


@pytest.fixture(scope="module")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKeystone]:
    with keystone_running(tmp_path_factory.mktemp("keystone")) as running:
        running.member("tungsten", SERVICE, "service", "admin")
        yield running


@pytest.fixture
async def bed(tmp_path: Path, keystone: RealKeystone) -> AsyncIterator[Bed]:
    password = tmp_path / "password"
    password.write_text(SERVICE + "\n")
    password.chmod(0o600)
    api = {
        "auth": "keystone",
        "aaa_mode": "rbac",
        "keystone_url": keystone.url,
        "keystone_password_file": str(password),
        "keystone_cache": 0.0,
        "admin_listen": "127.0.0.1:0",
    }
    async with web_bed(tmp_path, api) as bed:
        yield bed


async def test_users_log_in_to_their_own_project_and_do_what_they_may(
    bed: Bed, keystone: RealKeystone
) -> None:
    await allow_members(bed.api, keystone.admin)
    browsers = {}
    for user, password in (("joe", JOE), ("ann", ANN)):
        project = dashed(keystone.member(user, password, f"{user}s", "member"))
        body: dict[str, Any] = {
            "fq_name": ["default-domain", f"{user}s"],
            "parent_type": "domain",
            "uuid": project,
        }
        made = await ask(bed.api, keystone.admin, "POST", "/projects", {"project": body})
        assert made.status == 200, made.text
        browsers[user] = bed.browser()
        assert (await browsers[user].login(user, "wrong")).status == 401
        assert (await browsers[user].login(user, password)).status == 200
    joe, ann = browsers["joe"], browsers["ann"]
    fields = {"fq_name": ["default-domain", "joes", "vn"], "parent_type": "project"}
    uuid = await joe.create("virtual-network", **fields)
    assert (await joe.show("virtual-network", uuid))["fq_name"] == fields["fq_name"]
    change = {"virtual-network": {"uuid": uuid, "display_name": "mine"}}
    read = {"data": [{"type": "virtual-network", "uuid": [uuid]}]}
    asked: list[tuple[str, Any]] = [("update-config-object", change), ("get-config-objects", read)]
    for name, sent in asked:
        assert (await ann.ask(CONFIG + name, sent)).status == 403
    assert (await ann.delete("virtual-network", uuid)).status == 403
    # The cookie of one with the csrf token of the other is neither.
    ann.cookies["connect.sid"] = joe.cookies["connect.sid"]
    assert (await ann.ask(CONFIG + "get-config-objects", read)).status == 403
    root = {"x-auth-token": keystone.admin}
    assert (
        await bed.browser().ask(CONFIG + "get-config-objects", read, headers=root)
    ).status == 200
    assert (await joe.delete("virtual-network", uuid)).status == 200
