"""List and map properties changed element by element."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.api_server import Answer, Api

FAT_FLOWS = "virtual_network_fat_flow_protocols"


async def change(api: Api, uuid: str, *updates: dict[str, Any]) -> Answer:
    body = {"uuid": uuid, "updates": [*updates]}
    return await api.post("/prop-collection-update", body)


async def got(api: Api, uuid: str, query: str) -> Any:
    return await api.get(f"/prop-collection-get?uuid={uuid}&fields={query}")


@pytest.fixture
async def network(api: Api) -> str:
    return await api.network()


async def test_map_entries_are_set_and_deleted_by_key(api: Api, network: str) -> None:
    for key, value in (("b", "1"), ("a", "2"), ("b", "3")):
        one = {"field": "annotations", "operation": "set", "value": {"key": key, "value": value}}
        assert (await change(api, network, one)).status == 200
    shown = await got(api, network, "annotations")
    entries = [{"key": "a", "value": "2"}, {"key": "b", "value": "3"}]
    assert sorted(shown["annotations"], key=str) == [[entry, entry["key"]] for entry in entries]
    stored = (await api.show("virtual-network", network))["annotations"]
    assert stored == {"key_value_pair": entries}
    one = await got(api, network, "annotations&position=b")
    assert one == {"annotations": [[entries[1], "b"]]}
    gone = {"field": "annotations", "operation": "delete", "position": "a"}
    assert (await change(api, network, gone)).status == 200
    assert (await got(api, network, "annotations"))["annotations"] == [[entries[1], "b"]]


async def test_list_elements_keep_their_order_past_ten(api: Api, network: str) -> None:
    def element(port: int) -> dict[str, Any]:
        return {"protocol": "tcp", "port": port}

    for port in range(12):
        one = {"field": FAT_FLOWS, "operation": "add", "value": element(port)}
        assert (await change(api, network, one)).status == 200
    shown = (await got(api, network, FAT_FLOWS))[FAT_FLOWS]
    assert shown == [[element(port), str(port)] for port in range(12)]
    answer = await change(
        api,
        network,
        {"field": FAT_FLOWS, "operation": "modify", "position": "10", "value": element(99)},
        {"field": FAT_FLOWS, "operation": "delete", "position": "0"},
    )
    assert answer.status == 200
    shown = (await got(api, network, FAT_FLOWS))[FAT_FLOWS]
    assert [one["port"] for one, _ in shown] == [*range(1, 10), 99, 11]


async def test_changes_that_cannot_be_are_refused_whole(api: Api, network: str) -> None:
    good = {"field": FAT_FLOWS, "operation": "add", "value": {"protocol": "tcp", "port": 1}}
    for bad, part in (
        ({"field": "mtu", "operation": "add", "value": 1}, 'neither "ListProperty"'),
        ({"field": FAT_FLOWS, "operation": "set", "value": {}}, "Unsupported operation set"),
        ({"field": FAT_FLOWS, "operation": "modify", "position": "7"}, "no element at position 7"),
        ({"field": FAT_FLOWS, "operation": "add", "value": {"bogus": 1}}, "bogus"),
        ({"field": FAT_FLOWS, "operation": "add", "value": None}, "a value is needed"),
        ({"field": "annotations", "operation": "set", "value": {"value": "x"}}, "needs a key"),
        ({"field": 5}, "field must be a string"),
    ):
        answer = await change(api, network, good, bad)
        assert (answer.status, part in answer.text) == (400, True), answer.text
    assert FAT_FLOWS not in await api.show("virtual-network", network)


async def test_the_object_and_field_must_exist(api: Api, network: str) -> None:
    answer = await api.ask("GET", "/prop-collection-get")
    assert answer.text == "Object uuid needed for property collection get"
    for path in (f"?uuid={network}", f"?uuid={network}&fields="):
        answer = await api.ask("GET", f"/prop-collection-get{path}")
        assert (answer.status, "fields must be specified" in answer.text) == (400, True)
    answer = await api.ask("GET", f"/prop-collection-get?uuid={network}&fields=mtu")
    assert answer.text == 'mtu neither "ListProperty" nor "MapProperty"'
    answer = await change(api, "nonsense", {})
    assert (answer.status, answer.text) == (404, "Object Not Found: nonsense")
