"""Upstream's dumps: what they hold is taken whole, and what cannot be is told."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.api.upstream_writer import NOW, dump_of
from tests.unit.model.model_samples import complex_value, full

from tungsten.api import takeover
from tungsten.api.audit import audit
from tungsten.api.service import ApiService
from tungsten.api.settings import ApiSettings
from tungsten.api.takeover import CHANGED, LEFT_OUT, NOTICED, Takeover
from tungsten.api.upstream_dump import Dump, NoDump, is_dump, read
from tungsten.compiler.service import CompilerService
from tungsten.model import (
    RESOURCE_TYPES,
    ROOT,
    Ref,
    Resource,
    decode,
    resource_type,
    to_fields,
    type_of,
)
from tungsten.store.backup import fill
from tungsten.store.records import from_record
from tungsten.store.sqlite import SqliteStore

Json = dict[str, Any]


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def make(type_: str, number: int, parent: Resource | None = None, **fields: Any) -> Resource:
    """An object as upstream has it."""
    name = fields.pop("name", f"{type_}-{number}")
    above = [] if parent is None else parent.fq_name
    resource = decode(type_, {"fq_name": [*above, name], **fields})
    resource.uuid = uuid_of(number)
    if parent is not None:
        resource.parent_type, resource.parent_uuid = type_of(parent).name, parent.uuid
    if "id_perms" not in fields:
        resource.id_perms = decode(
            type_, {"id_perms": {"enable": True, "created": "2020-05-18T07:46:40"}}
        ).id_perms
    return resource


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "config.db")
    yield store
    await store.close()


async def taken(store: SqliteStore, dump: Json, path: Path) -> Takeover:
    """A dump, taken over into a store."""
    path.write_text(json.dumps(dump))
    assert is_dump(path)
    found = read(path)
    result: Takeover = await store.read(lambda snapshot: takeover.take(snapshot, found))
    await fill(store, result.items)
    return result


async def held(store: SqliteStore) -> dict[str, Json]:
    _, records = await store.load()
    return {record.uuid: msgspec.to_builtins(to_fields(from_record(record))) for record in records}


def told(result: Takeover, kind: str) -> list[str]:
    return [f"{one.about}: {one.why}" for one in result.findings if one.kind == kind]


# -- every type -----------------------------------------------------------------------------


def world() -> list[Resource]:
    """An object of every type, with every property and a reference of every kind."""
    made: dict[str, Resource] = {}

    def ensure(name: str) -> Resource:
        if name not in made:
            declared = resource_type(name)
            # (Some may be below one another, so the first that is not yet being made.)
            above = next((one for one in declared.parents if one != ROOT), None)
            parent = None if above is None or ROOT in declared.parents else ensure(above)
            number = len(made) + 1
            fields = full(declared, number % 5)
            if name == "global-system-config":
                fields["name"] = "default-global-system-config"  # there is one, of this name
            made[name] = make(name, number, parent, **fields)
        return made[name]

    for name in RESOURCE_TYPES:
        ensure(name)
    for one in made.values():
        for field, reference in type_of(one).references.items():
            target = made.get(reference.target)
            if target is None or target is one:
                continue
            attr = complex_value(reference.attr, 1) if reference.attr else None
            said = decode(
                type_of(one).name,
                {field: [{"to": target.fq_name, "uuid": target.uuid, "attr": attr}]},
            )
            setattr(one, field, getattr(said, field))
    return list(made.values())


async def test_an_object_of_every_type_is_taken_whole(store: SqliteStore, tmp_path: Path) -> None:
    objects = world()
    assert len(objects) == len(RESOURCE_TYPES)
    result = await taken(store, dump_of(objects), tmp_path / "dump.json")
    # Samples of numbers and addresses are not always numbers of that kind; nothing else is told.
    assert [line for line in told(result, LEFT_OUT) if ": its claim: " not in line] == []
    assert told(result, NOTICED) == []
    after = await held(store)
    assert after.keys() == {one.uuid for one in objects}
    for one in objects:
        assert after[one.uuid] == msgspec.to_builtins(to_fields(one)), type_of(one).name


# -- an installation ------------------------------------------------------------------------


def installation() -> list[Resource]:
    """A project with two networks, ports, addresses, groups and what was compiled of them."""
    config = make(
        "global-system-config", 1, name="default-global-system-config", autonomous_system=64512
    )
    domain = make("domain", 2, name="default-domain")
    project = make("project", 3, domain, name="p1")
    ipam = make("network-ipam", 4, project, name="ipam")
    subnet = {
        "subnet": {"ip_prefix": "10.0.1.0", "ip_prefix_len": 24},
        "subnet_uuid": uuid_of(90),
        "default_gateway": "10.0.1.1",
        "dns_server_address": "10.0.1.2",
    }
    refs = [{"to": ipam.fq_name, "uuid": ipam.uuid, "attr": {"ipam_subnets": [subnet]}}]
    network = make(
        "virtual-network",
        5,
        project,
        name="vn1",
        network_ipam_refs=refs,
        virtual_network_network_id=4,
    )
    other = make("virtual-network", 6, project, name="vn2", virtual_network_network_id=5)
    port = make("virtual-machine-interface", 7, project, name="port")
    other_port = make("virtual-machine-interface", 8, project, name="other")
    for one in (port, other_port):
        one.virtual_network_refs = [Ref(network.fq_name, network.uuid)]  # type: ignore[attr-defined]
    port.virtual_machine_interface_refs = [Ref(other_port.fq_name, other_port.uuid)]  # type: ignore[attr-defined]
    address = make(
        "instance-ip", 9, name="address", instance_ip_address="10.0.1.3", subnet_uuid=uuid_of(90)
    )
    address.virtual_network_refs = [Ref(network.fq_name, network.uuid)]  # type: ignore[attr-defined]
    group = make("security-group", 10, project, name="web", security_group_id=8000003)
    instance = make("routing-instance", 11, network, name="vn1")
    target = make("route-target", 12, name="target:64512:8000005")
    instance.route_target_refs = [Ref(target.fq_name, target.uuid)]  # type: ignore[attr-defined]
    port.routing_instance_refs = [Ref(instance.fq_name, instance.uuid)]  # type: ignore[attr-defined]
    return [
        config,
        domain,
        project,
        ipam,
        network,
        other,
        port,
        other_port,
        address,
        group,
        instance,
        target,
    ]


def tables(target: str = "8000005") -> Json:
    """The keyspaces beside the objects."""
    return {
        "useragent": {"useragent_keyval_table": {"k": {"value": ["v", NOW]}}},
        "to_bgp_keyspace": {
            "route_target_table": {"default-domain:p1:vn1:vn1": {"rtgt_num": [target, NOW]}}
        },
    }


async def test_an_installation_goes_on_with_all_it_had(store: SqliteStore, tmp_path: Path) -> None:
    result = await taken(store, dump_of(installation(), **tables()), tmp_path / "dump.json")
    assert result.findings == []
    assert await store.read(audit) == []
    before = await held(store)
    assert before[uuid_of(5)]["id_perms"]["created"] == "2020-05-18T07:46:40.000000"
    assert before[uuid_of(5)]["is_shared"] is False
    assert before[uuid_of(5)]["perms2"]["owner"] == "cloud-admin"
    api = ApiService(ApiSettings(listen="127.0.0.1:0", introspect_listen=""), store)
    await api.start()
    compiler = CompilerService(store)
    await compiler.start()
    await compiler.stop()
    await api.stop()
    after = await held(store)
    assert {uuid: after[uuid] for uuid in before}.keys() == before.keys()
    # The network keeps its route target, whose number is its own; the interface its instance.
    instance = after[uuid_of(11)]
    assert [ref["to"] for ref in instance["route_target_refs"]] == [["target:64512:8000005"]]
    assert after[uuid_of(7)]["routing_instance_refs"][0]["uuid"] == uuid_of(11)
    assert await store.read(audit) == []
    owner = await store.read(lambda s: s.claim_owner("route-target/type0", f"{8000005:032x}"))
    assert owner == uuid_of(5)


def edit(change: Callable[[Json], None]) -> Json:
    """The installation's dump, changed in its table of objects."""
    dump = dump_of(installation(), **tables())
    change(dump["cassandra"]["config_db_uuid"])
    return dump


