"""Every type, by every way: who may not read an object learns nothing of it, who may not write it
changes nothing, and the rules of calls hold for each type and letter.

The objects are made from the declarations, as in ``test_every_type``; what may be done with them
is said here once, by their permissions.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from tests.unit.api.api_server import Answer
from tests.unit.api.tenants import BLUE, EVERYTHING, RED, Person, World, bare_world
from tests.unit.api.test_every_type import FITTING, UNMADE, Server

from tungsten.api.references import is_system_made
from tungsten.model import RESOURCE_TYPES, ROOT, resource_type

in_module = pytest.mark.asyncio(loop_scope="module")

TYPES = sorted(RESOURCE_TYPES.keys() - UNMADE)
TURNS = 4
"""What has nothing to do with the type is done in turns: at each type another part of it."""

READ, WRITE_ONLY, USE = 4, 2, 5

NOBODY = "33333333-3333-4333-8333-333333333333"
Ask = tuple[str, str, Any]


@dataclass(frozen=True)
class Thing:
    """An object that is red's."""

    type: str
    uuid: str
    fq_name: list[str]

    def turn(self, number: int = 0) -> bool:
        """Whether it is the turn of this type."""
        return (TYPES.index(self.type) + number) % TURNS == 0

    def in_turns(self, asks: Iterable[Ask]) -> list[Ask]:
        """The part of some requests whose turn it is."""
        return [one for number, one in enumerate(asks) if self.turn(number)]


@dataclass
class Matrix:
    """A world with an object of each type, and who asks for them."""

    world: World
    things: dict[str, Thing]

    async def grant(self, thing: Thing, access: int) -> None:
        """What everybody may do with an object."""
        body = {"uuid": thing.uuid, "owner": RED, "global_access": access, "share": []}
        answer = await self.world.root.ask("POST", "/chmod", body)
        assert answer.status == 200, answer.text


async def answers(who: Person, asks: Iterable[Ask]) -> list[tuple[Ask, Answer]]:
    """What is answered to requests that come at the same time."""
    asked = list(asks)
    return list(zip(asked, await asyncio.gather(*(who.ask(*one) for one in asked)), strict=True))


def _make(url: str, token: str) -> dict[str, Thing]:
    server = Server(url)
    server.headers["X-Auth-Token"] = token
    things = {}
    for type_ in TYPES:
        declared = resource_type(type_)
        fields = server.minimal(declared)
        if type_ == "alarm":
            fields["alarm_rules"] = FITTING["alarm", "alarm_rules"](server, 1)
        made = server.create(declared, fields)
        things[type_] = Thing(type_, made["uuid"], made["fq_name"])
    return things


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def matrix(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Matrix]:
    async with bare_world(tmp_path_factory.mktemp("world")) as world:
        await world.allow(
            EVERYTHING,
            {**EVERYTHING, "rule_object": "api-access-list"},
            *(
                {
                    "rule_object": object_,
                    "rule_perms": [{"role_name": f"only {one}", "role_crud": one}],
                }
                for one in "CRUD"
                for object_ in ("*", "api-access-list")
            ),
        )
        token = world.root.headers["X-Auth-Token"]
        things = await asyncio.to_thread(_make, world.api.url, token)
        matrix = Matrix(world, things)
        for thing in things.values():
            await matrix.grant(thing, 0)
        yield matrix


# -- reading ---------------------------------------------------------------------------------


def lists(thing: Thing) -> Iterator[Ask]:
    """Requests that are answered with what may be read, of what is asked for."""
    plural, name = f"/{thing.type}s", ":".join(thing.fq_name)
    yield "GET", plural, None
    for asked in (
        "detail=true",
        "fields=display_name,id_perms,perms2",
        "shared=true",
        f"obj_uuids={thing.uuid}",
        f"fq_names={name}",
        f"obj_uuids={thing.uuid}&detail=true",
        "page_marker=&page_limit=1000",
        f'filters=display_name=="{thing.fq_name[-1]}"',
    ):
        yield "GET", f"{plural}?{asked}", None
    for more in ({}, {"detail": True}, {"obj_uuids": [thing.uuid]}):
        yield "POST", "/list-bulk-collection", {"type": thing.type, **more}


