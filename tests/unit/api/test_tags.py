"""Tags and their types: names, numbers, and what goes with them."""

from __future__ import annotations

from typing import Any

from tests.unit.api.api_server import PROJECT, Api


async def tag(api: Api, type_: str, value: str, **fields: Any) -> Any:
    uuid = await api.create("tag", fq_name=["x"], tag_type_name=type_, tag_value=value, **fields)
    return await api.show("tag", uuid)


async def tag_types(api: Api) -> dict[str, str]:
    listed = await api.get("/tag-types?fields=tag_type_id")
    return {one["fq_name"][0]: one["tag_type_id"] for one in listed["tag-types"]}


async def test_the_known_types_are_there_from_the_start(api: Api) -> None:
    assert await tag_types(api) == {
        "label": "0x0000",
        "application": "0x0001",
        "tier": "0x0002",
        "deployment": "0x0003",
        "site": "0x0004",
        "neutron_fwaas": "0x0005",
        "neutron_tag": "0x0006",
    }
    made = await tag(api, "Tier", "web")
    assert [ref["to"] for ref in made["tag_type_refs"]] == [["tier"]]
    (tier,) = (await api.get("/tag-types?fq_names=tier"))["tag-types"]
    assert (await api.delete("tag-type", tier["uuid"])).status == 409


async def test_a_new_type_is_made_with_its_first_tag_and_goes_with_its_last(api: Api) -> None:
    first = await tag(api, "Color", "red")
    second = await tag(api, "color", "blue")
    assert (first["tag_id"], second["tag_id"]) == ("0x00ff0000", "0x00ff0001")
    made = (await api.get("/tag-types?fq_names=color&detail=true"))["tag-types"][0]["tag-type"]
    assert (made["tag_type_id"], made["id_perms"]["user_visible"]) == ("0x00ff", False)
    assert (await api.delete("tag", first["uuid"])).status == 200
    assert "color" in await tag_types(api)
    assert (await api.delete("tag", second["uuid"])).status == 200
    assert "color" not in await tag_types(api)
    assert (await tag(api, "shape", "round"))["tag_id"] == "0x00ff0000"


async def test_types_have_the_number_that_is_asked_for_or_the_next(api: Api) -> None:
    chosen = await api.create("tag-type", fq_name=["rack"], tag_type_id="0x8001")
    assert (await tag(api, "rack", "7"))["tag_id"] == "0x80010000"
    given = await api.create("tag-type", fq_name=["row"])
    assert (await api.show("tag-type", given))["tag_type_id"] == "0x00ff"
    for id_, text in (
        ("0x000f", "user-defined range 16-65535 (0x0010-0xFFFF)"),
        ("0x8001", "Tag Type ID 32769 already in use"),
        ("8001", "0x and 4 hex digits"),
    ):
        body = {"fq_name": ["other"], "tag_type_id": id_}
        answer = await api.post("/tag-types", {"tag-type": body})
        assert answer.status == 400
        assert text in answer.text
    answer = await api.put("tag-type", chosen, tag_type_id="0x8002")
    assert (answer.status, answer.text) == (400, "Tag Type value cannot be updated")


async def test_a_tag_id_may_be_chosen_in_the_short_and_in_the_long_form(api: Api) -> None:
    assert (await tag(api, "site", "a", tag_id="0x00048001"))["tag_id"] == "0x00048001"
    assert (await tag(api, "site", "b", tag_id="0x000400008002"))["tag_id"] == "0x00048002"
    assert (await tag(api, "site", "c", tag_id="0x000400010000"))["tag_id"] == "0x000400010000"
    body = {"fq_name": ["x"], "tag_type_name": "site", "tag_value": "d", "tag_id": "0x000400008001"}
    answer = await api.post("/tags", {"tag": body})
    assert (answer.status, answer.text) == (400, "Requested Tag id is already allocated")


async def test_an_address_group_has_labels_only(api: Api) -> None:
    for type_ in ("label", "tier"):
        await tag(api, type_, "x")
    body = {"fq_name": [*PROJECT, "ag"], "parent_type": "project", "tag_refs": [{"to": ["tier=x"]}]}
    answer = await api.post("/address-groups", {"address-group": body})
    expected = "Invalid tag type tier for object type address_group"
    assert (answer.status, answer.text) == (400, expected)
    await api.create("address-group", **body | {"tag_refs": [{"to": ["label=x"]}]})


async def test_a_project_has_its_default_policy_set_until_it_is_deleted(api: Api) -> None:
    uuid = await api.create("project", fq_name=["default-domain", "p2"], parent_type="domain")
    project = await api.show("project", uuid)
    (held,) = project["application_policy_set_refs"]
    assert held["to"] == ["default-domain", "p2", "default-application-policy-set"]
    policy_set = await api.show("application-policy-set", held["uuid"])
    assert policy_set["all_applications"] is True
    assert (await api.put("project", uuid, application_policy_set_refs=[])).status == 200
    assert "application_policy_set_refs" in await api.show("project", uuid)
    assert (await api.delete("project", uuid)).status == 200
    assert (await api.ask("GET", f"/application-policy-set/{held['uuid']}")).status == 404


async def test_what_the_system_needs_is_there_from_the_start(api: Api) -> None:
    config = "default-global-system-config"
    for type_, *name in (
        ("namespace", "default-domain", "default-namespace"),
        ("fabric", config, "default-fabric"),
        ("policy-management", "default-policy-management"),
        ("discovery-service-assignment", "default-discovery-service-assignment"),
        ("global-qos-config", config, "default-global-qos-config"),
        ("alarm", config, "system-defined-bottle-request-size-limit"),
    ):
        answer = await api.post("/fqname-to-id", {"type": type_, "fq_name": name})
        assert answer.status == 200, answer.text
    name = ["default-policy-management", "default-application-policy-set"]
    body = {"type": "application-policy-set", "fq_name": name}
    uuid = (await api.post("/fqname-to-id", body)).json["uuid"]
    policy_set = await api.show("application-policy-set", uuid)
    assert policy_set["all_applications"] is True
    assert [ref["to"][0] for ref in policy_set["global_vrouter_config_refs"]] == [config]


async def test_the_root_is_not_made(api: Api) -> None:
    assert await api.get("/config-roots") == {"config-roots": []}
    answer = await api.post("/config-roots", {"config-root": {"fq_name": ["config-root"]}})
    assert answer.status == 400
