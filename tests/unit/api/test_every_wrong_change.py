"""No change of any field of any type is made by a wrong value, by any way of changing it.

``test_every_type`` tries all wrong values of all fields on creates. Here one of each field is tried
on what is there: by ``PUT``, as part of a transaction after one that is right, and in documents
that are applied or planned.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.test_every_type import FITTING, UNMADE, WRONG, Server, Values

from tungsten.model import RESOURCE_TYPES, resource_type

WAYS = ("PUT", "transaction", "apply", "plan")
RIGHT = {"display_name": "half of a change"}


@pytest.fixture(scope="module")
def server(url: str) -> Server:
    return Server(url)


def ask(server: Server, way: str, made: Values, type_: str, fields: Values) -> Any:
    uuid, named = made["uuid"], {"fq_name": made["fq_name"], **fields}
    if way == "PUT":
        return server.ask("PUT", f"/{type_}/{uuid}", {type_: {**RIGHT, **fields}})
    if way == "transaction":
        one = {"operation": "update", "type": type_, "uuid": uuid}
        operations = [{**one, "object": RIGHT}, {**one, "object": fields}]
        return server.ask("POST", "/transaction", {"operations": operations})
    documents = {"apply": [{type_: {**RIGHT, **named}}], "compile": False}
    return server.ask("POST", f"/{way}", documents)


@pytest.mark.parametrize("type_", sorted(RESOURCE_TYPES.keys() - UNMADE))
def test_a_wrong_value_of_any_field_changes_nothing(server: Server, type_: str) -> None:
    declared = resource_type(type_)
    fields = server.minimal(declared)
    if type_ == "alarm":
        fields["alarm_rules"] = FITTING["alarm", "alarm_rules"](server, 1)
    made = server.create(declared, fields)
    before = server.json("GET", "/healthz")["revision"]
    # Of each field another value at each way would be the same code again.
    once = {name: wrong for wrong, name in WRONG[type_]}
    for at, (name, wrong) in enumerate(once.items()):
        way = WAYS[at % len(WAYS)]
        answer = ask(server, way, made, type_, wrong)
        assert 400 <= answer.status_code < 500, (way, wrong, answer.text)
        assert name in answer.text, (way, wrong, answer.text)
    assert server.json("GET", "/healthz")["revision"] == before
    server.json("PUT", f"/{type_}/{made['uuid']}", {type_: RIGHT})
