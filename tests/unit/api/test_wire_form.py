"""The API in the form that clients of older servers depend on, request by request."""

from __future__ import annotations

import ast
import asyncio
import re
from datetime import datetime
from pathlib import Path
from uuid import UUID

from tests.unit.api.api_server import IPAM, PROJECT, Answer, Api, network_body, serving

CHILDREN_TEXT = re.compile(r"^Delete when children still present: (\[.*\])")
REFERRED_TEXT = re.compile(r"^Delete when resource still referred: (\[.*\])")


async def test_discovery_names_every_type_and_action_below_its_own_href(api: Api) -> None:
    document = await api.get("/")
    assert document["href"] == api.url
    links = [one["link"] for one in document["links"]]
    assert all(link["href"].startswith(api.url + "/") for link in links)
    by_rel = {(link["rel"], link["name"]): link for link in links}
    assert by_rel["collection", "virtual-network"]["href"] == f"{api.url}/virtual-networks"
    assert by_rel["resource-base", "virtual-network"]["href"] == f"{api.url}/virtual-network"
    assert by_rel["action", "name-to-id"] == {
        "rel": "action",
        "href": f"{api.url}/fqname-to-id",
        "name": "name-to-id",
        "method": "POST",
    }
    order = list(dict.fromkeys(link["rel"] for link in links))
    assert order == ["documentation", "root", "collection", "resource-base", "action"]


async def test_every_action_of_the_discovery_document_is_served(api: Api) -> None:
    for one in (await api.get("/"))["links"]:
        link = one["link"]
        if link["rel"] == "action":
            answer = await api.ask(link["method"], link["href"].removeprefix(api.url))
            assert (answer.status, answer.text[:9]) != (404, "Not found"), link["name"]


async def test_the_documentation_names_every_field(api: Api) -> None:
    answer = await api.ask("GET", "/documentation/index.html")
    assert answer.headers["content-type"].startswith("text/html")
    for part in ("virtual-machine-interface", "instance_ip_address", "network_ipam_refs"):
        assert part in answer.text


async def test_requests_are_counted(api: Api) -> None:
    await api.ask("GET", "/nonsense")
    text = (await api.ask("GET", "/metrics")).text
    assert 'tungsten_api_requests_total{method="GET",status="404"}' in text


async def test_delete_below_the_collection_is_understood(api: Api) -> None:
    network = await api.network()
    assert (await api.ask("DELETE", f"/virtual-networks/{network}")).status == 200
    assert (await api.ask("GET", f"/virtual-network/{network}")).status == 404


async def test_create_answers_200_with_the_envelope_and_parent(api: Api) -> None:
    body = {"project": {"fq_name": ["default-domain", "p2"], "parent_type": "domain"}}
    answer = await api.post("/projects", body)
    assert answer.status == 200
    project = answer.json["project"]
    domain = (
        await api.post("/fqname-to-id", {"type": "domain", "fq_name": ["default-domain"]})
    ).json
    assert project == {
        "name": "p2",
        "fq_name": ["default-domain", "p2"],
        "uuid": project["uuid"],
        "href": f"{api.url}/project/{project['uuid']}",
        "parent_type": "domain",
        "parent_uuid": domain["uuid"],
        "parent_href": f"{api.url}/domain/{domain['uuid']}",
    }
    assert str(UUID(project["uuid"])) == project["uuid"]


async def test_a_root_object_has_no_parent_members(api: Api) -> None:
    answer = await api.post("/virtual-machines", {"virtual-machine": {"fq_name": ["vm1"]}})
    assert set(answer.json["virtual-machine"]) == {"name", "fq_name", "uuid", "href"}


async def test_config_root_as_parent_type_is_accepted_and_dropped(api: Api) -> None:
    uuid = await api.create("domain", fq_name=["d2"], parent_type="config-root", uuid=None)
    assert "parent_type" not in await api.show("domain", uuid)


