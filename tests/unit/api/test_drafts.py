"""Drafts of security policies: what a write does while they are on, commit and discard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.api.api_server import PROJECT, Answer, Api
from tests.unit.api.tenants import EVERYTHING, RED, bare_world

DRAFTS = [*PROJECT, "draft-policy-management"]
GLOBAL = ["default-policy-management"]
ANY = {"any": True}


async def scope(api: Api, name: list[str] | None = None) -> str:
    """The uuid of the project, or of the system."""
    type_ = "project" if name is None else "global-system-config"
    answer = await api.post("/fqname-to-id", {"type": type_, "fq_name": name or PROJECT})
    return str(answer.json["uuid"])


async def switch(api: Api, on: bool) -> Answer:
    return await api.put("project", await scope(api), enable_security_policy_draft=on)


def rule_body(name: str, above: list[str] = PROJECT, **fields: Any) -> dict[str, Any]:
    return {
        "fq_name": [*above, name],
        "parent_type": "policy-management" if len(above) == 1 else "project",
        "action_list": {"simple_action": "pass"},
        "direction": "<>",
        "endpoint_1": ANY,
        "endpoint_2": ANY,
        "service": {"protocol": "tcp"},
        **fields,
    }


def policy_body(name: str, *rules: list[str]) -> dict[str, Any]:
    refs = [{"to": rule, "attr": {"sequence": f"{at}.0"}} for at, rule in enumerate(rules)]
    return {"fq_name": [*PROJECT, name], "parent_type": "project", "firewall_rule_refs": refs}


async def review(api: Api, action: str, uuid: str | None = None) -> Answer:
    body = {"scope_uuid": uuid or await scope(api), "action": action}
    return await api.post("/security-policy-draft", body)


async def pending(api: Api) -> dict[str, str]:
    """What waits in the project: names and states."""
    found = {}
    for type_ in (
        "address-group",
        "service-group",
        "firewall-rule",
        "firewall-policy",
        "application-policy-set",
    ):
        for one in (await api.get(f"/{type_}s?detail=true"))[f"{type_}s"]:
            shown = one[type_]
            if shown["fq_name"][:-1] == DRAFTS:
                found[shown["name"]] = shown["draft_mode_state"]
    return found


async def find(api: Api, type_: str, fq_name: list[str]) -> str | None:
    answer = await api.post("/fqname-to-id", {"type": type_, "fq_name": fq_name})
    return answer.json["uuid"] if answer.status == 200 else None


async def test_the_place_of_drafts_comes_and_goes_with_the_mode(api: Api) -> None:
    assert await find(api, "policy-management", DRAFTS) is None
    assert (await switch(api, True)).status == 200
    place = await find(api, "policy-management", DRAFTS)
    assert place is not None
    assert (await api.delete("policy-management", place)).status == 409
    assert (await switch(api, False)).status == 200
    assert await find(api, "policy-management", DRAFTS) is None
    body = {"fq_name": DRAFTS, "parent_type": "project"}
    assert (await api.post("/policy-managements", {"policy-management": body})).status == 409


async def test_a_project_may_begin_with_drafts_and_goes_with_their_place(api: Api) -> None:
    uuid = await api.create(
        "project",
        fq_name=["default-domain", "p2"],
        parent_type="domain",
        enable_security_policy_draft=True,
    )
    place = ["default-domain", "p2", "draft-policy-management"]
    assert await find(api, "policy-management", place) is not None
    assert (await api.delete("project", uuid)).status == 200
    assert await find(api, "policy-management", place) is None


async def test_new_objects_wait_and_then_hold(api: Api) -> None:
    await switch(api, True)
    made = await api.post("/firewall-rules", {"firewall-rule": rule_body("fr")})
    assert made.status == 202
    draft = made.json["firewall-rule"]
    assert draft["fq_name"] == [*DRAFTS, "fr"]
    assert draft["parent_type"] == "policy-management"
    # A draft may name what will be there, by the name that it will have.
    body = policy_body("fp", [*PROJECT, "fr"])
    assert (await api.post("/firewall-policys", {"firewall-policy": body})).status == 202
    assert await pending(api) == {"fr": "created", "fp": "created"}
    assert await find(api, "firewall-rule", [*PROJECT, "fr"]) is None
    again = await api.post("/firewall-rules", {"firewall-rule": rule_body("fr")})
    assert again.status == 409
    answer = await switch(api, False)
    assert answer.status == 409
    assert answer.text.startswith(
        f"Cannot disable security draft mode on scope default-domain:p1 ({await scope(api)}) as "
        "some pending security resource(s) need to be reviewed:"
    )
    assert (await api.delete("project", await scope(api))).status == 409

    committed = await review(api, "commit")
    assert (committed.status, committed.json) == (200, {})
    assert await pending(api) == {}
    uuid = await find(api, "firewall-rule", [*PROJECT, "fr"])
    assert uuid is not None
    assert uuid == draft["uuid"]
    shown = await api.show("firewall-rule", uuid)
    assert "draft_mode_state" not in shown
    assert shown["parent_type"] == "project"
    policy = await find(api, "firewall-policy", [*PROJECT, "fp"])
    assert policy is not None
    (ref,) = (await api.show("firewall-policy", policy))["firewall_rule_refs"]
    assert (ref["to"], ref["uuid"]) == ([*PROJECT, "fr"], uuid)
    assert (await switch(api, False)).status == 200


async def in_force(api: Api) -> tuple[str, str]:
    """A rule and a policy of it that hold, and then drafts turned on."""
    rule = await api.create("firewall-rule", **rule_body("fr"))
    policy = await api.create("firewall-policy", **policy_body("fp", [*PROJECT, "fr"]))
    await switch(api, True)
    return rule, policy


async def test_what_holds_stays_until_a_change_is_taken_over(api: Api) -> None:
    rule, _ = await in_force(api)
    answer = await api.put("firewall-rule", rule, service={"protocol": "udp"})
    assert answer.status == 202
    draft = answer.json["firewall-rule"]["uuid"]
    assert draft != rule
    assert (await api.show("firewall-rule", rule))["service"]["protocol"] == "tcp"
    assert (await api.show("firewall-rule", draft))["service"]["protocol_id"] == 17
    assert await pending(api) == {"fr": "updated"}
    # A second change goes to the same draft, whichever of the two it names.
    for uuid in (rule, draft):
        again = await api.put("firewall-rule", uuid, direction=">")
        assert (again.status, again.json["firewall-rule"]["uuid"]) == (202, draft)
    assert (await review(api, "commit")).status == 200
    shown = await api.show("firewall-rule", rule)
    assert (shown["service"]["protocol_id"], shown["direction"]) == (17, ">")
    assert "draft_mode_state" not in shown
    assert (await api.ask("GET", f"/firewall-rule/{draft}")).status == 404


async def test_a_change_of_nothing_makes_no_draft(api: Api) -> None:
    rule, _ = await in_force(api)
    assert (await api.put("firewall-rule", rule, direction="<>")).status == 202
    assert await pending(api) == {}


async def test_discarding_leaves_everything_as_it_was(api: Api) -> None:
    rule, policy = await in_force(api)
    before = await api.show("firewall-rule", rule)
    await api.put("firewall-rule", rule, direction=">")
    assert (await api.delete("firewall-policy", policy)).status == 202
    await api.post(
        "/address-groups",
        {"address-group": {"fq_name": [*PROJECT, "ag"], "parent_type": "project"}},
    )
    assert await pending(api) == {"fr": "updated", "fp": "deleted", "ag": "created"}
    assert (await review(api, "discard")).status == 200
    assert await pending(api) == {}
    assert await api.show("firewall-rule", rule) == before
    assert (await api.ask("GET", f"/firewall-policy/{policy}")).status == 200


async def test_deletions_wait_and_nothing_may_refer_to_what_is_to_go(api: Api) -> None:
    rule, policy = await in_force(api)
    held = await api.delete("firewall-rule", rule)
    assert held.status == 409
    assert held.text == (
        f"Delete when resource still referred: ['{api.url}/firewall-policy/{policy}']"
    )
    # Once the policy is to go, or no longer names the rule, the rule may go, too.
    assert (await api.delete("firewall-policy", policy)).status == 202
    assert (await api.delete("firewall-rule", rule)).status == 202
    assert await pending(api) == {"fr": "deleted", "fp": "deleted"}
    assert (await api.ask("GET", f"/firewall-rule/{rule}")).status == 200
    body = policy_body("other", [*PROJECT, "fr"])
    answer = await api.post("/firewall-policys", {"firewall-policy": body})
    assert (answer.status, answer.text) == (
        400,
        f"Referenced Firewall Rule resource 'default-domain:p1:fr' ({rule}) is in pending delete "
        "state, it cannot be referenced",
    )
    answer = await api.put("firewall-rule", rule, direction=">")
    assert answer.status == 400
    assert "is in pending delete state" in answer.text
    assert (await review(api, "commit")).status == 200
    for type_, uuid in (("firewall-rule", rule), ("firewall-policy", policy)):
        assert (await api.ask("GET", f"/{type_}/{uuid}")).status == 404


async def test_deleting_a_draft_takes_that_change_back(api: Api) -> None:
    rule, policy = await in_force(api)
    assert (await api.delete("firewall-policy", policy)).status == 202
    draft = await find(api, "firewall-policy", [*DRAFTS, "fp"])
    assert draft is not None
    assert (await api.delete("firewall-policy", draft)).status == 202
    assert await pending(api) == {}
    assert (await api.delete("firewall-rule", rule)).status == 409


async def test_ref_update_and_tags_go_to_drafts_and_permissions_do_not(api: Api) -> None:
    _, policy = await in_force(api)
    await api.post("/firewall-rules", {"firewall-rule": rule_body("new")})
    body = {
        "type": "firewall-policy",
        "uuid": policy,
        "operation": "ADD",
        "ref-type": "firewall-rule",
        "ref-fq-name": [*PROJECT, "new"],
        "attr": {"sequence": "9.0"},
    }
    assert (await api.post("/ref-update", body)).status == 202
    assert len((await api.show("firewall-policy", policy))["firewall_rule_refs"]) == 1
    await api.create("tag", fq_name=["x"], tag_type_name="tier", tag_value="web")
    tag: dict[str, Any] = {"obj_type": "firewall_policy", "obj_uuid": policy}
    tag["tier"] = {"is_global": True, "value": "web"}
    assert (await api.post("/set-tag", tag)).status == 202
    assert "tag_refs" not in await api.show("firewall-policy", policy)
    chmod = {"uuid": policy, "global_access": 5}
    assert (await api.post("/chmod", chmod)).status == 200
    assert (await api.show("firewall-policy", policy))["perms2"]["global_access"] == 5
    assert (await review(api, "commit")).status == 200
    shown = await api.show("firewall-policy", policy)
    assert [ref["to"][-1] for ref in shown["firewall_rule_refs"]] == ["fr", "new"]
    assert [ref["to"] for ref in shown["tag_refs"]] == [["tier=web"]]
    assert shown["perms2"]["global_access"] == 5


async def test_a_draft_of_the_default_policy_set(api: Api) -> None:
    await in_force(api)
    name = "default-application-policy-set"
    uuid = await find(api, "application-policy-set", [*PROJECT, name])
    assert uuid is not None
    refs = [{"to": [*PROJECT, "fp"], "attr": {"sequence": "1.0"}}]
    answer = await api.put("application-policy-set", uuid, firewall_policy_refs=refs)
    assert answer.status == 202
    assert (await review(api, "commit")).status == 200
    shown = await api.show("application-policy-set", uuid)
    assert [ref["to"][-1] for ref in shown["firewall_policy_refs"]] == ["fp"]
    assert shown["all_applications"] is True


async def test_endpoints_name_groups_that_will_be_there(api: Api) -> None:
    await switch(api, True)
    body = {"fq_name": [*PROJECT, "ag"], "parent_type": "project"}
    made = await api.post("/address-groups", {"address-group": body})
    group = made.json["address-group"]["uuid"]
    fields = rule_body("fr", endpoint_1={"address_group": ":".join([*PROJECT, "ag"])})
    assert (await api.post("/firewall-rules", {"firewall-rule": fields})).status == 202
    assert (await review(api, "commit")).status == 200
    uuid = await find(api, "firewall-rule", [*PROJECT, "fr"])
    assert uuid is not None
    (ref,) = (await api.show("firewall-rule", uuid))["address_group_refs"]
    assert (ref["to"], ref["uuid"]) == ([*PROJECT, "ag"], group)


async def test_the_system_has_drafts_of_its_own(api: Api) -> None:
    system = await scope(api, ["default-global-system-config"])
    answer = await api.put("global-system-config", system, enable_security_policy_draft=True)
    assert answer.status == 200
    made = await api.post("/firewall-rules", {"firewall-rule": rule_body("g", GLOBAL)})
    assert made.status == 202
    assert made.json["firewall-rule"]["fq_name"] == ["draft-policy-management", "g"]
    nameless = await api.post("/firewall-rules", {"firewall-rule": rule_body("x", [])})
    assert nameless.status == 400
    # Those of the project are not drafted, and what holds does not refer to a draft.
    local = await api.post("/firewall-rules", {"firewall-rule": rule_body("local")})
    assert local.status == 200
    body = policy_body("fp", ["draft-policy-management", "g"])
    refused = await api.post("/firewall-policys", {"firewall-policy": body})
    assert refused.status == 400
    assert "is a draft" in refused.text
    assert (await review(api, "commit", system)).status == 200
    uuid = await find(api, "firewall-rule", [*GLOBAL, "g"])
    assert uuid == made.json["firewall-rule"]["uuid"]


async def test_a_commit_is_all_or_nothing(api: Api) -> None:
    rule, policy = await in_force(api)
    await api.put("firewall-rule", rule, direction=">")
    assert (await api.delete("firewall-policy", policy)).status == 202
    project = await scope(api)
    quota = await api.put("project", project, quota={"firewall_rule": 1})
    assert quota.status == 200
    await api.post("/firewall-rules", {"firewall-rule": rule_body("second")})
    answer = await review(api, "commit")
    assert (answer.status, answer.text) == (
        412,
        "quota limit (1) exceeded for resource firewall_rule",
    )
    assert await pending(api) == {"fr": "updated", "fp": "deleted", "second": "created"}
    assert (await api.show("firewall-rule", rule))["direction"] == "<>"


async def test_documents_are_applied_to_drafts_once(api: Api) -> None:
    await in_force(api)
    new = {"fq_name": [*PROJECT, "ag"], "parent_type": "project"}
    changed = rule_body("fr", direction=">")
    body = {"apply": [{"address-group": new}, {"firewall-rule": changed}]}

    async def results() -> list[str]:
        answer = await api.post("/apply", body)
        assert answer.status == 202, answer.text
        return [one["result"] for one in answer.json["objects"]]

    assert await results() == ["created", "updated"]
    assert await pending(api) == {"ag": "created", "fr": "updated"}
    assert await results() == ["unchanged", "unchanged"]
    assert (await review(api, "commit")).status == 200
    assert await pending(api) == {}
    assert await results() == ["unchanged", "unchanged"]


async def test_a_scope_is_reviewed_by_who_may_write_it(tmp_path: Path) -> None:
    async with bare_world(tmp_path) as world:
        await world.allow(EVERYTHING)
        await world.root.put("project", RED, enable_security_policy_draft=True)
        name = {"fq_name": ["default-domain", "red", "ag"], "parent_type": "project"}
        made = await world.red.ask("POST", "/address-groups", {"address-group": name})
        assert made.status == 202
        uuid = made.json["address-group"]["uuid"]
        assert (await world.blue.ask("GET", f"/address-group/{uuid}")).status == 403
        asked = {"scope_uuid": RED, "action": "commit"}
        path = "/security-policy-draft"
        assert (await world.blue.ask("POST", path, asked)).status == 403
        assert (await world.red.ask("POST", path, asked)).status == 200
        assert await world.red.names("/address-groups") == ["ag"]
        assert (await world.red.ask("GET", f"/address-group/{uuid}")).status == 200


async def test_what_the_action_refuses(api: Api) -> None:
    answer = await review(api, "burn")
    assert (answer.status, answer.text) == (
        400,
        "Only 'commit' or 'discard' actions are supported",
    )
    uuid = await scope(api)
    answer = await review(api, "commit")
    assert (answer.status, answer.text) == (
        400,
        f"Security draft mode is not enabled on the Project ['default-domain', 'p1'] ({uuid})",
    )
    missing = "00000000-0000-4000-8000-000000000001"
    assert (await review(api, "commit", missing)).status == 404
    network = await api.network()
    assert (await review(api, "commit", network)).status == 400


@pytest.mark.parametrize("type_", ["address-group", "firewall-policy"])
async def test_the_state_is_not_for_clients(api: Api, type_: str) -> None:
    body = {"fq_name": [*PROJECT, "x"], "parent_type": "project", "draft_mode_state": "created"}
    answer = await api.post(f"/{type_}s", {type_: body})
    assert (answer.status, answer.text) == (
        400,
        "Security resource property 'draft_mode_state' is only readable",
    )
    uuid = await api.create(type_, fq_name=[*PROJECT, "x"], parent_type="project")
    assert (await api.put(type_, uuid, draft_mode_state="updated")).status == 400
