"""A real API server on a real store, in this process, for the tests of the API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tungsten.api.service import ApiService
from tungsten.api.settings import ApiSettings
from tungsten.store import Store, open_store

IPAM = ["default-domain", "default-project", "default-network-ipam"]
PROJECT = ["default-domain", "p1"]


@dataclass(frozen=True)
class Answer:
    """An answer of the server."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body as JSON, which must be declared as such."""
        assert self.headers["content-type"] == "application/json", self.text
        return json.loads(self.text)


class Api:
    """Requests to a server, and short cuts for the objects that most tests need."""

    def __init__(self, service: ApiService, session: aiohttp.ClientSession, store: Store) -> None:
        self.service = service
        self.port = service.port
        self.url = f"http://127.0.0.1:{service.port}"
        self.session = session
        self.store = store

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request."""
        if body is not None:
            data = json.dumps(body).encode()
            headers = {"content-type": 'application/json; charset="UTF-8"', **(headers or {})}
        async with self.session.request(
            method, self.url + path, data=data, headers=headers
        ) as response:
            lower = {key.lower(): value for key, value in response.headers.items()}
            return Answer(response.status, await response.text(), lower)

    async def post(self, path: str, body: Any) -> Answer:
        """A POST."""
        return await self.ask("POST", path, body)

    async def put(self, type_: str, uuid: str, **fields: Any) -> Answer:
        """A PUT of some members of an object."""
        return await self.ask("PUT", f"/{type_}/{uuid}", {type_: fields})

    async def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        answer = await self.ask("GET", path)
        assert answer.status == 200, answer.text
        return answer.json

    async def show(self, type_: str, uuid: str) -> Any:
        """An object."""
        return (await self.get(f"/{type_}/{uuid}"))[type_]

    async def delete(self, type_: str, uuid: str) -> Answer:
        """A DELETE."""
        return await self.ask("DELETE", f"/{type_}/{uuid}")

    async def create(self, type_: str, **fields: Any) -> str:
        """Create an object that must be accepted; returns its uuid."""
        answer = await self.post(f"/{type_}s", {type_: fields})
        assert answer.status == 200, answer.text
        return str(answer.json[type_]["uuid"])

    async def project(self) -> str:
        """The project that the tests use."""
        return await self.create("project", fq_name=PROJECT, parent_type="domain")

    async def network(self, name: str = "vn1", cidr: str = "10.0.1.0/24", **subnet: Any) -> str:
        """A network with one subnet."""
        return await self.create("virtual-network", **network_body(name, cidr, **subnet))

    async def port_of(self, network: str = "vn1", name: str = "port1", **fields: Any) -> str:
        """An interface in a network."""
        return await self.create(
            "virtual-machine-interface",
            fq_name=[*PROJECT, name],
            parent_type="project",
            virtual_network_refs=[{"to": [*PROJECT, network]}],
            **fields,
        )

    async def try_address(self, name: str, network: str = "vn1", **fields: Any) -> Answer:
        """Ask for an instance-ip."""
        body = {
            "fq_name": [name],
            "virtual_network_refs": [{"to": [*PROJECT, network]}],
            **fields,
        }
        return await self.post("/instance-ips", {"instance-ip": body})

    async def address(self, name: str, network: str = "vn1", **fields: Any) -> tuple[str, str]:
        """An instance-ip: its uuid and its address."""
        answer = await self.try_address(name, network, **fields)
        assert answer.status == 200, answer.text
        uuid = answer.json["instance-ip"]["uuid"]
        return uuid, (await self.show("instance-ip", uuid))["instance_ip_address"]


def network_body(name: str, cidr: str, **subnet: Any) -> dict[str, Any]:
    """The body of a network with one subnet."""
    prefix, _, length = cidr.partition("/")
    spec = {"subnet": {"ip_prefix": prefix, "ip_prefix_len": int(length)}, **subnet}
    return {
        "fq_name": [*PROJECT, name],
        "parent_type": "project",
        "network_ipam_refs": [{"to": IPAM, "attr": {"ipam_subnets": [spec]}}],
    }


@asynccontextmanager
async def serving(directory: Path, **settings: Any) -> AsyncIterator[Api]:
    """A server on a store in ``directory``."""
    store = open_store(f"sqlite:{directory / 'config.db'}")
    settings = {"listen": "127.0.0.1:0", "introspect_listen": "", **settings}
    service = ApiService(ApiSettings(**settings), store)
    try:
        await service.start()
        async with aiohttp.ClientSession() as session:
            yield Api(service, session, store)
    finally:
        await service.stop()
        await store.close()