async def test_a_network_gets_subnet_defaults_id_and_permissions(api: Api) -> None:
    network = await api.show("virtual-network", await api.network())
    (ref,) = network["network_ipam_refs"]
    (subnet,) = ref["attr"]["ipam_subnets"]
    assert ref["to"] == IPAM
    assert ref["href"] == f"{api.url}/network-ipam/{ref['uuid']}"
    assert subnet["default_gateway"] == "10.0.1.254"
    assert subnet["dns_server_address"] == "10.0.1.253"
    assert UUID(subnet["subnet_uuid"])
    assert network["is_shared"] is False
    assert network["virtual_network_network_id"] == 5
    assert network["display_name"] == "vn1"
    perms = network["id_perms"]
    datetime.strptime(perms["created"], "%Y-%m-%dT%H:%M:%S.%f")
    assert len(perms["created"]) == 26
    assert perms["created"] == perms["last_modified"]
    halves = perms["uuid"]
    assert halves["uuid_mslong"] << 64 | halves["uuid_lslong"] == UUID(network["uuid"]).int
    assert perms["permissions"]["owner"] == "cloud-admin"
    assert network["perms2"] == {
        "owner": "cloud-admin",
        "owner_access": 7,
        "global_access": 0,
        "share": [],
    }


async def test_addresses_come_from_the_top_and_the_first_hole_is_used_again(api: Api) -> None:
    await api.network()
    first, address = await api.address("a")
    assert address == "10.0.1.252"
    assert (await api.address("b"))[1] == "10.0.1.251"
    assert (await api.delete("instance-ip", first)).status == 200
    assert (await api.address("c"))[1] == "10.0.1.252"


async def test_an_address_in_use_is_refused(api: Api) -> None:
    await api.network()
    _, address = await api.address("a")
    answer = await api.try_address("b", instance_ip_address=address)
    assert (answer.status, answer.text) == (409, "IP address already in use")


async def test_refusals_are_bare_text(api: Api) -> None:
    answer = await api.ask("GET", "/xyz")
    assert (answer.status, answer.text) == (404, "Not found: '/xyz'")
    assert answer.headers["content-type"] == "text/html; charset=UTF-8"


async def test_a_wrong_method_says_which_are_allowed(api: Api) -> None:
    answer = await api.ask("PUT", "/virtual-networks")
    assert (answer.status, answer.text) == (405, "Method not allowed.")
    assert answer.headers["allow"] == "GET, POST"


async def test_delete_of_what_is_referred_to_lists_the_referrers(api: Api) -> None:
    network = await api.network()
    address, _ = await api.address("a")
    answer = await api.delete("virtual-network", network)
    assert answer.status == 409
    match = REFERRED_TEXT.match(answer.text)
    assert match is not None
    assert ast.literal_eval(match[1]) == [f"{api.url}/instance-ip/{address}"]
    assert (await api.delete("instance-ip", address)).status == 200
    answer = await api.delete("virtual-network", network)
    assert (answer.status, answer.text) == (200, "")
    assert (await api.delete("virtual-network", network)).status == 404


async def test_delete_of_a_parent_lists_the_children(api: Api) -> None:
    project = await api.create("project", fq_name=["default-domain", "p3"], parent_type="domain")
    group = await api.create(
        "security-group", fq_name=["default-domain", "p3", "sg"], parent_type="project"
    )
    answer = await api.delete("project", project)
    assert answer.status == 409
    match = CHILDREN_TEXT.match(answer.text)
    assert match is not None
    assert ast.literal_eval(match[1]) == [f"{api.url}/security-group/{group}"]


async def test_children_of_the_default_name_go_with_their_parent(api: Api) -> None:
    project = await api.create("project", fq_name=["default-domain", "p3"], parent_type="domain")
    name = ["default-domain", "p3", "default-security-group"]
    group = await api.create("security-group", fq_name=name, parent_type="project")
    assert (await api.delete("project", project)).status == 200
    assert (await api.ask("GET", f"/security-group/{group}")).status == 404


async def test_a_taken_name_is_refused_with_its_holder(api: Api) -> None:
    network = await api.network()
    body = {"virtual-network": network_body("vn1", "10.9.0.0/24")}
    answer = await api.post("/virtual-networks", body)
    assert answer.status == 409
    expected = f"['default-domain', 'p1', 'vn1'] already exists with uuid: {network}"
    assert answer.text == expected