def row(config: Json, number: int) -> Json:
    columns: Json = config["obj_uuid_table"][uuid_of(number)]
    return columns


def say(columns: Json, name: str, value: Any) -> None:
    columns[name] = [json.dumps(value), NOW]


def copy_row(config: Json, number: int, new: int, **columns: Any) -> None:
    config["obj_uuid_table"][uuid_of(new)] = {
        **row(config, number),
        **{name: [json.dumps(value), NOW] for name, value in columns.items()},
    }


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (lambda c: row(c, 9).pop("type"), LEFT_OUT, "it has no type"),
        (lambda c: row(c, 9).pop("prop:id_perms"), LEFT_OUT, "it has no id_perms"),
        (lambda c: say(row(c, 9), "type", "wonder"), LEFT_OUT, "its type is not known"),
        (lambda c: say(row(c, 6), "prop:wonder", 1), LEFT_OUT, "there is no property wonder"),
        (
            lambda c: say(row(c, 6), "prop:virtual_network_properties", {"rpf": "what"}),
            LEFT_OUT,
            "property virtual_network_properties.rpf",
        ),
        (lambda c: row(c, 6).update(x=["{", NOW]), LEFT_OUT, "column x is not JSON"),
        (lambda c: row(c, 6).update({"x:y": ["1", NOW]}), LEFT_OUT, "column x:y is not known"),
        (
            lambda c: say(row(c, 7), f"ref:security_group:{uuid_of(77)}", {"attr": None}),
            LEFT_OUT,
            f"security_group {uuid_of(77)} leads nowhere",
        ),
        (
            lambda c: say(row(c, 7), f"ref:domain:{uuid_of(2)}", {"attr": None}),
            LEFT_OUT,
            "it has no references to domain",
        ),
        (lambda c: copy_row(c, 6, 66), LEFT_OUT, f"{uuid_of(6)} has its name"),
        (
            lambda c: c["obj_uuid_table"].pop(uuid_of(3)),
            LEFT_OUT,
            f"its parent project {uuid_of(3)} is not there",
        ),
        (
            lambda c: row(c, 6).pop(f"parent:project:{uuid_of(3)}"),
            CHANGED,
            f"it is put below {uuid_of(3)}",
        ),
        (
            lambda c: say(row(c, 6), "prop:virtual_network_network_id", 4),
            CHANGED,
            "virtual network ID 4 is another's, so it gets 1",
        ),
        (
            lambda c: row(c, 6).pop("prop:virtual_network_network_id"),
            CHANGED,
            "it has no virtual network ID, so it gets 1",
        ),
        (
            lambda c: copy_row(c, 9, 99, fq_name=["second"]),
            LEFT_OUT,
            f"address 10.0.1.3 of 10.0.1.0/24 is held by {uuid_of(9)}",
        ),
        (
            lambda c: say(row(c, 9), "prop:instance_ip_address", "10.9.9.9"),
            LEFT_OUT,
            "has address 10.9.9.9",
        ),
        (
            lambda c: c["obj_fq_name_table"]["domain"].update({"gone:0": ["null", NOW]}),
            NOTICED,
            "its name leads to 0",
        ),
        (
            lambda c: say(row(c, 2), f"backref:project:{uuid_of(3)}", None),
            NOTICED,
            "does not refer to it",
        ),
        (
            lambda c: say(row(c, 2), f"children:project:{uuid_of(33)}", None),
            NOTICED,
            f"child project {uuid_of(33)} is not there",
        ),
        (lambda c: row(c, 6).update({"prop:x": "text"}), LEFT_OUT, "has no text and time"),
    ],
)
async def test_what_cannot_be_taken_is_told_and_the_rest_is_taken(
    store: SqliteStore, tmp_path: Path, change: Callable[[Json], None], kind: str, text: str
) -> None:
    result = await taken(store, edit(change), tmp_path / "dump.json")
    assert text in "\n".join(told(result, kind))
    assert uuid_of(2) in await held(store)