def looks(thing: Thing) -> Iterator[Ask]:
    """Requests that are refused to who may not read."""
    path = f"/{thing.type}/{thing.uuid}"
    yield "GET", path, None
    yield "GET", f"{path}?fields=display_name", None
    yield "HEAD", path, None
    yield "POST", "/fqname-to-id", {"type": thing.type, "fq_name": thing.fq_name}
    yield "POST", "/id-to-fqname", {"uuid": thing.uuid}
    yield "GET", f"/prop-collection-get?uuid={thing.uuid}&fields=annotations", None


@in_module
@pytest.mark.parametrize("type_", TYPES)
async def test_who_may_not_read_an_object_learns_nothing_of_it(matrix: Matrix, type_: str) -> None:
    thing, blue = matrix.things[type_], matrix.world.blue
    for access in (0, WRITE_ONLY) if thing.turn() else (0,):
        await matrix.grant(thing, access)
        for ask, answer in await answers(blue, thing.in_turns(lists(thing))):
            assert answer.status == 200, (ask, answer.text)
            assert thing.uuid not in answer.text, ask
        counted = (await blue.ask("GET", f"/{type_}s?obj_uuids={thing.uuid}&count=true")).json
        assert counted == {f"{type_}s": {"count": 0}}
        for ask, answer in await answers(blue, looks(thing)):
            assert answer.status == 403, (ask, answer.text)
            assert thing.uuid not in answer.text, ask
        seen = await blue.ask("GET", f"/obj-perms?uuid={thing.uuid}")
        assert seen.json["permissions"] == ("W" if access else "")
    await matrix.grant(thing, READ)
    for ask, answer in await answers(blue, thing.in_turns(lists(thing))):
        assert thing.uuid in answer.text, ask
    for ask, answer in await answers(blue, looks(thing) if thing.turn() else ()):
        assert answer.status == 200, ask


@in_module
async def test_no_watch_shows_what_may_not_be_read(matrix: Matrix) -> None:
    things, blue = matrix.things.values(), matrix.world.blue
    for thing in things:
        await matrix.grant(thing, READ if thing.turn() else 0)
    names = ",".join(sorted(RESOURCE_TYPES))
    path = f"{blue.api.url}/watch?resource_type={names}"
    async with blue.api.session.get(path, headers=blue.headers) as response:
        text = b""
        while text.count(b"\n\n") < len(RESOURCE_TYPES):
            text += await asyncio.wait_for(response.content.readany(), 10)
    own = re.findall(rb'"([a-z-]+)":\{"uuid":"([0-9a-f-]+)"', text, re.IGNORECASE)
    shown = {uuid.decode() for _, uuid in own}
    for thing in things:
        assert (thing.uuid in shown) is thing.turn(), thing


@in_module
@pytest.mark.parametrize("type_", TYPES)
async def test_nothing_beside_an_object_tells_of_it(matrix: Matrix, type_: str) -> None:
    """Neither its parent, nor what it refers to, nor what refers to it."""
    thing, blue, root = matrix.things[type_], matrix.world.blue, matrix.world.root
    await matrix.grant(thing, 0)
    shown = (await root.ask("GET", f"/{type_}/{thing.uuid}")).json[type_]
    beside = {
        (str(one["href"]).split("/")[-2], str(one["uuid"]))
        for value in shown.values()
        if isinstance(value, list)
        for one in value
        if isinstance(one, dict) and "href" in one
    }
    if "parent_uuid" in shown:
        beside.add((shown["parent_type"], shown["parent_uuid"]))
    for other, uuid in sorted(beside):
        neighbour = (await root.ask("GET", f"/{other}/{uuid}?fields=perms2")).json[other]
        if neighbour.get("parent_uuid") == thing.uuid or not neighbour["id_perms"]["user_visible"]:
            continue
        before = neighbour["perms2"]
        assert (
            await root.ask("POST", "/chmod", {"uuid": uuid, "global_access": USE})
        ).status == 200
        back = f"{thing.type.replace('-', '_')}_back_refs,{thing.type.replace('-', '_')}s"
        ways: list[Ask] = [
            ("GET", path, None)
            for path in (
                f"/{other}/{uuid}",
                f"/{other}/{uuid}?fields={back}",
                f"/{other}s?obj_uuids={uuid}&detail=true",
                f"/{other}s?obj_uuids={uuid}&fields={back}",
            )
        ]
        for ask, answer in await answers(blue, thing.in_turns(ways)):
            assert answer.status == 200, (ask, answer.text)
            assert thing.uuid not in answer.text, ask
        body = {"uuid": uuid, "global_access": before["global_access"]}
        assert (await root.ask("POST", "/chmod", body)).status == 200