async def test_count(api: Api) -> None:
    await api.network()
    answer = await api.get("/virtual-networks?count=True")
    assert answer == {"virtual-networks": {"count": 5}}


async def test_filters_choose_by_properties(api: Api) -> None:
    await api.network()
    shared = await api.network("vn2", "10.0.2.0/24")
    assert (await api.put("virtual-network", shared, is_shared=True)).status == 200
    listed = await api.get("/virtual-networks?filters=is_shared==true&fields=is_shared")
    (one,) = listed["virtual-networks"]
    assert (one["uuid"], one["is_shared"]) == (shared, True)
    by_name = await api.get('/virtual-networks?filters=display_name=="vn1"')
    assert [one["fq_name"][-1] for one in by_name["virtual-networks"]] == ["vn1"]
    either = await api.get("/virtual-networks?filters=display_name==vn1,display_name==vn2")
    assert len(either["virtual-networks"]) == 2
    bad = await api.ask("GET", "/virtual-networks?filters=is_shared")
    assert (bad.status, bad.text) == (400, "Invalid filter is_shared")


async def test_symmetric_references_show_at_both_ends(api: Api) -> None:
    network = await api.network()
    fabric_name = ["default-domain", "default-project", "ip-fabric"]
    body = {"type": "virtual-network", "fq_name": fabric_name}
    fabric = (await api.post("/fqname-to-id", body)).json["uuid"]
    change = {
        "type": "virtual_network",
        "uuid": network,
        "ref-type": "virtual_network",
        "ref-uuid": fabric,
        "ref-fq-name": fabric_name,
        "operation": "ADD",
        "attr": None,
    }
    assert (await api.post("/ref-update", change)).json == {"uuid": network}
    for one, other in ((network, fabric), (fabric, network)):
        shown = await api.show("virtual-network", one)
        assert [ref["uuid"] for ref in shown["virtual_network_refs"]] == [other]
        assert "virtual_network_back_refs" not in shown
    # Taken away at the other end than it was added.
    change |= {"uuid": fabric, "ref-uuid": network, "ref-fq-name": None, "operation": "delete"}
    assert (await api.post("/ref-update", change)).status == 200
    assert "virtual_network_refs" not in await api.show("virtual-network", network)
    assert "virtual_network_refs" not in await api.show("virtual-network", fabric)


async def test_symmetric_references_do_not_keep_an_object(api: Api) -> None:
    name = ["default-domain", "default-project", "ip-fabric"]
    network = await api.create(
        "virtual-network", **network_body("vn1", "10.0.1.0/24"), virtual_network_refs=[{"to": name}]
    )
    assert (await api.delete("virtual-network", network)).status == 200


async def test_a_value_out_of_range_names_field_and_bounds(api: Api) -> None:
    network = await api.network()
    answer = await api.put("virtual-network", network, mtu=70000)
    expected = (
        "Bad property in http_put: Error validating property mtu: value must be between 0 and 9216"
    )
    assert (answer.status, answer.text) == (400, expected)
    assert "mtu" not in await api.show("virtual-network", network)


async def test_a_tag_is_named_by_type_and_value(api: Api) -> None:
    uuid = await api.create("tag", fq_name=["x"], tag_type_name="Tier", tag_value="web")
    tag = await api.show("tag", uuid)
    assert (tag["name"], tag["display_name"], tag["tag_id"]) == (
        "tier=web",
        "tier=web",
        "0x00020000",
    )
    network = await api.network()
    body = {"obj_type": "virtual_network", "obj_uuid": network}
    answer = await api.post("/set-tag", body | {"tier": {"is_global": True, "value": "web"}})
    assert (answer.status, answer.json) == (200, {})
    refs = (await api.show("virtual-network", network))["tag_refs"]
    assert [ref["to"] for ref in refs] == [["tier=web"]]
    assert (await api.post("/set-tag", body | {"tier": None})).status == 200
    assert "tag_refs" not in await api.show("virtual-network", network)


async def test_mac_addresses_are_made_of_the_uuid(api: Api) -> None:
    await api.network()
    uuid = "1a2b3c4d-5e6f-4000-8000-000000000001"
    await api.port_of(uuid=uuid)
    port = await api.show("virtual-machine-interface", uuid)
    macs = port["virtual_machine_interface_mac_addresses"]
    assert macs == {"mac_address": ["02:1a:2b:3c:4d:5e"]}


