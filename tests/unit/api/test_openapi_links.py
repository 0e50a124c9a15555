"""Objects of every type are made, read, changed and deleted by the links of the OpenAPI document.

Changes are made up from the document, too: whether they are taken or refused, the answer is what
the document says, and so is the object after them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from tests.unit.api.test_every_type import FITTING, UNMADE, Server, Values
from tests.unit.api.test_openapi import CHECKED, Operation, told_operations

from tungsten.api import openapi
from tungsten.model import RESOURCE_TYPES, resource_type


@cache
def operations() -> dict[str, Operation]:
    """All operations by their ids."""
    return {one.definition.raw["operationId"]: one for one in told_operations()}


@pytest.fixture(scope="module")
def server(url: str) -> Server:
    return Server(url)


@pytest.fixture(scope="module")
def session() -> requests.Session:
    return requests.Session()


def followed(expression: str, body: Values) -> Any:
    """The value of a runtime expression: a JSON pointer into an answer."""
    start, _, pointer = expression.partition("#/")
    assert start == "$response.body"
    value: Any = body
    for name in pointer.split("/"):
        value = value[name]
    return value


@pytest.mark.parametrize("type_", sorted(RESOURCE_TYPES.keys() - UNMADE))
def test_links_lead_from_making_an_object_to_deleting_it(
    server: Server, session: requests.Session, type_: str
) -> None:
    declared = resource_type(type_)
    fields = server.minimal(declared)
    if type_ == "alarm":
        fields["alarm_rules"] = FITTING["alarm", "alarm_rules"](server, 1)

    def call(case: Any) -> Any:
        return case.call_and_validate(base_url=server.url, session=session, checks=CHECKED)

    make = operations()[f"create-{type_}"]
    made = call(make.Case(body={type_: fields}, media_type="application/json"))
    assert made.status_code == 200, made.text
    told = openapi.document()["paths"][f"/{declared.plural}"]["post"]["responses"]["200"]
    links: dict[str, tuple[Operation, Values]] = {}
    for link in told["links"].values():
        values = {k: followed(v, made.json()) for k, v in link["parameters"].items()}
        links[link["operationId"].partition("-")[0]] = operations()[link["operationId"]], values
    assert links.keys() == {"read", "update", "delete"}

    def follow(verb: str) -> Any:
        operation, parameters = links[verb]
        return call(operation.Case(path_parameters=parameters))

    assert follow("read").json()[type_]["uuid"] == made.json()[type_]["uuid"]
    change, parameters = links["update"]

    @settings(
        max_examples=2,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=change.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def update(case: Any) -> None:
        case.path_parameters, case.headers = parameters, {}
        before = follow("read").text
        answer = call(case)
        after = follow("read")
        assert after.status_code == 200
        assert answer.status_code < 300 or after.text == before

    update()
    assert follow("delete").status_code == 200
    assert follow("read").status_code == 404
