"""What the OpenAPI document says of :mod:`tungsten.api.operations`."""

from __future__ import annotations

from typing import Any

from tungsten.api.json_schema import FQ_NAME, UUID
from tungsten.api.openapi_actions import TEXT, TYPE, action, query, record

Json = dict[str, Any]

EMPTY = "text/html"
"""The type of answers without a body."""

NUMBER: Json = {"type": "integer", "minimum": 0, "maximum": 2**63 - 2}
TEXTS: Json = {"type": "array", "items": TEXT}


def paths() -> Json:
    """The operations by path."""
    return {**_texts(), **_numbers(), **_addresses(), **_batches(), **_store(), **_beside()}


def _texts() -> Json:
    keys: Json = {"anyOf": [TEXT, TEXTS, {"type": "null"}]}
    told = action(
        "useragent-kv",
        "Keep texts under keys of the client's own",
        sends=record(
            "operation",
            "key",
            operation={"enum": ["STORE", "RETRIEVE", "DELETE"]},
            key=keys,
            value=TEXT,
        ),
        answers=record("value", value={}),
    )
    told["responses"]["200"]["content"][EMPTY] = {"schema": TEXT}
    return {
        "/useragent-kv": {"post": told},
        "/ref-relax-for-delete": {
            "post": action(
                "ref-relax-for-delete",
                "A reference shall not keep its target from being deleted",
                sends=record("uuid", "ref-uuid", **{"uuid": UUID, "ref-uuid": UUID}),
                answers=record("uuid", uuid=UUID),
            )
        },
    }


def _numbers() -> Json:
    pool = {"type": "string", "minLength": 1}
    one = record("pool", "value", pool=pool, value=NUMBER)
    return {
        "/int-pools": {
            "post": action(
                "int-pools-make",
                "Make a pool of numbers",
                sends=record("pool", "start", "end", pool=pool, start=NUMBER, end=NUMBER),
                media=EMPTY,
            ),
            "delete": action(
                "int-pools-delete",
                "Forget a pool and who has its numbers",
                sends=record("pool", pool=pool),
                media=EMPTY,
            ),
        },
        "/int-pool": {
            "get": action(
                "int-pool-owner",
                "Who has a number of a pool",
                parameters=[
                    query("pool", "The pool.", required=True),
                    query("value", "The number.", required=True, told=NUMBER),
                ],
                answers=record("owner", owner={"type": ["string", "null"]}),
            ),
            "post": action(
                "int-pool-give",
                "Give out a number of a pool, the lowest free one if none is asked for",
                sends=record(
                    "pool",
                    "owner",
                    pool=pool,
                    owner=TEXT,
                    value={"anyOf": [NUMBER, {"type": "null"}]},
                ),
                answers=record("value", value=NUMBER),
            ),
            "delete": action(
                "int-pool-take-back", "A number of a pool is free again", sends=one, media=EMPTY
            ),
        },
    }


def _addresses() -> Json:
    network = {
        "name": "uuid",
        "in": "path",
        "required": True,
        "description": "The network.",
        "schema": UUID,
    }
    path = "/virtual-network/{uuid}/"
    asked = record(
        count={"type": "integer", "minimum": 1, "maximum": 4096},
        subnet={"type": ["string", "null"]},
        family={"enum": ["v4", "v6", None]},
    )
    addresses = record("ip_addr", ip_addr=TEXTS)
    counts = {"type": "array", "items": {"type": "integer", "minimum": 0}}
    return {
        path + "ip-alloc": {
            "post": action(
                "ip-alloc",
                "Take addresses of a network without an object",
                sends=asked,
                answers=addresses,
                parameters=[network],
            )
        },
        path + "ip-free": {
            "post": action(
                "ip-free",
                "Give addresses of no object back",
                sends=addresses,
                media=EMPTY,
                parameters=[network],
            )
        },
        path + "subnet-ip-count": {
            "post": action(
                "subnet-ip-count",
                "How many addresses of subnets are taken",
                sends=record("subnet_list", subnet_list=TEXTS),
                answers=record("ip_count_list", ip_count_list=counts),
                parameters=[network],
            )
        },
    }


def _batches() -> Json:
    operation = record(
        "operation",
        operation={
            "enum": [
                "create",
                "update",
                "delete",
                "ref-update",
                "prop-collection-update",
                "set-tag",
            ]
        },
        type=TYPE,
        uuid=UUID,
        fq_name=FQ_NAME,
        object={"type": "object"},
    )
    results: Json = {"type": "array", "items": {"type": "object"}}
    return {
        "/transaction": {
            "post": action(
                "transaction",
                "Many operations in their order, all or none",
                sends=record("operations", operations={"type": "array", "items": operation}),
                answers=record("results", results=results),
                drafts=True,
            )
        }
    }


def _store() -> Json:
    kinds: Json = {"type": "array", "items": {"type": "array", "items": {"type": "object"}}}
    return {
        "/db-check": {
            "post": action(
                "db-check",
                "What does not hold in the store",
                answers=record("results", results=TEXTS),
            )
        },
        "/fetch-records": {
            "post": action(
                "fetch-records",
                "All objects, a list for each type",
                answers=record("results", results=kinds),
            )
        },
    }


def _beside() -> Json:
    uuids = {"anyOf": [TEXTS, TEXT]}
    cached = {"type": "object", "additionalProperties": {"type": "object"}}
    manifests = {"type": "array", "items": {"type": "object"}, "minItems": 3, "maxItems": 3}
    asked = record(hbs_uuid=UUID, hbs_fq_name=FQ_NAME)
    told: Json = {
        "/hbs-get": {
            "post": action(
                "hbs-get",
                "The Kubernetes manifests of a host-based-service",
                sends=asked,
                answers=record("hbs", hbs=manifests),
            )
        },
        "/obj-cache": {
            "get": action(
                "obj-cache-first",
                "Objects as they are stored, by number",
                parameters=[query("uuids", "These."), query("count", "At most this many.")],
                answers=cached,
            ),
            "post": action(
                "obj-cache",
                "Objects as they are stored, by number",
                sends=record(uuids=uuids, count=NUMBER),
                answers=cached,
            ),
        },
    }
    for name in ("execute-job", "abort-job", "amqp-publish", "amqp-request"):
        refused = action(name, "Refused: there is no message bus", sends={"type": "object"})
        refused["responses"]["501"] = refused["responses"]["4XX"]
        told[f"/{name}"] = {"post": refused}
    return told