async def test_a_whole_answer_can_be_put_back(api: Api) -> None:
    network = await api.network()
    await api.port_of()
    before = await api.show("virtual-network", network)
    assert "virtual_machine_interface_back_refs" in before
    answer = await api.ask("PUT", f"/virtual-network/{network}", {"virtual-network": before})
    assert answer.json == {
        "virtual-network": {"uuid": network, "href": f"{api.url}/virtual-network/{network}"}
    }
    assert await api.show("virtual-network", network) == before


async def test_what_is_sent_back_unchanged_writes_nothing(api: Api) -> None:
    await api.network()
    port = await api.port_of()
    shown = await api.show("virtual-machine-interface", port)
    (network,) = shown["virtual_network_refs"]
    revision = await api.store.read(lambda snapshot: snapshot.revision)
    body = {"virtual-machine-interface": shown}
    for _ in range(2):
        await api.ask("PUT", f"/virtual-machine-interface/{port}", body)
        answer = await api.ask(
            "POST",
            "/ref-update",
            {
                "type": "virtual-machine-interface",
                "uuid": port,
                "operation": "ADD",
                "ref-type": "virtual-network",
                "ref-uuid": network["uuid"],
            },
        )
        assert answer.status == 200
    assert await api.store.read(lambda snapshot: snapshot.revision) == revision


async def test_an_empty_put_is_an_empty_answer(api: Api) -> None:
    network = await api.network()
    for body in (b"", b"{}", b'{"virtual-network": {}}'):
        answer = await api.ask("PUT", f"/virtual-network/{network}", data=body)
        assert (answer.status, answer.text) == (200, "")


async def test_only_enable_and_description_of_id_perms_follow_the_client(api: Api) -> None:
    network = await api.network()
    sent = {"enable": False, "description": "d", "created": "x", "creator": "me"}
    assert (await api.put("virtual-network", network, id_perms=sent)).status == 200
    perms = (await api.show("virtual-network", network))["id_perms"]
    assert (perms["enable"], perms["description"]) == (False, "d")
    assert "creator" not in perms
    assert perms["created"] != "x"


async def test_null_removes_a_property_and_an_empty_list_all_references(api: Api) -> None:
    network = await api.network()
    assert (await api.put("virtual-network", network, mtu=1400)).status == 200
    assert (await api.show("virtual-network", network))["mtu"] == 1400
    answer = await api.put("virtual-network", network, mtu=None, network_ipam_refs=[])
    assert answer.status == 200
    shown = await api.show("virtual-network", network)
    assert "mtu" not in shown
    assert "network_ipam_refs" not in shown


async def test_read_flags_work_by_their_presence(api: Api) -> None:
    network = await api.network()
    await api.create(
        "floating-ip-pool", fq_name=[*PROJECT, "vn1", "pool"], parent_type="virtual-network"
    )
    await api.port_of()
    path = f"/virtual-network/{network}"
    shown = await api.get(f"{path}?exclude_children=False&exclude_back_refs=0&exclude_hrefs")
    shown = shown["virtual-network"]
    assert "floating_ip_pools" not in shown
    assert "virtual_machine_interface_back_refs" not in shown
    assert "href" not in shown
    assert "href" not in shown["network_ipam_refs"][0]
    some = (await api.get(f"{path}?fields=floating_ip_pools,mtu,nonsense"))["virtual-network"]
    assert [one["to"][-1] for one in some["floating_ip_pools"]] == ["pool"]
    assert set(some) >= {"id_perms", "perms2", "uuid", "fq_name"}
    assert "network_ipam_refs" not in some


async def test_etag_spares_an_unchanged_read(api: Api) -> None:
    network = await api.network()
    path = f"/virtual-network/{network}"
    tag = (await api.ask("GET", path)).headers["etag"]
    again = await api.ask("GET", path, headers={"if-none-match": tag})
    assert (again.status, again.text) == (304, "")
    await api.put("virtual-network", network, mtu=1400)
    assert (await api.ask("GET", path, headers={"if-none-match": tag})).status == 200


