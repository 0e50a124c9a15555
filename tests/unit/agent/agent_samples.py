"""Port descriptions as orchestrators send them, for the tests of this folder."""

from typing import Any

VMI = "a0ee1234-0000-4000-8000-000000000001"
VM = "f9a31234-0000-4000-8000-000000000002"
VN = "5ba01234-0000-4000-8000-000000000003"


def port(**changes: Any) -> dict[str, Any]:
    record = {
        "id": VMI,
        "instance-id": VM,
        "vn-id": VN,
        "vm-project-id": "77c11234-0000-4000-8000-000000000004",
        "display-name": "vm1",
        "ip-address": "10.1.1.3",
        "ip6-address": "",
        "system-name": "tapa0ee1234-56",
        "mac-address": "02:a0:ee:12:34:56",
        "type": 0,
        "rx-vlan-id": -1,
        "tx-vlan-id": -1,
    }
    return {key.replace("_", "-"): value for key, value in {**record, **changes}.items()}


def vm_port(**changes: Any) -> dict[str, Any]:
    record = {
        "vm-uuid": VM,
        "host-ifname": "tapeth0-f9a3",
        "vm-name": "pod1",
        "vn-uuid": VN,
        "vmi-uuid": VMI,
        "vm-ifname": "eth0",
    }
    return {**record, **changes}
