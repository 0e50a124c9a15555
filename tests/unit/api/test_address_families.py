"""Addresses of pools are of the family that there is; an IPAM says how it has its subnets."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.api_server import IPAM, PROJECT, Api

V4 = {"subnet": {"ip_prefix": "10.0.1.0", "ip_prefix_len": 24}}
V6 = {"subnet": {"ip_prefix": "2001:db8::", "ip_prefix_len": 64}}
FORMS = {
    "floating": ("floating-ip-pool", "floating-ip", "floating_ip_address"),
    "alias": ("alias-ip-pool", "alias-ip", "alias_ip_address"),
}


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize(
    ("subnets", "said", "starts"),
    [
        ([V4], {}, "10.0.1."),
        ([V6], {}, "2001:db8::"),
        ([V4, V6], {}, "10.0.1."),
        ([V6, V4], {}, "10.0.1."),
        ([V4, V6], {"family": "v6"}, "2001:db8::"),
        ([V4], {"family": "v6"}, None),
        ([V6], {"family": "v4"}, None),
        ([V6], {"": "2001:db8::77"}, "2001:db8::77"),
        ([V4, V6], {"": "10.0.1.77"}, "10.0.1.77"),
        ([V6], {"": "10.0.1.77"}, None),
    ],
)
async def test_an_address_is_of_the_family_of_its_subnets(
    api: Api, form: str, subnets: list[Any], said: dict[str, str], starts: str | None
) -> None:
    pool, type_, field = FORMS[form]
    name = [*PROJECT, "outside"]
    refs = [{"to": IPAM, "attr": {"ipam_subnets": subnets}}]
    await api.create("virtual-network", fq_name=name, parent_type="project", network_ipam_refs=refs)
    await api.create(pool, fq_name=[*name, "pool"], parent_type="virtual-network")
    asked = {f"{field}_{key}".rstrip("_"): value for key, value in said.items()}
    body = {"fq_name": [*name, "pool", "x"], "parent_type": pool, **asked}
    answer = await api.post(f"/{type_}s", {type_: body})
    if starts is None:
        assert 400 <= answer.status < 500, answer.text
        return
    assert answer.status == 200, answer.text
    shown = await api.show(type_, answer.json[type_]["uuid"])
    assert shown[field].startswith(starts)


async def test_an_ipam_says_its_method_and_may_be_told_so(api: Api) -> None:
    said = "user-defined-subnet"
    uuid = await api.create("network-ipam", fq_name=[*PROJECT, "ipam"], parent_type="project")
    shown = await api.show("network-ipam", uuid)
    assert shown["ipam_subnet_method"] == said
    for method in (said, None):
        put = await api.put("network-ipam", uuid, display_name="x", ipam_subnet_method=method)
        assert put.status == 200, put.text
    put = await api.put("network-ipam", uuid, ipam_subnet_method=said)
    assert put.status == 200, put.text
    assert (await api.put("network-ipam", uuid, ipam_subnet_method="flat-subnet")).status == 400