async def test_a_change_of_what_somebody_else_changed_is_refused(api: Api) -> None:
    network = await api.network()
    path = f"/virtual-network/{network}"

    async def put(mtu: int, match: str) -> Answer:
        body = {"virtual-network": {"mtu": mtu}}
        return await api.ask("PUT", path, body, headers={"if-match": match})

    old = (await api.ask("GET", path)).headers["etag"]
    assert (await put(1400, f'"x", {old}')).status == 200
    new = (await api.ask("GET", path)).headers["etag"]
    for tags in (old, f"W/{new}", '"x"', f'{old} , "y"'):
        refused = await put(1500, tags)
        assert refused.status == 412, tags
        assert refused.text.startswith("Precondition Failed")
        assert new in refused.text
        refused = await api.ask("DELETE", path, headers={"if-match": tags})
        assert refused.status == 412, tags
    for bad in ("x", '"x', '"x" "y"', "*, *", ",", '"x",,', ""):
        refused = await put(1500, bad)
        assert (refused.status, "If-Match" in refused.text) == (400, True), bad
    shown = await api.ask("GET", path)
    assert (shown.headers["etag"], shown.json["virtual-network"]["mtu"]) == (new, 1400)
    # A body that changes nothing leaves the tag.
    assert (await put(1400, new)).status == (await put(1400, "*")).status == 200
    assert (await api.ask("DELETE", path, headers={"if-match": new})).status == 200
    gone = await api.ask("DELETE", path, headers={"if-match": "*"})
    assert gone.status == 404


async def test_of_two_who_read_and_write_one_at_a_time_wins(api: Api) -> None:
    """Sixteen clients each add one to a number, at once: none of the additions is lost."""
    network = await api.network()
    path = f"/virtual-network/{network}"
    await api.put("virtual-network", network, mtu=1000)

    async def add() -> None:
        while True:
            seen = await api.ask("GET", path)
            body = {"virtual-network": {"mtu": seen.json["virtual-network"]["mtu"] + 1}}
            tag = {"if-match": seen.headers["etag"]}
            answer = await api.ask("PUT", path, body, headers=tag)
            if answer.status == 200:
                return
            assert answer.status == 412, answer.text

    await asyncio.gather(*(add() for _ in range(16)))
    assert (await api.show("virtual-network", network))["mtu"] == 1016


async def test_names_and_ids_lead_to_each_other(api: Api) -> None:
    network = await api.network()
    asked = {"type": "virtual_network", "fq_name": [*PROJECT, "vn1"]}
    assert (await api.post("/fqname-to-id", asked)).json == {"uuid": network}
    answer = await api.post("/id-to-fqname", {"uuid": network})
    assert answer.json == {"fq_name": [*PROJECT, "vn1"], "type": "virtual-network"}
    missing = await api.post("/fqname-to-id", asked | {"fq_name": ["a", "b"]})
    assert (missing.status, missing.text) == (404, "Name ['a', 'b'] not found")
    unknown = str(UUID(int=1))
    missing = await api.post("/id-to-fqname", {"uuid": unknown})
    assert (missing.status, missing.text) == (404, f"UUID {unknown} not found")


async def test_what_exists_at_start_is_kept_over_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        before = await api.get("/virtual-networks")
        names = [one["fq_name"][-1] for one in before["virtual-networks"]]
        assert set(names) == {
            "default-virtual-network",
            "ip-fabric",
            "__link_local__",
            "dci-network",
        }
    async with serving(tmp_path) as api:
        after = await api.get("/virtual-networks?fields=virtual_network_network_id")
        assert [one["uuid"] for one in after["virtual-networks"]] == [
            one["uuid"] for one in before["virtual-networks"]
        ]
        ids = {
            one["fq_name"][-1]: one["virtual_network_network_id"]
            for one in after["virtual-networks"]
        }
        assert ids == {
            "default-virtual-network": 1,
            "ip-fabric": 2,
            "__link_local__": 3,
            "dci-network": 4,
        }
        groups = await api.get("/security-groups?fields=security_group_id")
        (no_rule,) = groups["security-groups"]
        assert no_rule["security_group_id"] == 8000001
