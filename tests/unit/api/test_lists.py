"""Lists: anchors, shapes, order, paging, and the bulk form."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.api.api_server import PROJECT, Api

from tungsten.api.errors import BadRequest
from tungsten.api.queries import ListQuery, from_body, from_query, matches


def names(answer: Any, type_: str = "virtual-network") -> list[str]:
    return [one["fq_name"][-1] for one in answer[f"{type_}s"]]


@pytest.fixture
async def networks(api: Api) -> dict[str, str]:
    """Three networks, made in another order than that of their names."""
    return {
        name: await api.network(name, f"10.0.{n}.0/24") for n, name in enumerate(["b", "c", "a"])
    }


async def test_a_plain_element_has_identity_only(api: Api, networks: dict[str, str]) -> None:
    listed = (await api.get("/virtual-networks?fq_names=default-domain:p1:a"))["virtual-networks"]
    uuid = networks["a"]
    href = f"{api.url}/virtual-network/{uuid}"
    assert listed == [{"uuid": uuid, "fq_name": [*PROJECT, "a"], "href": href}]
    listed = await api.get(f"/virtual-networks?obj_uuids={uuid}&exclude_hrefs=1")
    assert "href" not in listed["virtual-networks"][0]


async def test_children_come_in_the_order_of_creation(api: Api, networks: dict[str, str]) -> None:
    by_name = await api.get("/virtual-networks?parent_fq_name_str=default-domain:p1")
    assert names(by_name) == ["b", "c", "a"]
    project = (await api.post("/fqname-to-id", {"type": "project", "fq_name": PROJECT})).json
    by_id = await api.get(f"/virtual-networks?parent_id={project['uuid']}")
    assert by_id == by_name
    assert (
        await api.get(f"/virtual-networks?parent_id={project['uuid']},{project['uuid']}") == by_id
    )
    nothing = await api.get("/virtual-networks?parent_fq_name_str=default-domain:none")
    assert names(nothing) == []
    other = await api.get(
        "/virtual-networks?parent_fq_name_str=default-domain:p1&parent_type=domain"
    )
    assert names(other) == []


async def test_all_come_in_the_order_of_names(api: Api, networks: dict[str, str]) -> None:
    listed = names(await api.get("/virtual-networks"))
    assert [one for one in listed if len(one) == 1] == ["a", "b", "c"]


async def test_referrers_are_found_by_their_target(api: Api, networks: dict[str, str]) -> None:
    await api.port_of("a", "p-a")
    await api.port_of("b", "p-b")
    path = "/virtual-machine-interfaces?back_ref_id="
    type_ = "virtual-machine-interface"
    assert names(await api.get(path + networks["a"]), type_) == ["p-a"]
    both = f"{networks['a']},{networks['b']}"
    assert names(await api.get(path + both), type_) == ["p-a", "p-b"]


async def test_anchors_filter_each_other(api: Api, networks: dict[str, str]) -> None:
    asked = f"{networks['a']},{networks['c']}"
    listed = await api.get(
        f"/virtual-networks?parent_fq_name_str=default-domain:p1&obj_uuids={asked}"
    )
    assert names(listed) == ["c", "a"]


async def test_detail_nests_each_object_and_leaves_out_hrefs_of_references(
    api: Api, networks: dict[str, str]
) -> None:
    await api.port_of("a")
    path = f"/virtual-networks?detail=True&obj_uuids={networks['a']}"
    (one,) = (await api.get(path))["virtual-networks"]
    network = one["virtual-network"]
    assert network["href"] == f"{api.url}/virtual-network/{networks['a']}"
    assert "href" not in network["network_ipam_refs"][0]
    assert "virtual_machine_interface_back_refs" not in network
    path += "&fields=virtual_machine_interface_back_refs"
    (one,) = (await api.get(path))["virtual-networks"]
    assert len(one["virtual-network"]["virtual_machine_interface_back_refs"]) == 1


async def test_pages_cover_all_objects_once(api: Api, networks: dict[str, str]) -> None:
    found: list[str] = []
    marker: str | None = ""
    while marker is not None:
        page = await api.get(f"/virtual-networks?page_limit=2&page_marker={marker}")
        assert len(page["virtual-networks"]) <= 2
        found += names(page)
        marker = page["marker"]
    assert found == names(await api.get("/virtual-networks"))
    assert "marker" not in await api.get("/virtual-networks?page_limit=2")
    first = await api.get("/virtual-networks?page_marker=None")
    assert first["marker"] is None
    for bad in ("page_marker=nonsense", "page_marker=&page_limit=x", "page_marker=&page_limit=-1"):
        assert (await api.ask("GET", f"/virtual-networks?{bad}")).status == 400


async def test_names_may_have_colons_in_their_last_part(api: Api) -> None:
    targets = [f"target:64512:{number}" for number in (1, 10, 2)]
    for name in targets:
        await api.create("route-target", fq_name=[name])
    some = await api.get(f"/route-targets?fq_names={targets[2]},{targets[0]}")
    assert names(some, "route-target") == [targets[2], targets[0]]
    asked = {"type": "route-target", "fq_names": targets[1]}
    bulk = await api.post("/list-bulk-collection", asked)
    assert names(bulk.json, "route-target") == [targets[1]]
    found: list[str] = []
    marker: str | None = ""
    while marker is not None:
        page = await api.get(f"/route-targets?page_limit=1&page_marker={marker}")
        found += names(page, "route-target")
        marker = page["marker"]
        assert len(found) <= 100, "pages repeat"
    assert sorted(found) == sorted(set(found))
    assert set(targets) <= set(found)


async def test_the_bulk_form_is_the_same_list(api: Api, networks: dict[str, str]) -> None:
    many = ",".join([*networks.values()] * 20)
    asked = {"type": "virtual-network", "obj_uuids": many, "detail": False, "count": False}
    answer = await api.post("/list-bulk-collection", asked)
    assert names(answer.json) == ["a", "b", "c"]
    answer = await api.post("/list-bulk-collection", asked | {"count": True})
    assert answer.json == {"virtual-networks": {"count": 3}}
    answer = await api.post("/list-bulk-collection", {"type": "virtual_network", "fields": {}})
    assert answer.status == 400
    for typeless in ({}, {"type": ""}, {"type": None}):
        answer = await api.post("/list-bulk-collection", typeless)
        assert (answer.status, answer.text) == (400, "Bad Request, type must be specified")
    answer = await api.post("/list-bulk-collection", {"type": "nonsense"})
    assert answer.status == 404


async def test_unknown_filters_match_nothing_beside_known_ones(
    api: Api, networks: dict[str, str]
) -> None:
    everything = names(await api.get("/virtual-networks"))
    assert names(await api.get("/virtual-networks?filters=bogus==1")) == everything
    path = "/virtual-networks?filters=bogus==1,display_name==a"
    assert names(await api.get(path)) == []


def test_an_object_filter_is_a_subset() -> None:
    stored = {"p": {"a": 1, "b": {"c": True}}, "flag": False}
    assert matches(stored, {"p": ({"b": {"c": True}},)})
    assert not matches(stored, {"p": ({"b": {"c": False}},)})
    assert not matches(stored, {"flag": (0,)})
    assert not matches(stored, {"missing": (None,)})


@given(st.dictionaries(st.sampled_from([*sorted(ListQuery.__slots__), "page_marker"]), st.text()))
def test_any_query_is_read_or_refused(query: dict[str, str]) -> None:
    with suppress(BadRequest):
        from_query(query, 10)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["parent_id", "fq_names", "filters", "detail", "page_marker", "page_limit", "obj_uuids"]
)


@given(st.dictionaries(KEYS, JSON))
def test_any_bulk_body_is_read_or_refused(body: dict[str, Any]) -> None:
    with suppress(BadRequest):
        from_body(body, 10)
