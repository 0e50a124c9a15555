"""Bodies of any form: refused with a reason, never a failure, never half of a change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.api.api_server import PROJECT
from tests.unit.webui.web import CONFIG, Bed, Web

from tungsten.webui.app import READS, WRITES

UUID = "00000000-0000-4000-8000-00000000000a"
KEYS = st.sampled_from(
    [
        "data", "type", "uuid", "deleteIDs", "userData", "uuids", "fq_name", "to", "parent_type",
        "virtual-network", "virtual-machine-interface", "logical-router", "service-instance",
        "loadbalancer", "loadbalancer-member", "loadbalancer-pool", "tag_refs", "vmis",
        "instance_ip_back_refs", "instance_ip_address", "port_tuples", "perms2",
        "virtual_machine_interface_refs", "virtual_network_refs", "detail_fields", "fields",
        "filters", "back_ref_id", "interfaceType", "network_ipam_refs", "attr",
    ]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=5),
    st.sampled_from([UUID, "virtual-network", "virtual-networks", "project", "10.0.0.1"]),
    st.just([*PROJECT, "x"]),
    st.just(PROJECT),
)
BODIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=14,
)


async def objects(bed: Bed) -> int:
    answer = await bed.api.post("/fetch-records", {})
    return sum(len(one) for one in answer.json["results"])


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=BODIES, data=st.data())
@pytest.mark.parametrize("name", [*WRITES, *READS])
async def test_any_body_is_answered_or_refused_whole(
    bed: Bed, web: Web, name: str, body: Any, data: st.DataObject
) -> None:
    before = await objects(bed)
    if data.draw(st.booleans()):
        body = {"data": [body]} if "config" in name else [body]
    answer = await web.ask(CONFIG + name, body)
    assert answer.status == 200 or 400 <= answer.status < 500, (json.dumps(body), answer.text)
    if answer.status != 200:
        assert answer.text
        assert await objects(bed) == before


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"virtual-network": NaN}'])
async def test_what_is_no_json_is_refused(web: Web, data: bytes) -> None:
    for path in (CONFIG + "create-config-object", "/authenticate"):
        assert (await web.ask(path, data=data)).status == 400


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("create-config-object", {"no-such-type": {}}, "no-such-type"),
        ("create-config-object", {"virtual-network": 5}, "virtual-network"),
        ("update-config-object", {"virtual-network": {}}, "virtual-network.uuid"),
        ("delete", [{"type": "virtual-network"}], "deleteIDs"),
        ("delete", [{"deleteIDs": [UUID]}], "type"),
        ("get-config-objects", {"data": [{"type": "virtual-network"}]}, "data[0].uuid"),
        ("get-config-list", {"data": [{"type": "virtual-network"}]}, "data[0].type"),
        ("lbaas/load-balancer/delete", {}, "uuids"),
        ("service-instances", {}, "service-instance"),
    ],
)
async def test_a_refusal_names_the_field(web: Web, name: str, body: Any, said: str) -> None:
    answer = await web.ask(CONFIG + name, body)
    assert answer.status in (400, 404)
    assert said in answer.text


async def test_a_body_without_end_is_refused(web: Web, tmp_path: Path) -> None:
    answer = await web.ask(CONFIG + "delete", data=b" " * 2_000_000)
    assert answer.status == 413
    assert (await web.ask("/nowhere")).status == 404
    assert (await web.ask(CONFIG + "delete", method="GET")).status == 405
