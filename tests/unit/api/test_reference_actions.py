"""Actions: what they need, what they answer, and those that need what is not here."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.api_server import PROJECT, Api

ABSENT = "00000000-0000-4000-8000-000000000001"
TEMPLATE = {"job_template_fq_name": ["default-global-system-config", "none"]}
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("fqname-to-id", {}, 400, "type and fq_name must be specified"),
    ("fqname-to-id", {"type": "project"}, 400, "type and fq_name must be specified"),
    ("fqname-to-id", {"type": "nothing", "fq_name": ["a"]}, 404, "'nothing' not found"),
    ("fqname-to-id", {"type": "project", "fq_name": ["a"]}, 404, "Name ['a'] not found"),
    ("id-to-fqname", {}, 400, "uuid must be specified"),
    ("id-to-fqname", {"uuid": ABSENT}, 404, f"UUID {ABSENT} not found"),
    ("execute-job", {}, 400, "Either job_template_id or job_template_fq_name required in request"),
    ("execute-job", TEMPLATE, 404, "No job-template object found for"),
    ("abort-job", {}, 400, "job_execution_ids required"),
    ("abort-job", {"input": {"job_execution_ids": ["1"]}}, 501, "needs a job manager"),
    ("amqp-publish", {}, 400, "exchange required"),
    ("amqp-publish", {"exchange": "x"}, 501, "needs a message bus"),
    ("amqp-request", {"exchange": "x"}, 501, "needs a message bus"),
    ("hbs-get", {}, 400, "Either hbs_uuid or hbs_fq_name required"),
    ("hbs-get", {"hbs_uuid": ABSENT}, 404, "No host-based-service object found"),
    ("obj-cache", {"uuids": [ABSENT]}, 404, "Unknown id"),
    ("obj-cache", {"uuids": 5}, 400, "uuids must be a list"),
    ("obj-cache", {"count": 0}, 400, "count must be a number from 1"),
]


@pytest.mark.parametrize(("action", "body", "status", "text"), REFUSED)
async def test_an_action_says_what_it_needs(
    api: Api, action: str, body: dict[str, Any], status: int, text: str
) -> None:
    answer = await api.post(f"/{action}", body)
    assert answer.status == status
    assert text in answer.text


async def test_a_job_of_a_template_that_is_there_is_refused_for_the_bus(api: Api) -> None:
    name = ["default-global-system-config", "t"]
    uuid = await api.create("job-template", fq_name=name, parent_type="global-system-config")
    for body in ({"job_template_id": uuid}, {"job_template_fq_name": name}):
        answer = await api.post("/execute-job", body)
        assert answer.status == 501
        assert "message bus" in answer.text


async def test_what_the_server_holds_is_shown_by_number(api: Api) -> None:
    uuid = await api.network()
    shown = (await api.post("/obj-cache", {"uuids": [uuid], "count": 10})).json
    assert shown["1"]["obj_type"] == "virtual_network"
    assert shown["1"]["obj_dict"]["fq_name"] == [*PROJECT, "vn1"]
    assert list(await api.get("/obj-cache")) == [str(n) for n in range(1, 11)]
    assert len(await api.get("/obj-cache?count=3")) == 3


async def test_manifests_of_a_service_on_hosts(api: Api) -> None:
    project = (await api.post("/fqname-to-id", {"type": "project", "fq_name": PROJECT})).json
    await api.put("project", project["uuid"], quota={"host_based_service": 1})
    refs = []
    for at, side in enumerate(("left", "right")):
        await api.network(side, f"10.0.{at}.0/24")
        refs.append({"to": [*PROJECT, side], "attr": {"virtual_network_type": side}})
    made = {"fq_name": [*PROJECT, "hbs"], "parent_type": "project"}
    uuid = await api.create("host-based-service", **made, virtual_network_refs=refs[:1])
    answer = await api.post("/hbs-get", {"hbs_uuid": uuid})
    assert (answer.status, "no right virtual network" in answer.text) == (400, True)
    await api.put("host-based-service", uuid, virtual_network_refs=refs)
    for body in ({"hbs_uuid": uuid}, {"hbs_fq_name": made["fq_name"]}):
        left, right, daemons = (await api.post("/hbs-get", body)).json["hbs"]
        assert [one["kind"] for one in (left, right, daemons)] == [
            "NetworkAttachmentDefinition",
            "NetworkAttachmentDefinition",
            "DaemonSet",
        ]
        assert left["metadata"]["annotations"]["opencontrail.org/network"] == (
            '{"domain":"default-domain","project":"p1","name":"left"}'
        )
        assert daemons["metadata"]["namespace"] == "p1"


async def test_the_discovery_document_names_every_action(api: Api) -> None:
    links = [one["link"] for one in (await api.get("/"))["links"]]
    said = {(one["name"], one["method"]) for one in links if one["rel"] == "action"}
    assert said >= {
        ("prop-collection-get", "GET"),
        ("ref-update", "POST"),
        ("name-to-id", "POST"),
        ("id-to-name", "POST"),
        ("useragent-keyvalue", "POST"),
        ("database-check", "POST"),
        ("fetch-records", "POST"),
        ("start-profile", "POST"),
        ("stop-profile", "POST"),
        ("obj-perms", "GET"),
        ("chmod", "POST"),
        ("aaa-mode", "PUT"),
        ("obj-cache", "GET"),
        ("obj-cache", "POST"),
        ("execute-job", "POST"),
        ("abort-job", "POST"),
        ("amqp-publish", "POST"),
        ("amqp-request", "POST"),
        ("hbs-get", "POST"),
        ("watch", "GET"),
        ("set-tag", "POST"),
        ("security-policy-draft", "POST"),
        ("virtual-network-subnet-ip-count", "POST"),
    }


async def test_chmod_says_whether_a_network_is_shared(api: Api) -> None:
    uuid = await api.network()
    for access in (5, 0, 7):
        await api.post("/chmod", {"uuid": uuid, "global_access": access})
        shown = await api.show("virtual-network", uuid)
        assert (shown["is_shared"], shown["perms2"]["global_access"]) == (access != 0, access)
    await api.post("/chmod", {"uuid": uuid, "owner_access": 6})
    assert (await api.show("virtual-network", uuid))["is_shared"] is True