# -- writing ---------------------------------------------------------------------------------

PAIR = {"key": "k", "value": "v"}
ANNOTATE = {"updates": [{"field": "annotations", "operation": "set", "value": PAIR}]}


def writes(thing: Thing) -> Iterator[Ask]:
    """Requests that would change an object."""
    type_, uuid, path = thing.type, thing.uuid, f"/{thing.type}/{thing.uuid}"
    change = {"display_name": "changed"}
    document = {type_: {"fq_name": thing.fq_name, **change}}
    yield "PUT", path, {type_: change}
    yield "PUT", path, {type_: {"perms2": {"owner": BLUE, "global_access": 7}}}
    yield "PUT", path, {type_: {"id_perms": {"enable": False}}}
    yield "DELETE", path, None
    yield "DELETE", f"/{type_}s/{uuid}", None
    yield "POST", "/chown", {"uuid": uuid, "owner": BLUE}
    yield "POST", "/chmod", {"uuid": uuid, "global_access": 7}
    yield "POST", "/prop-collection-update", {"uuid": uuid, **ANNOTATE}
    yield "POST", "/set-tag", {"obj_type": type_, "obj_uuid": uuid, "tier": None}
    for name in ("/apply", "/plan"):
        yield "POST", name, {"apply": [document], "compile": False}
        yield "POST", name, {"delete": [document], "compile": False}
    steps: list[dict[str, Any]] = [
        {"operation": "update", "type": type_, "uuid": uuid, "object": change},
        {"operation": "update", "type": type_, "fq_name": thing.fq_name, "object": change},
        {"operation": "delete", "type": type_, "uuid": uuid},
        {"operation": "prop-collection-update", "uuid": uuid, **ANNOTATE},
        {"operation": "set-tag", "obj_type": type_, "obj_uuid": uuid, "tier": None},
    ]
    declared = resource_type(type_)
    for reference in declared.references.values():
        if not is_system_made(type_, reference) and reference.target in RESOURCE_TYPES:
            asked = {"type": type_, "uuid": uuid, "ref-type": reference.target, "ref-uuid": BLUE}
            yield "POST", "/ref-update", {**asked, "operation": "DELETE"}
            break
    for one in steps:
        yield "POST", "/transaction", {"operations": [one]}
    if declared.children:
        for below in RESOURCE_TYPES.values():
            if type_ in below.parents and below.name not in UNMADE:
                body = {"fq_name": [*thing.fq_name, "child"], "parent_type": type_}
                yield "POST", f"/{below.plural}", {below.name: body}
                break


@in_module
@pytest.mark.parametrize("type_", TYPES)
async def test_who_may_not_write_an_object_changes_nothing(matrix: Matrix, type_: str) -> None:
    thing, blue, root = matrix.things[type_], matrix.world.blue, matrix.world.root
    for access in (0, USE) if thing.turn() else (0,):
        await matrix.grant(thing, access)
        before = (await matrix.world.api.get("/healthz"))["revision"]
        for ask, answer in await answers(blue, writes(thing)):
            if type_ == "fabric" and access == USE and "child" in str(ask):
                continue  # below a fabric it takes no more
            refused = answer.status == 403 or (
                # A name, an address... that no child may have is refused before.
                answer.status == 400 and "child" in str(ask)
            )
            assert refused, (access, ask, answer.status, answer.text)
        assert (await matrix.world.api.get("/healthz"))["revision"] == before
    await matrix.grant(thing, 6)
    # To delete it, or to take it, one must own it.
    for ask, answer in await answers(blue, list(writes(thing))[3:7] if thing.turn(1) else ()):
        assert answer.status == 403, (ask, answer.text)
    kept = await root.ask("GET", f"/{type_}/{thing.uuid}")
    assert kept.json[type_]["perms2"]["owner"] == RED.replace("-", "")


