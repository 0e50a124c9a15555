"""Rules of virtual-router: the parts of flat-subnet IPAMs that are set apart for a host.

A reference from a virtual-router to a network-ipam names allocation pools of the IPAM that are
flagged ``vrouter_specific_pool``. Nothing else takes addresses from those; an instance-ip that
refers to the virtual-router does. A pool is of one virtual-router.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from tungsten.api import addresses
from tungsten.api.addresses import Given, HeldSubnet
from tungsten.api.errors import BadRequest, Conflict, name_list
from tungsten.api.resources.hooks import Hooks
from tungsten.api.resources.subnet_sources import FLAT, ipam_subnets, of_family, parse_address
from tungsten.api.subnets import Pool
from tungsten.api.transactions import Write
from tungsten.model import InstanceIp, NetworkIpam, Ref, VirtualRouter
from tungsten.model.addressing import AllocationPoolType
from tungsten.model.hosts import VirtualRouterNetworkIpamType
from tungsten.store.records import from_record

IpamRef = Ref[VirtualRouterNetworkIpamType]


def pool_specs(ref: IpamRef) -> list[AllocationPoolType]:
    """The pools that a reference names."""
    return (ref.attr.allocation_pools if ref.attr else None) or []


def label(pool: AllocationPoolType) -> str:
    """A pool as errors name it."""
    return f"vrouter allocation-pool start:{pool.start}, end:{pool.end}"


def check_pools(write: Write, router: VirtualRouter) -> None:
    """The pools of a virtual-router are pools for virtual-routers, and no other's."""
    for ref in router.network_ipam_refs:
        ipam = write.load(NetworkIpam, ref.uuid)
        assert ipam is not None
        if ipam.ipam_subnet_method != FLAT:
            raise BadRequest("Only flat-subnet ipam can be attached to vrouter")
        if not pool_specs(ref):
            raise BadRequest("No allocation-pools for this vrouter")
        for spec in pool_specs(ref):
            if _pool_in(ipam, spec) is None:
                raise BadRequest(f"{label(spec)} not in ipam {name_list(ipam.fq_name)}")
        _refuse_used(write, router, ref)


def _refuse_used(write: Write, router: VirtualRouter, ref: IpamRef) -> None:
    mine = {(spec.start, spec.end): spec for spec in pool_specs(ref)}
    for record in write.tx.referrers(ref.uuid, "virtual-router"):
        other = from_record(record)
        if record.uuid == router.uuid or not isinstance(other, VirtualRouter):
            continue
        for theirs in other.network_ipam_refs:
            for spec in pool_specs(theirs) if theirs.uuid == ref.uuid else []:
                if (spec.start, spec.end) in mine:
                    raise BadRequest(f"{label(spec)} is used in other vrouter:{record.uuid}")


def _pool_in(ipam: NetworkIpam, spec: AllocationPoolType) -> tuple[HeldSubnet, Pool] | None:
    """The subnet and pool of an IPAM that ``spec`` names, when it is for virtual-routers."""
    try:
        first, last = int(ip_address(spec.start or "")), int(ip_address(spec.end or ""))
    except ValueError:
        return None
    for held in ipam_subnets(ipam):
        for pool in held.subnet.pools:
            if pool.vrouter_only and (pool.first, pool.last) == (first, last):
                return held, pool
    return None


def _pools(write: Write, router: VirtualRouter) -> Iterator[tuple[HeldSubnet, Pool]]:
    for ref in router.network_ipam_refs:
        ipam = write.load(NetworkIpam, ref.uuid)
        for spec in pool_specs(ref) if ipam is not None else []:
            assert ipam is not None
            found = _pool_in(ipam, spec)
            if found is not None:
                yield found


def give_from_router(write: Write, ip: InstanceIp) -> Given:
    """Give an instance-ip an address of the pools of the virtual-router that it refers to."""
    router = write.load(VirtualRouter, ip.virtual_router_refs[0].uuid)
    assert router is not None
    pools = list(_pools(write, router))
    if not pools:
        raise BadRequest(
            f"Virtual-Router({name_list(router.fq_name)}) has no allocation-pools to take an "
            "address from"
        )
    if ip.instance_ip_address:
        return _asked(write, router, pools, ip)
    wanted = of_family([held for held, _ in pools], ip.instance_ip_family)
    for held, pool in pools:
        if held not in wanted:
            continue
        address = addresses.give_first(write.tx, held, ip.uuid, (pool,))
        if address is not None:
            return Given(address, held)
    tried = [held.subnet.cidr for held in wanted]
    raise BadRequest(f"Virtual-Router({name_list(router.fq_name)}) has exhausted subnet({tried!r})")


def _asked(
    write: Write, router: VirtualRouter, pools: list[tuple[HeldSubnet, Pool]], ip: InstanceIp
) -> Given:
    asked = parse_address(ip.instance_ip_address or "", "instance_ip_address")
    for held, pool in pools:
        if asked in held.subnet.network and pool.first <= int(asked) <= pool.last:
            return addresses.give_asked(write.tx, [held], asked, ip.uuid, router.fq_name)
    raise BadRequest(
        f"Virtual-Router({name_list(router.fq_name)}) has no allocation-pool with address {asked}"
    )


def refuse_used_removal(write: Write, old: VirtualRouter, new: VirtualRouter) -> None:
    """A pool stays with its virtual-router while an address of it is in use."""
    kept = list(_pools(write, new))
    for held, pool in _pools(write, old):
        if (held, pool) in kept:
            continue
        used = _used(write, held, pool, new.uuid)
        if used is not None:
            raise BadRequest(f"Cannot Delete allocation pool, {used} in use")


def _used(write: Write, held: HeldSubnet, pool: Pool, router: str) -> str | None:
    for key, owner in write.tx.claims(held.space):
        number = int(key, 16)
        if pool.first <= number <= pool.last:
            ip = write.load(InstanceIp, owner)
            if ip is not None and any(ref.uuid == router for ref in ip.virtual_router_refs):
                return str(held.subnet.address(number))
    return None


def refuse_used_pools(write: Write, old: NetworkIpam, new: NetworkIpam) -> None:
    """An IPAM keeps the pools that virtual-routers refer to."""
    for record in write.tx.referrers(new.uuid, "virtual-router"):
        router = from_record(record)
        assert isinstance(router, VirtualRouter)
        for ref in router.network_ipam_refs:
            for spec in pool_specs(ref) if ref.uuid == new.uuid else []:
                if _pool_in(new, spec) is None:
                    raise Conflict(f"{label(spec)} is used in vrouter:{record.uuid}")


HOOKS: dict[str, Hooks[Any]] = {
    "virtual-router": Hooks[VirtualRouter](
        create=(check_pools,),
        update=(lambda write, old, new: check_pools(write, new), refuse_used_removal),
    ),
}