async def test_one_of_two_with_a_name_is_the_one_that_the_table_names(
    store: SqliteStore, tmp_path: Path
) -> None:
    def change(config: Json) -> None:
        copy_row(config, 6, 66)
        names = config["obj_fq_name_table"]["virtual_network"]
        names[f"default-domain:p1:vn2:{uuid_of(66)}"] = names.pop(
            f"default-domain:p1:vn2:{uuid_of(6)}"
        )

    result = await taken(store, edit(change), tmp_path / "dump.json")
    assert f"{uuid_of(66)} has its name" in "\n".join(told(result, LEFT_OUT))
    assert uuid_of(66) in await held(store)
    assert uuid_of(6) not in await held(store)


async def test_numbers_come_from_zookeeper_when_the_table_is_not_there(
    store: SqliteStore, tmp_path: Path
) -> None:
    dump = dump_of(installation())
    nodes = [["/id/bgp/route-targets/type0/0008000005/", ["default-domain:p1:vn1:vn1", [1]]]]
    dump["zookeeper"] = json.dumps(nodes)
    result = await taken(store, dump, tmp_path / "dump.json")
    assert result.findings == []
    owner = await store.read(lambda s: s.claim_owner("route-target/type0", f"{8000005:032x}"))
    assert owner == uuid_of(5)


