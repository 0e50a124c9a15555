"""Mode ``rbac``: what rules and owners let a member of a project see and do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.api.api_server import network_body
from tests.unit.api.tenants import BLUE, EVERYTHING, RED, Person, World

from tungsten.api.access_lists import RULED
from tungsten.api.front import OPEN

# -- rules -----------------------------------------------------------------------------------


async def test_without_rules_a_member_may_find_things_and_no_more(bare: World) -> None:
    name = {"type": "project", "fq_name": ["default-domain", "red"]}
    assert (await bare.red.ask("POST", "/fqname-to-id", name)).json == {"uuid": RED}
    assert (await bare.red.ask("GET", "/")).status == 200
    refused = await bare.red.ask("GET", "/virtual-networks")
    text = "Permission Denied for red as member to R virtual-network in red"
    assert (refused.status, refused.text) == (403, text)
    assert (await bare.auditor.ask("GET", "/virtual-networks")).status == 200
    nobody = Person(bare.api, bare.keystone.token("nobody", project_id=RED))
    answer = await nobody.ask("GET", "/virtual-networks")
    assert (answer.status, answer.text) == (401, "roles empty!!")


async def test_rules_of_a_project_are_for_its_members(bare: World) -> None:
    await bare.root.create(
        "api-access-list",
        fq_name=["default-domain", "red", "own"],
        parent_type="project",
        api_access_list_entries={"rbac_rule": [EVERYTHING]},
    )
    assert (await bare.red.ask("GET", "/virtual-networks")).status == 200
    assert (await bare.blue.ask("GET", "/virtual-networks")).status == 403


async def test_without_any_list_nobody_passes(bare: World) -> None:
    path = "/api-access-lists?fields=fq_name"
    for one in (await bare.root.ask("GET", path)).json["api-access-lists"]:
        await bare.root.ask("DELETE", f"/api-access-list/{one['uuid']}")
    refused = await bare.red.ask("GET", "/virtual-networks")
    assert (refused.status, refused.text) == (403, "Permission Denied RBAC rule list empty")


async def test_a_field_may_have_a_rule_of_its_own(bare: World) -> None:
    field = {
        "rule_object": "virtual-network",
        "rule_field": "is_shared",
        "rule_perms": [{"role_name": "chief", "role_crud": "CRUD"}],
    }
    await bare.allow(EVERYTHING, field)
    network = await bare.network(bare.red, "a")
    assert (await bare.red.put("virtual-network", network, display_name="x")).status == 200
    assert (await bare.red.put("virtual-network", network, is_shared=True)).status == 403


READ_ONLY = {**EVERYTHING, "rule_perms": [{"role_name": "member", "role_crud": "R"}]}
ACTIONS_ONLY = [
    {"rule_object": name, "rule_field": "", "rule_perms": [{"role_name": "*", "role_crud": "CRUD"}]}
    for name in (
        "ref-update", "set-tag", "prop-collection-update", "prop-collection-get",
        "list-bulk-collection", "transaction", "chmod", "chown", "ref-relax-for-delete", "watch",
        "apply", "plan",
    )
]  # fmt: skip

RED_A = {"fq_name": ["default-domain", "red", "a"], "display_name": "other"}

ROUND_ABOUT: list[Callable[[str], tuple[str, str, Any]]] = [
    lambda u: (
        "POST",
        "/ref-update",
        {
            "type": "virtual_network",
            "uuid": u,
            "ref-type": "network-policy",
            "ref-uuid": u,
            "operation": "DELETE",
        },
    ),
    lambda u: ("POST", "/set-tag", {"obj_type": "virtual_network", "obj_uuid": u, "tier": None}),
    lambda u: ("POST", "/prop-collection-update", {"uuid": u, "updates": []}),
    lambda u: ("POST", "/chmod", {"uuid": u, "global_access": 7}),
    lambda u: ("POST", "/chown", {"uuid": u, "owner": RED}),
    lambda u: ("POST", "/ref-relax-for-delete", {"uuid": u, "ref-uuid": u}),
    lambda u: (
        "POST",
        "/transaction",
        {"operations": [{"operation": "delete", "type": "virtual-network", "uuid": u}]},
    ),
    lambda u: (
        "POST",
        "/transaction",
        {
            "operations": [
                {
                    "operation": "set-tag",
                    "obj_type": "virtual_network",
                    "obj_uuid": u,
                    "tier": None,
                }
            ]
        },
    ),
    *(
        lambda u, path=path, member=member: ("POST", path, {member: [{"virtual-network": RED_A}]})
        for path in ("/apply", "/plan")
        for member in ("apply", "delete")
    ),
    lambda u: ("DELETE", f"/virtual-networks/{u}", None),
    lambda u: ("POST", f"/virtual-network/{u}/ip-alloc", {}),
]


@pytest.mark.parametrize("way", range(len(ROUND_ABOUT)))
async def test_no_way_leads_around_the_rule_of_a_type(bare: World, way: int) -> None:
    await bare.allow(
        *ACTIONS_ONLY,
        {**READ_ONLY, "rule_object": "virtual-network"},
    )
    network = await bare.root.create(
        "virtual-network",
        **{**network_body("a", "10.0.1.0/24"), "fq_name": ["default-domain", "red", "a"]},
    )
    method, path, body = ROUND_ABOUT[way](network)
    refused = await bare.red.ask(method, path, body)
    assert (refused.status, refused.text[:17]) == (403, "Permission Denied")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/list-bulk-collection", {"type": "virtual_network"}),
        ("GET", "/watch?resource_type=project,virtual_network", None),
    ],
)
async def test_no_way_of_reading_leads_around_the_rule_of_a_type(
    bare: World, method: str, path: str, body: Any
) -> None:
    await bare.allow(*ACTIONS_ONLY, {**READ_ONLY, "rule_object": "project"})
    assert (await bare.red.ask(method, path, body)).status == 403


async def test_every_action_is_open_ruled_or_for_administrators(world: World) -> None:
    paths = world.api.service.paths
    for path in sorted(paths - set(OPEN) - RULED):
        if not path.startswith("/documentation"):
            for method in ("GET", "POST"):
                assert (await world.red.ask(method, path)).status == 403, path
    assert paths >= RULED
    assert (await world.red.ask("GET", "/not-there")).status == 403


# -- objects ---------------------------------------------------------------------------------


async def test_what_a_member_makes_belongs_to_its_project(world: World) -> None:
    network = await world.network(world.red, "a")
    shown = (await world.red.ask("GET", f"/virtual-network/{network}")).json["virtual-network"]
    assert shown["perms2"]["owner"] == RED.replace("-", "")
    said = shown["id_perms"]["permissions"]
    assert (said["owner"], said["group"]) == ("red", "member")


async def test_others_neither_see_nor_change_nor_name_it(world: World) -> None:
    network = await world.network(world.red, "a")
    path = f"/virtual-network/{network}"
    assert "a" in await world.red.names("/virtual-networks")
    assert "a" not in await world.blue.names("/virtual-networks")
    bulk = await world.blue.ask("POST", "/list-bulk-collection", {"type": "virtual_network"})
    assert network not in bulk.text
    name = {"type": "virtual-network", "fq_name": ["default-domain", "red", "a"]}
    port = {
        "fq_name": ["default-domain", "blue", "p"],
        "parent_type": "project",
        "virtual_network_refs": [{"to": name["fq_name"]}],
    }
    below = {**network_body("x", "10.0.9.0/24"), "fq_name": ["default-domain", "red", "x"]}
    for method, where, body in (
        ("GET", path, None),
        ("PUT", path, {"virtual-network": {"display_name": "x"}}),
        ("DELETE", path, None),
        ("POST", "/fqname-to-id", name),
        ("POST", "/id-to-fqname", {"uuid": network}),
        ("POST", "/chmod", {"uuid": network, "global_access": 7}),
        ("POST", "/chown", {"uuid": network, "owner": BLUE}),
        ("POST", "/prop-collection-update", {"uuid": network, "updates": []}),
        ("GET", f"/prop-collection-get?uuid={network}&fields=annotations", None),
        ("POST", path + "/ip-alloc", {}),
        ("POST", path + "/ip-free", {"ip_addr": []}),
        ("POST", path + "/subnet-ip-count", {"subnet_list": []}),
        ("POST", "/virtual-machine-interfaces", {"virtual-machine-interface": port}),
        ("POST", "/virtual-networks", {"virtual-network": below}),
        (
            "POST",
            "/transaction",
            {"operations": [{"operation": "delete", "type": "virtual-network", "uuid": network}]},
        ),
    ):
        answer = await world.blue.ask(method, where, body)
        assert answer.status == 403, (method, where, answer.text)
    refused = await world.blue.ask("DELETE", path)
    assert refused.text == (
        "Permission Denied for ['member'] to write operation in domain 'Default' and project "
        f"'blue' RBAC: blue doesn't have write permission in project '{RED.replace('-', '')}'"
    )
    assert (await world.auditor.ask("GET", path)).status == 200
    assert (await world.auditor.ask("DELETE", path)).status == 403
    assert (await world.red.ask("DELETE", path)).status == 200


@pytest.mark.parametrize(
    "share",
    [
        {"share": [{"tenant": BLUE, "tenant_access": 5}]},
        {"share": [{"tenant": f"tenant:{BLUE}", "tenant_access": 5}]},
        {"share": [{"tenant": "domain:{domain}", "tenant_access": 5}]},
        {"global_access": 5},
    ],
)
async def test_what_is_shared_may_be_read_and_referred_to(
    world: World, share: dict[str, Any]
) -> None:
    network = await world.network(world.red, "a")
    domain = (
        await world.root.ask(
            "POST", "/fqname-to-id", {"type": "domain", "fq_name": ["default-domain"]}
        )
    ).json["uuid"]
    said = json.loads(json.dumps(share).replace("{domain}", domain))
    chmod = await world.red.ask("POST", "/chmod", {"uuid": network, **said})
    assert chmod.status == 200, chmod.text
    path = f"/virtual-network/{network}"
    assert (await world.blue.ask("GET", path)).status == 200
    assert "a" in await world.blue.names("/virtual-networks")
    own = f"/virtual-networks?parent_id={BLUE}"
    assert await world.blue.names(own) == []
    assert "a" in await world.blue.names(own + "&shared=True")
    port = await world.blue.create(
        "virtual-machine-interface",
        fq_name=["default-domain", "blue", "p"],
        parent_type="project",
        virtual_network_refs=[{"to": ["default-domain", "red", "a"]}],
    )
    assert (await world.blue.put("virtual-network", network, display_name="x")).status == 403
    assert (await world.blue.ask("DELETE", path)).status == 403
    seen_by_red = (await world.red.ask("GET", path)).json["virtual-network"]
    assert "virtual_machine_interface_back_refs" not in seen_by_red
    seen_by_root = (await world.root.ask("GET", path)).json["virtual-network"]
    assert [one["uuid"] for one in seen_by_root["virtual_machine_interface_back_refs"]] == [port]


async def test_a_reference_stays_when_its_target_is_not_shared_any_more(world: World) -> None:
    network = await world.network(world.red, "a")
    await world.red.ask("POST", "/chmod", {"uuid": network, "global_access": 5})
    port = await world.blue.create(
        "virtual-machine-interface",
        fq_name=["default-domain", "blue", "p"],
        parent_type="project",
        virtual_network_refs=[{"to": ["default-domain", "red", "a"]}],
    )
    await world.red.ask("POST", "/chmod", {"uuid": network, "global_access": 0})
    changed = await world.blue.put("virtual-machine-interface", port, display_name="x")
    assert changed.status == 200
    shown = await world.blue.ask("GET", f"/virtual-machine-interface/{port}")
    assert "virtual_network_refs" not in shown.json["virtual-machine-interface"]
    detail = await world.blue.ask("GET", "/virtual-machine-interfaces?detail=true")
    assert network not in detail.text


async def test_a_share_to_write_does_not_let_others_delete(world: World) -> None:
    network = await world.network(world.red, "a")
    share = [{"tenant": BLUE, "tenant_access": 7}]
    await world.red.ask("POST", "/chmod", {"uuid": network, "share": share})
    assert (await world.blue.put("virtual-network", network, display_name="x")).status == 200
    assert (await world.blue.ask("DELETE", f"/virtual-network/{network}")).status == 403
    said = await world.blue.ask("GET", f"/obj-perms?uuid={network}")
    assert said.json["permissions"] == "RWX"


async def test_an_owner_who_gives_itself_nothing_has_nothing(world: World) -> None:
    network = await world.network(world.red, "a")
    chmod = {"uuid": network, "owner_access": 4}
    assert (await world.red.ask("POST", "/chmod", chmod)).status == 200
    assert (await world.red.put("virtual-network", network, display_name="x")).status == 403
    assert (await world.red.ask("GET", f"/obj-perms?uuid={network}")).json["permissions"] == "R"


async def test_what_is_not_for_users_is_not_there_for_them(world: World) -> None:
    body = network_body("hid", "10.0.1.0/24") | {
        "fq_name": ["default-domain", "red", "hid"],
        "id_perms": {"user_visible": False},
    }
    refused = await world.red.ask("POST", "/virtual-networks", {"virtual-network": body})
    assert (refused.status, refused.text) == (400, "This object is not visible by users")
    hidden = await world.root.create("virtual-network", **body)
    answer = await world.red.ask("GET", f"/virtual-network/{hidden}")
    text = f"This object is not visible by users: {hidden}"
    assert (answer.status, answer.text) == (404, text)
    assert "hid" not in await world.red.names("/virtual-networks")
    assert (await world.red.ask("DELETE", f"/virtual-network/{hidden}")).status == 404
    project = (await world.red.ask("GET", f"/project/{RED}")).json["project"]
    assert "virtual_networks" not in project


async def test_a_watch_shows_what_its_reader_may_see(world: World) -> None:
    revision = (await world.api.get("/healthz"))["revision"]
    path = f"{world.api.url}/watch?resource_type=virtual_network&since={revision}"
    async with world.api.session.get(path, headers=world.blue.headers) as response:
        secret = await world.network(world.red, "secret")
        network = await world.network(world.red, "a")
        await world.red.ask("POST", "/chmod", {"uuid": network, "global_access": 5})
        await world.red.ask("POST", "/chmod", {"uuid": network, "global_access": 0})
        await world.red.ask("DELETE", f"/virtual-network/{network}")
        own = await world.network(world.blue, "own")
        events: list[tuple[bytes, str]] = []
        kind = b""
        while own not in str(events):
            line = await response.content.readline()
            if line.startswith(b"event: "):
                kind = line.removeprefix(b"event: ").strip()
            elif line.startswith(b"data: "):
                events.append((kind, line.decode()))
    assert secret not in str(events)
    assert [kind for kind, _ in events] == [b"update", b"delete", b"create"]
    assert network in events[0][1]
    assert network in events[1][1]


async def test_a_member_does_not_lift_its_own_limits(world: World) -> None:
    assert (await world.red.put("project", RED, display_name="x")).status == 200
    assert (await world.red.put("project", RED, quota={"virtual_network": 99})).status == 403
    rules = {
        "fq_name": ["default-domain", "red", "own"],
        "parent_type": "project",
        "api_access_list_entries": {"rbac_rule": [EVERYTHING]},
    }
    refused = await world.red.ask("POST", "/api-access-lists", {"api-access-list": rules})
    assert refused.status == 403


async def test_a_watch_ends_when_its_token_expires(world: World) -> None:
    soon = datetime.fromtimestamp(time.time() + 2, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    token = world.keystone.token("red", "member", project_id=RED, expires_at=soon)
    path = f"{world.api.url}/watch?resource_type=project"
    async with world.api.session.get(path, headers={"X-Auth-Token": token}) as response:
        text = await asyncio.wait_for(response.text(), 10)
    assert text.endswith("event: stop\ndata: {}\n\n")