@in_module
@pytest.mark.parametrize("type_", TYPES)
async def test_nobody_refers_to_what_is_not_for_it_to_refer_to(matrix: Matrix, type_: str) -> None:
    """By each reference that any type has to this one; by each way."""
    thing, blue, root = matrix.things[type_], matrix.world.blue, matrix.world.root
    await matrix.grant(thing, READ)
    at = 0
    for holder in RESOURCE_TYPES.values():
        for reference in holder.references.values():
            at += 1
            if type_ == "tag" and at % 20:
                continue  # every type has tags
            if reference.target != type_ or is_system_made(holder.name, reference):
                continue
            if holder.name in UNMADE or (holder.name, type_) == ("firewall-rule", "tag"):
                continue
            held = matrix.things[holder.name]
            if held.uuid == thing.uuid:
                continue
            refs = {reference.field: [{"uuid": thing.uuid, "to": thing.fq_name, "attr": None}]}
            mine = {"uuid": held.uuid, "global_access": 7}
            assert (await root.ask("POST", "/chmod", mine)).status == 200
            shown = await root.ask("GET", f"/{holder.name}/{held.uuid}")
            if thing.uuid in str(shown.json[holder.name].get(reference.field)):
                continue  # it refers to it already
            update = {"type": holder.name, "uuid": held.uuid, "object": refs}
            link = {"type": holder.name, "uuid": held.uuid, "ref-type": type_}
            link |= {"ref-uuid": thing.uuid, "operation": "ADD"}
            named = {holder.name: {"fq_name": held.fq_name, **refs}}
            ways: list[Ask] = [
                ("PUT", f"/{holder.name}/{held.uuid}", {holder.name: refs}),
                ("POST", "/ref-update", link),
                ("POST", "/transaction", {"operations": [{"operation": "update", **update}]}),
                ("POST", "/apply", {"apply": [named]}),
            ]
            for ask, answer in await answers(blue, thing.in_turns(ways)):
                assert answer.status == 403, (ask, reference.field, answer.text)
            assert (await root.ask("POST", "/chmod", {**mine, "global_access": 0})).status == 200


# -- rules -----------------------------------------------------------------------------------


@in_module
@pytest.mark.parametrize("letter", "CRUD")
async def test_a_role_makes_the_calls_of_its_letter_to_every_type(
    matrix: Matrix, letter: str
) -> None:
    world = matrix.world
    token = world.keystone.token("someone", f"only {letter}", project_id=RED)
    someone = Person(world.api, token)
    for type_, thing in matrix.things.items():
        path = f"/{type_}/{thing.uuid}"
        calls: dict[str, Ask] = {
            "C": ("POST", f"/{type_}s", {type_: {}}),
            "R": ("GET", f"/{type_}s?obj_uuids={NOBODY}", None),
            "U": ("PUT", path, {type_: {"no_such_field": 1}}),
            "D": ("DELETE", f"/{type_}/{NOBODY}", None),
        }
        asked = [one for at, one in enumerate(calls) if one == letter or thing.turn(at)]
        told = await answers(someone, (calls[one] for one in asked))
        for one, (ask, answer) in zip(asked, told, strict=True):
            text = f"Permission Denied for someone as only {letter} to {one} {type_} in {RED}"
            if one == letter:
                assert answer.status != 403, (ask, answer.text)
            else:
                assert (answer.status, answer.text) == (403, text)


def test_no_type_is_left_out() -> None:
    assert set(TYPES) | UNMADE == RESOURCE_TYPES.keys()
    assert ROOT in RESOURCE_TYPES
