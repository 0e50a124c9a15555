"""The rules of firewall objects, of BGP as a service, and of types that have one or two each."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.api_server import PROJECT, Api

SERVICE = {"protocol": "tcp"}
GLOBAL = ["default-policy-management"]


async def refusal(api: Api, type_: str, **fields: Any) -> tuple[int, str]:
    answer = await api.post(f"/{type_}s", {type_: fields})
    return answer.status, answer.text


def inside(name: str, **fields: Any) -> dict[str, Any]:
    """Members of an object of the project."""
    return {"fq_name": [*PROJECT, name], "parent_type": "project", **fields}


def everywhere(name: str, **fields: Any) -> dict[str, Any]:
    """Members of a global object."""
    return {"fq_name": [*GLOBAL, name], "parent_type": "policy-management", **fields}


# -- firewall rules -------------------------------------------------------------------------


async def test_a_rule_gets_the_numbers_and_references_of_what_it_names(api: Api) -> None:
    scope = {"fq_name": [*PROJECT, "x"], "parent_type": "project"}
    await api.create("tag", **scope, tag_type_name="tier", tag_value="web")
    await api.create("tag", fq_name=["x"], tag_type_name="site", tag_value="a")
    await api.create("address-group", **inside("ag"))
    uuid = await api.create(
        "firewall-rule",
        **inside(
            "r1",
            service={"protocol": "UDP"},
            endpoint_1={"tags": ["tier=web", "global:site=a"]},
            endpoint_2={"address_group": ":".join([*PROJECT, "ag"])},
            match_tags={"tag_list": ["tier", "site"]},
        ),
    )
    rule = await api.show("firewall-rule", uuid)
    assert rule["endpoint_1"]["tag_ids"] == [0x00020000, 0x00040000]
    assert rule["service"]["protocol_id"] == 17
    assert rule["match_tag_types"] == {"tag_type": [2, 4]}
    assert [ref["to"] for ref in rule["tag_refs"]] == [[*PROJECT, "tier=web"], ["site=a"]]
    assert [ref["to"][-1] for ref in rule["address_group_refs"]] == ["ag"]
    assert (await api.ask("PUT", f"/firewall-rule/{uuid}", {"firewall-rule": rule})).status == 200
    assert (await api.put("firewall-rule", uuid, endpoint_1={"any": True})).status == 200
    rule = await api.show("firewall-rule", uuid)
    assert "tag_refs" not in rule
    assert (await api.put("firewall-rule", uuid, tag_refs=[{"to": ["site=a"]}])).status == 400


async def test_match_tags_are_application_unless_said(api: Api) -> None:
    uuid = await api.create("firewall-rule", **inside("r1", service=SERVICE))
    rule = await api.show("firewall-rule", uuid)
    assert rule["match_tags"] == {"tag_list": ["application"]}
    assert rule["match_tag_types"] == {"tag_type": [1]}


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({}, 400, "Firewall Rule requires at least 'service' property"),
        ({"service": {"protocol": "nonsense"}}, 400, "Rule with invalid protocol : nonsense"),
        ({"service": SERVICE, "endpoint_1": {"tags": ["a=b"], "any": True}}, 400, "tags, any"),
        ({"service": SERVICE, "endpoint_1": {"tags": ["tier=no"]}}, 404, "tier=no"),
        ({"service": SERVICE, "endpoint_2": {"address_group": "a:b"}}, 404, "a:b"),
        ({"service": SERVICE, "match_tags": {"tag_list": ["label"]}}, 400, "labels not allowed"),
        ({"service": SERVICE, "match_tags": {"tag_list": ["no"]}}, 404, "Tag type no not found"),
        ({"service": SERVICE, "draft_mode_state": "created"}, 400, "only readable"),
    ],
)
async def test_a_rule_that_cannot_be_is_refused(
    api: Api, fields: dict[str, Any], status: int, text: str
) -> None:
    refused = await refusal(api, "firewall-rule", **inside("r1", **fields))
    assert refused[0] == status
    assert text in refused[1]


async def test_what_is_global_does_not_depend_on_a_project(api: Api) -> None:
    await api.create("firewall-rule", **inside("mine", service=SERVICE))
    refs = [{"to": [*PROJECT, "mine"], "attr": {"sequence": "1.0"}}]
    status, text = await refusal(
        api, "firewall-policy", **everywhere("all", firewall_rule_refs=refs)
    )
    assert status == 400
    assert "cannot reference a scoped Firewall Rule default-domain:p1:mine" in text
    await api.create("firewall-policy", **inside("own", firewall_rule_refs=refs))


async def test_only_the_system_makes_sets_for_all_applications(api: Api) -> None:
    refused = await refusal(api, "application-policy-set", **inside("s", all_applications=True))
    assert refused == (400, "Application policy set 'all-applications' flag is read-only")
    listed = await api.get("/application-policy-sets")
    made = listed["application-policy-sets"]
    for one in made:
        answer = await api.delete("application-policy-set", one["uuid"])
        expected = "Application Policy Set defined on all applications cannot be deleted"
        assert answer.text == expected


# -- addresses and sessions -----------------------------------------------------------------


async def test_alias_addresses_are_of_the_network_of_their_pool(api: Api) -> None:
    network = await api.network()
    pool = [*PROJECT, "vn1", "pool"]
    await api.create("alias-ip-pool", fq_name=pool, parent_type="virtual-network")
    uuid = await api.create("alias-ip", fq_name=[*pool, "a"], parent_type="alias-ip-pool")
    alias = await api.show("alias-ip", uuid)
    assert alias["alias_ip_address"] == "10.0.1.252"
    assert [ref["to"] for ref in alias["project_refs"]] == [PROJECT]
    status, text = await refusal(
        api,
        "alias-ip",
        fq_name=[*pool, "b"],
        parent_type="alias-ip-pool",
        alias_ip_address="10.0.1.252",
    )
    assert (status, text) == (409, "IP address already in use")
    assert (await api.put("alias-ip", uuid, alias_ip_address="10.0.1.9")).status == 400
    answer = await api.put("virtual-network", network, network_ipam_refs=[])
    assert answer.status == 409
    assert (await api.delete("alias-ip", uuid)).status == 200


async def test_shared_bgp_as_a_service_needs_an_address_and_stays_shared(api: Api) -> None:
    refused = await refusal(api, "bgp-as-a-service", **inside("b", bgpaas_shared=True))
    expected = "BGPaaS IP Address needs to be configured if BGPaaS is shared"
    assert refused == (400, expected)
    session = {"hold_time": 2}
    status, text = await refusal(
        api, "bgp-as-a-service", **inside("b", bgpaas_session_attributes=session)
    )
    assert (status, text[-27:]) == (400, "zero or at least three seconds"[-27:])
    uuid = await api.create("bgp-as-a-service", **inside("b", autonomous_system=65001))
    answer = await api.put("bgp-as-a-service", uuid, bgpaas_shared=True)
    assert (answer.status, answer.text) == (400, "BGPaaS sharing cannot be modified")


async def test_sub_clusters_have_numbers_and_keep_their_as(api: Api) -> None:
    first = await api.create("sub-cluster", fq_name=["c1"], sub_cluster_asn=65001)
    second = await api.create("sub-cluster", fq_name=["c2"], sub_cluster_asn=65002)
    shown = [(await api.show("sub-cluster", one))["sub_cluster_id"] for one in (first, second)]
    assert shown == [1, 2]
    taken = await refusal(
        api, "sub-cluster", fq_name=["c3"], sub_cluster_asn=65001, sub_cluster_id=2
    )
    assert taken == (400, "Sub cluster ID 2 is already in use")
    answer = await api.put("sub-cluster", first, sub_cluster_asn=65003)
    assert (answer.status, answer.text) == (400, "Sub cluster ASN can not be modified")


# -- one or two rules each ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "fields", "status", "text"),
    [
        ("alarm", inside("a"), 400, "alarm_rules not specified"),
        ("loadbalancer-healthmonitor", inside("m"), 400, "property is missing"),
        (
            "route-aggregate",
            inside("r", aggregate_route_entries={"route": ["10.0.0.0/8", "::/0"]}),
            400,
            "one IP version",
        ),
        (
            "qos-config",
            inside(
                "q",
                dscp_entries={
                    "qos_id_forwarding_class_pair": [{"key": 64, "forwarding_class_id": 1}]
                },
            ),
            400,
            "dscp_entries: key 64 is not between 0 and 63",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(
    api: Api, type_: str, fields: dict[str, Any], status: int, text: str
) -> None:
    refused = await refusal(api, type_, **fields)
    assert refused[0] == status
    assert text in refused[1]


async def test_the_number_of_a_forwarding_class_is_its_own(api: Api) -> None:
    config = ["default-global-system-config", "default-global-qos-config"]
    above = {"parent_type": "global-qos-config", "forwarding_class_id": 7}
    await api.create("forwarding-class", fq_name=[*config, "a"], **above)
    status, text = await refusal(api, "forwarding-class", fq_name=[*config, "b"], **above)
    assert status == 400
    assert "forwarding_class_id 7" in text


async def test_dns_records_lead_to_what_their_type_says(api: Api) -> None:
    dns = ["default-domain", "dns"]
    await api.create("virtual-DNS", fq_name=dns, parent_type="domain")

    async def made(name: str, kind: str, data: str) -> int:
        said = {"record_name": name, "record_type": kind, "record_data": data}
        fields = {"fq_name": [*dns, name], "parent_type": "virtual-DNS"}
        return (await refusal(api, "virtual-DNS-record", **fields, virtual_DNS_record_data=said))[0]

    assert await made("a", "A", "10.0.0.1") == 200
    assert await made("b", "A", "fd00::1") == 403
    assert await made("c", "AAAA", "fd00::1") == 200
    assert await made("d", "CNAME", "not a name") == 403
    assert await made("e", "CNAME", "a.example.org") == 200


async def test_a_network_has_one_bridge_domain_and_ports_use_that_of_theirs(api: Api) -> None:
    await api.network()
    await api.network("vn2", "10.0.2.0/24")
    name = [*PROJECT, "vn1", "bd"]
    await api.create("bridge-domain", fq_name=name, parent_type="virtual-network", isid=7)
    second = {"fq_name": [*PROJECT, "vn1", "bd2"], "parent_type": "virtual-network"}
    assert (await refusal(api, "bridge-domain", **second))[0] == 400
    refs = [{"to": name, "attr": {"vlan_tag": 0}}]
    await api.port_of("vn1", "p1", bridge_domain_refs=refs)
    body = inside("p2", virtual_network_refs=[{"to": [*PROJECT, "vn2"]}], bridge_domain_refs=refs)
    assert (await refusal(api, "virtual-machine-interface", **body))[0] == 400


async def test_a_port_is_checked_by_its_host_only(api: Api) -> None:
    await api.network()
    for kind in ("link-local", "end-to-end"):
        properties = {"health_check_type": kind}
        await api.create(
            "service-health-check", **inside(kind, service_health_check_properties=properties)
        )
    await api.port_of("vn1", "p1", service_health_check_refs=[{"to": [*PROJECT, "link-local"]}])
    refs = [{"to": [*PROJECT, "end-to-end"]}]
    body = inside(
        "p2",
        virtual_network_refs=[{"to": [*PROJECT, "vn1"]}],
        service_health_check_refs=refs,
    )
    status, text = await refusal(api, "virtual-machine-interface", **body)
    assert status == 400
    assert "end-to-end" in text


async def test_entries_with_numbers_as_keys_are_changed_one_by_one(api: Api) -> None:
    uuid = await api.create("qos-config", **inside("q"))

    async def change(operation: str, **asked: Any) -> Any:
        update = {"field": "dscp_entries", "operation": operation, **asked}
        answer = await api.post("/prop-collection-update", {"uuid": uuid, "updates": [update]})
        assert answer.status == 200, answer.text
        shown = await api.get(f"/prop-collection-get?uuid={uuid}&fields=dscp_entries")
        return [position for _, position in shown["dscp_entries"]]

    assert await change("set", value={"key": 0, "forwarding_class_id": 1}) == ["0"]
    assert await change("set", value={"key": 46, "forwarding_class_id": 2}) == ["0", "46"]
    assert await change("delete", position="0") == ["46"]
