"""The audit finds nothing in what the API and the compiler made, and what was broken on purpose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.unit.api.api_server import PROJECT, Api
from tests.unit.api.test_plan import settled

from tungsten.api.audit import audit
from tungsten.store.base import Edge, Record, Snapshot, Transaction


async def everything(api: Api) -> dict[str, str]:
    """Objects with every kind of number and address."""
    made = {"network": await api.network(), "port": await api.port_of()}
    made["address"], _ = await api.address("address1")
    made["pool"] = await api.create(
        "floating-ip-pool", fq_name=[*PROJECT, "vn1", "pool"], parent_type="virtual-network"
    )
    made["floating"] = await api.create(
        "floating-ip", fq_name=[*PROJECT, "vn1", "pool", "f1"], parent_type="floating-ip-pool"
    )
    made["group"] = await api.create(
        "security-group", fq_name=[*PROJECT, "web"], parent_type="project"
    )
    await api.create(
        "security-group",
        fq_name=[*PROJECT, "db"],
        parent_type="project",
        configured_security_group_id=77,
    )
    made["tag"] = await api.create("tag", fq_name=["x"], tag_type_name="colour", tag_value="blue")
    made["site"] = await api.create("tag", fq_name=["x"], tag_type_name="site", tag_value="one")
    made["vxlan"] = await api.create(
        "virtual-network",
        fq_name=[*PROJECT, "vn2"],
        parent_type="project",
        virtual_network_properties={"vxlan_network_identifier": 4321},
    )
    await api.create(
        "logical-router",
        fq_name=[*PROJECT, "lr"],
        parent_type="project",
        vxlan_network_identifier="4322",
    )
    return made


async def test_nothing_is_found_in_what_was_made(api: Api) -> None:
    await everything(api)
    await settled(api)
    assert await api.store.read(audit) == []


async def test_what_is_broken_is_found(api: Api) -> None:
    made = await everything(api)

    def free(tx: Transaction) -> None:
        for name in ("network", "address", "floating", "group", "tag", "vxlan"):
            for space, key in tx.owned_claims(made[name]):
                tx.release(space, key)

    await api.store.transact(free)
    found = "\n".join(await api.store.read(audit))
    for words in (
        "virtual network ID 4321 is held by nobody",
        "security group ID 8000002 is held by nobody",
        "of 10.0.1.0/24 is held by nobody",
        "value ID of tag type colour 0 is held by nobody",
    ):
        assert words in found
    assert found.count("address 10.0.1.") == 2


class Broken:
    """A snapshot in which one record is not what it was."""

    def __init__(self, below: Snapshot, record: Record) -> None:
        self._below = below
        self._record = record

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def records(self, type_: str) -> Any:
        return (
            self._record if one.uuid == self._record.uuid else one
            for one in self._below.records(type_)
        )


async def test_broken_records_are_found(api: Api) -> None:
    made = await everything(api)
    changes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"parent": "gone"}, "its parent gone does not exist"),
        ({"body": b"{"}, "cannot be read"),
        ({"fq_name": ("other",)}, "its name leads to nothing"),
        ({"edges": (Edge("virtual_network_refs", "gone"),)}, "gone, which does not exist"),
        ({"edges": (Edge("x_refs", made["network"]),)}, "x_refs is no reference of its type"),
        ({"provenance": "virtual-network:gone"}, "derived from virtual-network:gone"),
    )
    for change, words in changes:

        def look(snapshot: Snapshot, change: dict[str, Any] = change) -> list[str]:
            record = snapshot.get(made["port"])
            assert record is not None
            return audit(Broken(snapshot, replace(record, **change)))

        assert words in "\n".join(await api.store.read(look))
