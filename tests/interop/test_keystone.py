"""Tokens of a real Keystone, and upstream's clients that log in there, in the mode ``rbac``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.api_cli import Cli
from tests.interop.keystone_server import RealKeystone, keystone_running
from tests.unit.api.api_server import Answer, Api, serving
from vnc_api import vnc_api
from vnc_api.exceptions import PermissionDenied

from tungsten.api.callers import dashed

SERVICE, JOE, ANN, CLEO = "canary-service", "canary-joe", "canary-ann", "canary-cleo"


@pytest.fixture(scope="module")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKeystone]:
    with keystone_running(tmp_path_factory.mktemp("keystone")) as running:
        running.member("tungsten", SERVICE, "service", "admin")
        yield running


@pytest.fixture
async def api(tmp_path: Path, keystone: RealKeystone) -> AsyncIterator[Api]:
    """An API that asks Keystone about every request."""
    password = tmp_path / "password"
    password.write_text(SERVICE + "\n")
    password.chmod(0o600)
    async with serving(
        tmp_path,
        auth="keystone",
        aaa_mode="rbac",
        keystone_url=keystone.url + "/v3",
        keystone_password_file=str(password),
        keystone_cache=0.0,
    ) as api:
        yield api


async def ask(api: Api, token: str, method: str, path: str, body: Any = None) -> Answer:
    return await api.ask(method, path, body, headers={"X-Auth-Token": token})


async def allow_members(api: Api, token: str) -> None:
    """Let members make and read everything, as far as the objects allow."""
    rule = {
        "rule_object": "*",
        "rule_field": "",
        "rule_perms": [{"role_name": "member", "role_crud": "CRUD"}],
    }
    body = {
        "fq_name": ["default-global-system-config", "members"],
        "parent_type": "global-system-config",
        "api_access_list_entries": {"rbac_rule": [rule]},
    }
    made = await ask(api, token, "POST", "/api-access-lists", {"api-access-list": body})
    assert made.status == 200, made.text


async def test_tokens_are_known_until_they_are_revoked(api: Api, keystone: RealKeystone) -> None:
    keystone.member("joe", JOE, "joes", "member")
    token = keystone.token("joe", JOE, "joes")
    said = await ask(api, token, "GET", "/obj-perms")
    assert said.status == 200, said.text
    assert said.json["token_info"]["token"]["user"]["name"] == "joe"
    assert said.json["is_cloud_admin_role"] is False
    refused = await ask(api, token, "GET", "/virtual-networks")
    assert (refused.status, refused.text[:25]) == (403, "Permission Denied for joe")
    assert (await ask(api, keystone.admin, "GET", "/virtual-networks")).status == 200
    keystone.revoke(token)
    assert (await ask(api, token, "GET", "/obj-perms")).status == 401
    assert (await ask(api, token[:-1] + "x", "GET", "/projects")).status == 401


async def test_upstreams_client_logs_in_and_works_in_its_project(
    api: Api, keystone: RealKeystone
) -> None:
    project_id = dashed(keystone.member("ann", ANN, "anns", "member"))
    await allow_members(api, keystone.admin)
    body = {"fq_name": ["default-domain", "anns"], "parent_type": "domain", "uuid": project_id}
    assert (await ask(api, keystone.admin, "POST", "/projects", {"project": body})).status == 200
    await asyncio.to_thread(work_as_ann, api, keystone)


def work_as_ann(api: Api, keystone: RealKeystone) -> None:
    """What a member does with upstream's client."""
    client = vnc_api.VncApi(
        username="ann",
        password=ANN,
        tenant_name="anns",
        api_server_host="127.0.0.1",
        api_server_port=str(api.port),
        auth_type="keystone",
        auth_protocol="http",
        auth_host="127.0.0.1",
        auth_port=keystone.url.rpartition(":")[2],
        auth_url="/v3/auth/tokens",
        domain_name="Default",
    )
    project = client.project_read(fq_name=["default-domain", "anns"])
    network = vnc_api.VirtualNetwork("vn1", project)
    client.virtual_network_create(network)
    assert client.get_aaa_mode() == {"aaa-mode": "rbac"}
    (listed,) = client.virtual_networks_list(parent_id=project.uuid)["virtual-networks"]
    assert listed["uuid"] == network.uuid
    group = vnc_api.SecurityGroup("mine", vnc_api.Project("default-project"))
    with pytest.raises(PermissionDenied):
        client.security_group_create(group)
    client.virtual_network_delete(id=network.uuid)


async def test_contrail_api_cli_logs_in_and_works_in_its_project(
    api: Api, keystone: RealKeystone, tmp_path: Path
) -> None:
    project_id = dashed(keystone.member("cleo", CLEO, "cleos", "member"))
    await allow_members(api, keystone.admin)
    body = {"fq_name": ["default-domain", "cleos"], "parent_type": "domain", "uuid": project_id}
    assert (await ask(api, keystone.admin, "POST", "/projects", {"project": body})).status == 200
    await asyncio.to_thread(work_as_cleo, api.port, keystone, tmp_path)


def work_as_cleo(port: int, keystone: RealKeystone, home: Path) -> None:
    """What a member does with contrail-api-cli."""
    user = ("--os-username", "cleo", "--os-user-domain-name", "Default")
    project = ("--os-project-name", "cleos", "--os-project-domain-name", "Default")
    way = ("--os-auth-type", "v3password", "--os-auth-url", f"{keystone.url}/v3")
    cli = Cli(port, home, *way, *user, *project, "--os-password", CLEO)
    own = cli.cat("project/default-domain:cleos")
    assert cli("ls", "-l", "project").words == [
        [f"project/{own['uuid']}", "default-domain:cleos"],
    ]
    refused = cli.run("cat", "virtual-network/default-domain:default-project:ip-fabric")
    assert (refused.status, "(HTTP 403)" in refused.err) == (1, True), refused.err
    nobody = Cli(port, home).run("ls", "project")
    assert (nobody.status, "(HTTP 401)" in nobody.err) == (1, True), nobody.err
