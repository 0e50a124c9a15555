"""What an agent knows of its host's devices and routers, from a real kernel."""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address

import pytest

from tungsten.agent.kernel import Kernel
from tungsten.lab.netns import Namespace, veth

REMOTE = IPv4Address("172.31.9.9")
GATEWAY = IPv4Address("172.31.1.1")


@pytest.fixture
def hosts(make_namespaces: Callable[..., list[Namespace]]) -> tuple[Namespace, Namespace]:
    host, router = make_namespaces("host", "router")
    veth(host, "eth0", router, "eth0")
    host.ip("addr", "add", "172.31.1.2/24", "dev", "eth0")
    router.ip("addr", "add", f"{GATEWAY}/24", "dev", "eth0")
    return host, router


def in_host(host: Namespace, body: Callable[[Kernel, asyncio.Event], Awaitable[None]]) -> None:
    """Run a coroutine with a started kernel view, inside a namespace."""

    async def work() -> None:
        changed = asyncio.Event()
        kernel = Kernel(changed.set)
        await kernel.start()
        try:
            async with asyncio.timeout(20):
                await body(kernel, changed)
        finally:
            await kernel.stop()

    host.call_in(lambda: asyncio.run(work()))


async def until(changed: asyncio.Event, condition: Callable[[], object]) -> None:
    while not condition():
        changed.clear()
        await changed.wait()


def test_devices_come_change_and_go(hosts: tuple[Namespace, Namespace]) -> None:
    host, _ = hosts

    async def body(kernel: Kernel, changed: asyncio.Event) -> None:
        device = kernel.devices["eth0"]
        assert (device.mac, device.mtu, device.up) == (host.link_mac("eth0"), 1500, True)
        assert device.kind == "veth"
        assert await kernel.address_of("eth0") == IPv4Address("172.31.1.2")
        assert await kernel.address_of("lo2") is None
        host.ip("link", "add", "tap1", "type", "veth", "peer", "name", "far1")
        await until(changed, lambda: "tap1" in kernel.devices)
        assert not kernel.devices["tap1"].up
        host.ip("link", "set", "tap1", "up", "mtu", "1400")
        await until(changed, lambda: kernel.devices["tap1"].up)
        await until(changed, lambda: kernel.devices["tap1"].mtu == 1400)
        host.ip("link", "del", "tap1")
        await until(changed, lambda: "tap1" not in kernel.devices)

    in_host(host, body)


def test_the_router_of_a_route_is_resolved_and_followed(
    hosts: tuple[Namespace, Namespace],
) -> None:
    host, router = hosts

    async def body(kernel: Kernel, changed: asyncio.Event) -> None:
        kernel.watch([REMOTE])
        await asyncio.sleep(0.1)
        assert kernel.neighbours == {}
        host.ip("route", "add", "default", "via", str(GATEWAY))
        old = router.link_mac("eth0")
        await until(changed, lambda: REMOTE in kernel.neighbours)
        await until(changed, lambda: kernel.neighbours[REMOTE].mac == old)
        assert kernel.neighbours[REMOTE].via == GATEWAY
        assert await kernel.device_towards(REMOTE) == "eth0"
        router.ip("link", "set", "eth0", "address", "02:fe:ed:00:00:02")
        host.ip("neigh", "flush", "dev", "eth0")
        await until(changed, lambda: kernel.neighbours[REMOTE].mac == "02:fe:ed:00:00:02")
        host.ip("route", "add", f"{REMOTE}/32", "dev", "eth0")
        await until(changed, lambda: kernel.neighbours[REMOTE].via == REMOTE)
        kernel.watch([])
        await until(changed, lambda: kernel.neighbours == {})

    in_host(host, body)
