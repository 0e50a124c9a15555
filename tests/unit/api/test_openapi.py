"""The OpenAPI document, and requests made from it: never a failure, answers as it says."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.unit.api.api_server import Api

from tungsten.api import openapi, openapi_actions, openapi_operations
from tungsten.api.app import ApiApp
from tungsten.api.engine import Engine
from tungsten.api.operations import NETWORK_OPERATIONS
from tungsten.api.settings import ApiSettings
from tungsten.model import RESOURCE_TYPES, schema

PARTS = 4
"""The operations on types are asked in so many parts, each a test of its own."""

CHECKED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

Operation = APIOperation[Any, Any, Any, Any]

STREAMS = "/watch"
"""It answers as long as it is read; ``test_watch`` reads it."""


async def test_the_document_is_served_and_is_valid(api: Api) -> None:
    told = await api.get("/openapi.json")
    assert told["openapi"] == "3.1.0"
    assert told["components"]["schemas"].keys() >= RESOURCE_TYPES.keys()
    for one in told["components"]["schemas"].values():
        assert jsonschema_rs.meta.is_valid(one)
    names = told["components"]["schemas"].keys()
    text = (await api.ask("GET", "/openapi.json")).text
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= names
    operations = [
        one["operationId"]
        for item in told["paths"].values()
        for method, one in item.items()
        if method != "parameters"
    ]
    assert len(operations) == len(set(operations))
    assert set(re.findall(r'"operationId":"([^"]+)"', text)) == set(operations)


async def test_every_action_that_is_served_is_in_the_document(api: Api) -> None:
    app = ApiApp(Engine(api.store), ApiSettings())
    paths = (await api.get("/openapi.json"))["paths"]
    for path, methods in app._actions.items():
        assert {method.upper() for method in paths[path]} == set(methods), path
    networks = {f"/virtual-network/{{uuid}}/{name}" for name in NETWORK_OPERATIONS}
    assert openapi_actions.paths().keys() <= app._actions.keys()
    assert openapi_operations.paths().keys() <= app._actions.keys() | networks
    assert networks <= paths.keys()


async def test_what_may_go_to_a_draft_says_so(api: Api) -> None:
    paths = (await api.get("/openapi.json"))["paths"]
    drafted = {
        f"{method} {path}"
        for path, item in paths.items()
        for method, one in item.items()
        if method != "parameters" and "202" in one["responses"]
    }
    assert {"post /firewall-rules", "put /address-group/{uuid}"} <= drafted
    assert {f"post /{name}" for name in ("apply", "ref-update", "set-tag", "transaction")} < drafted
    assert not {one for one in drafted if one.startswith("get ") or "virtual-network" in one}
    page = (await api.ask("GET", "/documentation/")).text
    assert page.count("202") >= len(drafted)


async def test_the_page_is_found_at_its_folder(api: Api) -> None:
    for path in ("/documentation", "/documentation/"):
        async with api.session.get(api.url + path, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["location"]) == (302, "/documentation/index.html")


async def test_the_page_shows_types_fields_and_actions_without_loading_anything(api: Api) -> None:
    answer = await api.ask("GET", "/documentation/openapi.html")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for part in (
        "/prop-collection-update",
        'id="virtual-machine-interface"',
        "network_ipam_refs",
        'id="VnSubnetsType"',
        schema.meaning(RESOURCE_TYPES["fabric"].cls),
    ):
        assert part in answer.text
    assert not re.search(r"<script|src=|(href|url)\W{1,2}http", answer.text)
    targets = set(re.findall(r'href="#([^"]+)"', answer.text))
    assert targets <= set(re.findall(r'id="([^"]+)"', answer.text))


def told_operations() -> list[Operation]:
    told = schemathesis.openapi.from_dict(openapi.document())
    operations = [one.ok() for one in told.get_all_operations() if isinstance(one, Ok)]
    return [one for one in operations if one.path != STREAMS]


def is_action(operation: Operation) -> bool:
    return "actions" in (operation.tags or ())


def test_all_operations_are_asked() -> None:
    """Five of each type, and the actions."""
    types = [one for one in told_operations() if not is_action(one)]
    assert len(types) == 5 * len(RESOURCE_TYPES)
    assert sum(1 for one in told_operations() if is_action(one)) > 40


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", ["actions", *range(PARTS)])
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_requests_made_from_the_document_are_answered_as_it_says(
    url: str, mode: GenerationMode, part: str | int
) -> None:
    """All operations; those on types are much the same, and are asked less."""
    operations = told_operations()
    actions = [one for one in operations if is_action(one)]
    types = [one for one in operations if not is_action(one)]
    session = requests.Session()
    for operation in actions if isinstance(part, str) else types[part::PARTS]:

        @settings(
            max_examples=6 if isinstance(part, str) else 1,
            phases=[Phase.generate],
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=url, session=session, checks=CHECKED)

        try:
            ask()
        except Unsatisfiable:  # what takes nothing cannot be asked wrongly
            assert mode is GenerationMode.NEGATIVE
