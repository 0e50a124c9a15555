from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.agent.agent_samples import VM, VMI, port, vm_port

from tungsten.agent.ports import PortError, PortStore, parse_port, parse_vm_port


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "x"}, "Invalid or missing data for <id>"),
        ({"id": 5}, "Invalid or missing field for <id>"),
        ({"system-name": "../../etc/x"}, "Invalid or missing data for <system-name>"),
        ({"system-name": ".."}, "Invalid or missing data for <system-name>"),
        ({"mac-address": "02-a0"}, "Invalid MAC, Use xx:xx:xx:xx:xx:xx format"),
        ({"mac-address": "01:00:5e:00:00:01"}, "Invalid MAC, Use xx:xx:xx:xx:xx:xx format"),
        ({"vn-id": "00000000-0000-0000-0000-000000000000"}, "Invalid VN uuid"),
        ({"ip-address": "10.1"}, "Invalid or missing data for <ip-address>"),
        ({"type": True}, "Invalid or missing field for <type>"),
        ({"type": 7}, "Invalid or missing data for <type>"),
        (
            {"rx-vlan-id": 4},
            "Invalid request. RX (isolated) vlan set, but TX vlan not set",
        ),
    ],
)
def test_a_bad_field_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PortError) as caught:
        parse_port({**port(), **changes})
    assert str(caught.value) == message


def test_ports_survive_a_restart(tmp_path: Path) -> None:
    store = PortStore(tmp_path)
    store.load(0.0)
    store.add([parse_port(port())])
    again = PortStore(tmp_path)
    again.load(10.0)
    assert again.ports() == store.ports()
    assert again.get(VMI).record["author"] == "tungsten-agent"  # type: ignore[union-attr]


def test_a_vm_port_has_its_own_place(tmp_path: Path) -> None:
    store = PortStore(tmp_path)
    store.load(0.0)
    store.add([parse_vm_port(vm_port())])
    assert (tmp_path / "vm" / VM / VMI).is_file()
    assert store.remove_vm(VM)
    assert not store.remove_vm(VM)
    assert list((tmp_path / "vm").iterdir()) == []


@pytest.mark.parametrize("known", [True, False])
def test_unconfirmed_ports_go_unless_the_configuration_knows_them(
    tmp_path: Path, known: bool
) -> None:
    first = PortStore(tmp_path)
    first.load(0.0)
    first.add([parse_port(port())])
    store = PortStore(tmp_path)
    store.load(100.0)
    assert store.expire(159.0, 60.0, lambda _: False) == ()
    assert store.expire(161.0, 60.0, lambda _: known) == (() if known else (VMI,))


def test_a_resync_removes_what_is_not_sent_again(tmp_path: Path) -> None:
    other = VMI.replace("1", "2")
    store = PortStore(tmp_path)
    store.load(0.0)
    store.add([parse_port(port()), parse_port(port(id=other, system_name="tap2"))])
    store.begin_sync(5.0)
    store.add([parse_port(port())])
    assert store.expire(70.0, 60.0, lambda _: True) == (other,)
    assert [p.vmi for p in store.ports()] == [VMI]


OTHER = "11111111-2222-4333-8444-555555555555"


@pytest.mark.parametrize("device", ["lo", "eth0", "pkt0"])
def test_a_device_of_the_host_is_no_port(tmp_path: Path, device: str) -> None:
    store = PortStore(tmp_path, own=("lo", "eth0", "pkt0"))
    store.load(0.0)
    with pytest.raises(PortError, match=rf"<system-name>: {device} is the host's own"):
        store.add([parse_port(port(**{"system-name": device}))])
    with pytest.raises(PortError, match=rf"<host-ifname>: {device} is the host's own"):
        store.add([parse_vm_port({**vm_port(), "host-ifname": device})])
    assert store.ports() == ()


def test_a_device_belongs_to_one_port(tmp_path: Path) -> None:
    store = PortStore(tmp_path)
    store.load(0.0)
    first, second = parse_port(port()), parse_port(port(id=OTHER))
    with pytest.raises(PortError, match=f"<system-name>: {first.device} is of port {VMI}"):
        store.add([first, second])
    assert store.ports() == ()
    store.add([first])
    with pytest.raises(PortError, match=f"is of port {VMI}"):
        store.add([second])
    store.add([first])
    store.remove(VMI)
    store.add([second])
    assert [it.vmi for it in store.ports()] == [OTHER]


def test_files_that_name_one_device_give_one_port(tmp_path: Path) -> None:
    store = PortStore(tmp_path)
    store.load(0.0)
    store.add([parse_port(port())])
    (tmp_path / OTHER).write_bytes(msgspec.json.encode(port(id=OTHER)))
    again = PortStore(tmp_path)
    again.load(0.0)
    assert len(again.ports()) == 1
    assert len(again.problems) == 1
    assert "is of port" in again.problems[0]


def test_an_unreadable_file_is_reported_and_kept(tmp_path: Path) -> None:
    (tmp_path / VMI).write_text("{")
    (tmp_path / VM).write_bytes(msgspec.json.encode(port()))
    store = PortStore(tmp_path)
    store.load(0.0)
    assert store.ports() == ()
    assert len(store.problems) == 2
    assert (tmp_path / VMI).exists()


def test_ports_that_cannot_all_be_kept_are_none(tmp_path: Path) -> None:
    store = PortStore(tmp_path)
    store.load(0.0)
    store.add([parse_port(port())])
    other, blocked = VMI.replace("1", "2"), VMI.replace("1", "3")
    (tmp_path / blocked).mkdir()
    changed = port(**{"display-name": "other"})
    with pytest.raises(OSError, match=blocked):
        store.add(
            [
                parse_port(changed),
                parse_port(port(id=other, system_name="tap2")),
                parse_port(port(id=blocked, system_name="tap3")),
            ]
        )
    assert [(p.vmi, p.name) for p in store.ports()] == [(VMI, "vm1")]
    again = PortStore(tmp_path)
    again.load(0.0)
    assert again.ports() == store.ports()


def test_a_planted_link_is_replaced_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "secret"
    target.write_text("kept")
    ports = tmp_path / "ports"
    store = PortStore(ports)
    store.load(0.0)
    (ports / VMI).symlink_to(target)
    store.add([parse_port(port())])
    assert target.read_text() == "kept"
    assert not (ports / VMI).is_symlink()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from([*port(), *vm_port()]), JSON), st.booleans())
def test_any_description_is_accepted_or_refused_with_a_port_error(
    changes: dict[str, Any], vm: bool
) -> None:
    try:
        if vm:
            parse_vm_port({**vm_port(), **changes})
        else:
            parse_port({**port(), **changes})
    except PortError:
        pass
