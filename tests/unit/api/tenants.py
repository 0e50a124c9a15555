"""Two projects, red and blue, at an API in mode ``rbac``, and people who work in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.api.api_server import Answer, Api, network_body, serving
from tests.unit.api.keystone_stand_in import StandIn, keystone_settings, standing_in

RED = "11111111-1111-4111-8111-111111111111"
BLUE = "22222222-2222-4222-8222-222222222222"
EVERYTHING = {
    "rule_object": "*",
    "rule_field": "",
    "rule_perms": [{"role_name": "member", "role_crud": "CRUD"}],
}


class Person:
    """Someone with a token."""

    def __init__(self, api: Api, token: str) -> None:
        self.api = api
        self.headers = {"X-Auth-Token": token}

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        return await self.api.ask(method, path, body, headers=self.headers)

    async def create(self, type_: str, **fields: Any) -> str:
        answer = await self.ask("POST", f"/{type_}s", {type_: fields})
        assert answer.status == 200, answer.text
        return str(answer.json[type_]["uuid"])

    async def put(self, type_: str, uuid: str, **fields: Any) -> Answer:
        return await self.ask("PUT", f"/{type_}/{uuid}", {type_: fields})

    async def names(self, path: str) -> list[str]:
        answer = await self.ask("GET", path)
        assert answer.status == 200, answer.text
        (listed,) = answer.json.values()
        return [one["fq_name"][-1] for one in listed]


@dataclass
class World:
    """Two projects and who works in them; ``root`` may do everything."""

    api: Api
    keystone: StandIn
    root: Person
    red: Person
    blue: Person
    auditor: Person

    async def network(self, who: Person, name: str, **more: Any) -> str:
        project = "red" if who is self.red else "blue"
        fields = {**network_body(name, "10.0.1.0/24"), "fq_name": ["default-domain", project, name]}
        return await who.create("virtual-network", **{**fields, **more})

    async def allow(self, *rules: dict[str, Any]) -> None:
        """Add a list of rules that concerns everybody."""
        await self.root.create(
            "api-access-list",
            fq_name=["default-global-system-config", "more"],
            parent_type="global-system-config",
            api_access_list_entries={"rbac_rule": list(rules)},
        )


@asynccontextmanager
async def bare_world(directory: Path) -> AsyncIterator[World]:
    """A world in which only the default rules hold."""
    async with standing_in() as keystone:
        settings = keystone_settings(directory, keystone, aaa_mode="rbac")
        async with serving(directory, **settings) as api:

            def person(name: str, role: str, project: str = "") -> Person:
                return Person(api, keystone.token(name, role, project=name, project_id=project))

            root = person("root", "admin")
            for name, uuid in (("red", RED), ("blue", BLUE)):
                await root.create(
                    "project", uuid=uuid, fq_name=["default-domain", name], parent_type="domain"
                )
            yield World(
                api,
                keystone,
                root,
                person("red", "member", RED),
                person("blue", "member", BLUE),
                person("eve", "auditor"),
            )
