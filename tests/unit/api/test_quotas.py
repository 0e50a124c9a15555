"""How many objects a project may have, and what the answer is to one more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.api.api_server import PROJECT, Answer, Api, network_body, serving

from tungsten.api.quotas import limit_of
from tungsten.model.system import QuotaType

DEFAULT_PROJECT = ["default-domain", "default-project"]


async def set_quota(api: Api, **quota: int) -> None:
    project = (await api.post("/fqname-to-id", {"type": "project", "fq_name": PROJECT})).json
    assert (await api.put("project", project["uuid"], quota=quota)).status == 200


async def try_network(api: Api, name: str, cidr: str, **more: Any) -> Answer:
    return await api.post("/virtual-networks", {"virtual-network": network_body(name, cidr) | more})


@given(
    st.none() | st.integers(-1, 3),
    st.dictionaries(st.sampled_from(["virtual_network", "defaults"]), st.integers(-1, 3)),
)
def test_the_projects_number_comes_before_the_types_and_that_before_the_default(
    own: int | None, settings: dict[str, int]
) -> None:
    limit = limit_of(QuotaType(virtual_network=own), settings, "virtual_network")
    chain = [own, settings.get("virtual_network"), settings.get("defaults"), -1]
    assert limit == next(one for one in chain if one is not None)


@pytest.mark.parametrize(("said", "limit"), [(None, 0), (-1, 0), (0, 0), (1, 1), (2, 0)])
def test_a_project_has_one_host_based_service_or_none(said: int | None, limit: int) -> None:
    assert limit_of(None, {"host_based_service": said or 0}, "host_based_service") == limit


async def test_one_more_than_the_quota_is_refused(api: Api) -> None:
    await set_quota(api, virtual_network=2)
    first = await api.network("a", "10.0.1.0/24")
    await api.network("b", "10.0.2.0/24")
    refused = await try_network(api, "c", "10.0.3.0/24")
    text = "quota limit (2) exceeded for resource virtual_network"
    assert (refused.status, refused.text) == (412, text)
    hidden = await try_network(api, "d", "10.0.4.0/24", id_perms={"user_visible": False})
    assert hidden.status == 200
    await api.delete("virtual-network", first)
    assert (await try_network(api, "c", "10.0.3.0/24")).status == 200


async def test_no_quota_means_none_at_all_and_minus_one_any_number(api: Api) -> None:
    await set_quota(api, virtual_network=0)
    assert (await try_network(api, "a", "10.0.1.0/24")).status == 412
    await set_quota(api, virtual_network=-1)
    assert (await try_network(api, "a", "10.0.1.0/24")).status == 200


async def test_the_last_place_is_given_once(api: Api) -> None:
    await set_quota(api, virtual_network=3)
    answers = await asyncio.gather(
        *(try_network(api, f"vn{n}", f"10.0.{n}.0/24") for n in range(12))
    )
    assert sorted(one.status for one in answers) == [200] * 3 + [412] * 9


async def test_subnets_are_counted_over_all_networks(api: Api) -> None:
    await set_quota(api, subnet=2)
    await api.network("a", "10.0.1.0/24")
    network = await api.network("b", "10.0.2.0/24")
    refused = await try_network(api, "c", "10.0.3.0/24")
    assert (refused.status, refused.text) == (412, "['default-domain', 'p1', 'c'] : 2")
    shown = (await api.show("virtual-network", network))["network_ipam_refs"]
    shown[0]["attr"]["ipam_subnets"].append(
        {"subnet": {"ip_prefix": "10.0.4.0", "ip_prefix_len": 24}}
    )
    assert (await api.put("virtual-network", network, network_ipam_refs=shown)).status == 412
    assert (await api.put("virtual-network", network, display_name="x")).status == 200
    assert (await try_network(api, "bare", "10.0.5.0/24", network_ipam_refs=[])).status == 200


def rules(count: int) -> dict[str, Any]:
    anywhere = {"subnet": {"ip_prefix": "0.0.0.0", "ip_prefix_len": 0}}
    return {
        "policy_rule": [
            {
                "direction": ">",
                "protocol": "tcp",
                "ethertype": "IPv4",
                "src_addresses": [{"security_group": "local"}],
                "dst_addresses": [anywhere],
                "src_ports": [{"start_port": 0, "end_port": 65535}],
                "dst_ports": [{"start_port": port, "end_port": port}],
            }
            for port in range(count)
        ]
    }


async def test_security_group_rules_are_counted_over_all_groups(api: Api) -> None:
    await set_quota(api, security_group_rule=5)
    body = {"fq_name": [*PROJECT, "a"], "parent_type": "project"}
    group = await api.create("security-group", **body, security_group_entries=rules(3))
    refused = await api.post(
        "/security-groups",
        {
            "security-group": {
                **body,
                "fq_name": [*PROJECT, "b"],
                "security_group_entries": rules(3),
            }
        },
    )
    assert (refused.status, refused.text) == (412, "security_group_entries: 5")
    grown = await api.put("security-group", group, security_group_entries=rules(6))
    assert grown.status == 412
    assert (await api.put("security-group", group, security_group_entries=rules(5))).status == 200


async def test_floating_ips_count_for_the_project_that_uses_them(api: Api) -> None:
    network = await api.network()
    pool = [*PROJECT, "vn1", "pool"]
    await api.create("floating-ip-pool", fq_name=pool, parent_type="virtual-network")
    await set_quota(api, floating_ip=1)
    body = {"parent_type": "floating-ip-pool", "project_refs": [{"to": PROJECT}]}
    await api.create("floating-ip", fq_name=[*pool, "one"], **body)
    refused = await api.post("/floating-ips", {"floating-ip": {"fq_name": [*pool, "two"], **body}})
    assert refused.status == 412
    other = {**body, "project_refs": [{"to": DEFAULT_PROJECT}]}
    assert network
    await api.create("floating-ip", fq_name=[*pool, "three"], **other)


async def test_settings_say_what_projects_do_not(tmp_path: Path) -> None:
    quota = {"virtual_network": 1, "defaults": 2}
    async with serving(tmp_path, quota=quota) as api:
        await api.project()
        shown = await api.get("/projects?fq_names=default-domain:default-project&fields=quota")
        assert shown["projects"][0]["quota"] == {"virtual_network": 1, "defaults": 2}
        await api.network("a", "10.0.1.0/24")
        assert (await try_network(api, "b", "10.0.2.0/24")).status == 412
        for name in ("p", "q"):
            await api.port_of("a", name)
        refused = await api.post(
            "/virtual-machine-interfaces",
            {
                "virtual-machine-interface": {
                    "fq_name": [*PROJECT, "r"],
                    "parent_type": "project",
                    "virtual_network_refs": [{"to": [*PROJECT, "a"]}],
                }
            },
        )
        assert refused.status == 412