async def test_list_and_map_properties_are_read_in_their_order(
    store: SqliteStore, tmp_path: Path
) -> None:
    def change(config: Json) -> None:
        columns = row(config, 7)
        for key in ("b", "a:c"):
            pair = {"key": key, "value": "1"}
            say(columns, f"propm:annotations:{key}", pair)
        for place, stamp in (("10", 1), ("9", 2), ("100", 3)):
            name = "propl:virtual_machine_interface_fat_flow_protocols"
            columns[f"{name}:{place}"] = [
                json.dumps({"protocol": "tcp", "port": int(place)}),
                stamp,
            ]

    await taken(store, edit(change), tmp_path / "dump.json")
    port = (await held(store))[uuid_of(7)]
    assert [one["key"] for one in port["annotations"]["key_value_pair"]] == ["a:c", "b"]
    flows = port["virtual_machine_interface_fat_flow_protocols"]["fat_flow_protocol"]
    assert [one["port"] for one in flows] == [9, 10, 100]


# -- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not JSON"),
        (b"[]", "no dump"),
        (b"{}", "no dump"),
        (b'{"cassandra": {}}', "no objects"),
        (b'{"cassandra": {"config_db_uuid": {"obj_uuid_table": {"a": 5}}}}', "no objects"),
        (gzip.compress(b"{}", mtime=0)[:-5], "cannot be read"),
    ],
)
def test_files_that_are_no_dump_are_refused(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(NoDump, match=word):
        read(tmp_path / "file")


def test_a_compressed_dump_is_read(tmp_path: Path) -> None:
    data = json.dumps(dump_of(installation(), **tables())).encode()
    (tmp_path / "dump.json.gz").write_bytes(gzip.compress(data))
    assert is_dump(tmp_path / "dump.json.gz")
    assert len(read(tmp_path / "dump.json.gz").rows) == len(installation())


columns = st.dictionaries(
    st.sampled_from(
        ["type", "fq_name", "parent_type", "prop:id_perms", "prop:x", "propl:a:1", "propm:a:b",
         f"ref:virtual_network:{uuid_of(5)}", f"parent:project:{uuid_of(3)}", "children:x:y",
         "backref:x:y", "relaxbackref:x", "META:x", "", ":", "parent:", "prop:annotations",
         "propm:annotations:k", "prop:virtual_network_network_id"]
    )
    | st.text(max_size=8),
    st.tuples(
        st.sampled_from(['"virtual_network"', '"project"', '["a"]', '["default-domain"]', "{}",
                         "null", "1", '{"attr": 1}', '{"created": 1}', "[", ""])
        | st.text(max_size=8),
        st.integers(),
    ).map(list)
    | st.integers(),
    max_size=8,
)  # fmt: skip


@given(
    rows=st.dictionaries(
        st.integers(1, 14).map(uuid_of) | st.text(max_size=4), columns | st.none(), max_size=4
    ),
    zookeeper=st.text(max_size=10) | st.just('[["/id/bgp/route-targets/1", ["x"]]]') | st.none(),
)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
async def test_any_rows_are_taken_or_told(
    rows: Json, zookeeper: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("dump")
    dump = dump_of(installation(), **tables())
    dump["cassandra"]["config_db_uuid"]["obj_uuid_table"] |= rows
    dump["zookeeper"] = zookeeper
    (directory / "dump.json").write_text(json.dumps(dump))
    found: Dump = read(directory / "dump.json")
    store = SqliteStore.open(directory / "config.db")
    result: Takeover = await store.read(lambda snapshot: takeover.take(snapshot, found))
    await fill(store, result.items)
    await store.close()
