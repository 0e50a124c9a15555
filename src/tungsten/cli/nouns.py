"""Names on the command line: which type is meant by a noun, which object by a name.

A noun is a type's name or a short name that operators say (:data:`SHORT_NAMES`), or the plural of
one: that of the API (``network-policys``) or of English.
A name is a fq_name joined by ``:``, a uuid, or a *tail* of a fq_name that just one object has
(``vn1``, ``demo:vn1``); a tail that several have is refused with the candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from uuid import UUID

from tungsten.client import ApiError, BlockingClient
from tungsten.model import RESOURCE_TYPES, Resource, ResourceType

SHORT_NAMES = {
    "acl": "access-control-list",
    "aps": "application-policy-set",
    "bgp": "bgp-router",
    "bgpaas": "bgp-as-a-service",
    "dns": "virtual-DNS",
    "fip": "floating-ip",
    "fippool": "floating-ip-pool",
    "fp": "firewall-policy",
    "fr": "firewall-rule",
    "gsc": "global-system-config",
    "gvc": "global-vrouter-config",
    "hc": "service-health-check",
    "iip": "instance-ip",
    "ipam": "network-ipam",
    "irt": "interface-route-table",
    "lb": "loadbalancer",
    "li": "logical-interface",
    "lr": "logical-router",
    "np": "network-policy",
    "pi": "physical-interface",
    "pr": "physical-router",
    "pt": "port-tuple",
    "ri": "routing-instance",
    "rt": "route-target",
    "rtable": "route-table",
    "sg": "security-group",
    "si": "service-instance",
    "slo": "security-logging-object",
    "st": "service-template",
    "vdns": "virtual-DNS",
    "vm": "virtual-machine",
    "vmi": "virtual-machine-interface",
    "vn": "virtual-network",
    "vpg": "virtual-port-group",
    "vr": "virtual-router",
}


class UnclearName(Exception):
    """A noun or name that means nothing, or more than one thing; the text says what would do."""


class UnknownNoun(UnclearName):
    """A word where a type is wanted that is none: a wrong use of the command."""


def find_type(noun: str) -> ResourceType:
    """The type a noun means. Raises UnknownNoun."""
    word = noun.lower().replace("_", "-")
    wanted = (SHORT_NAMES.get(word) or SHORT_NAMES.get(word.removesuffix("s")) or word).lower()
    for name, type_ in RESOURCE_TYPES.items():
        if wanted in _spellings(name.lower()):
            return type_
    near = get_close_matches(wanted, RESOURCE_TYPES, n=3)
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise UnknownNoun(f"{noun!r} is not a type{meant}; `tungsten schema` lists them")


def _spellings(name: str) -> tuple[str, ...]:
    """A type's name and its plurals."""
    english = (f"{name[:-1]}ies",) if name.endswith("y") else ()
    return name, f"{name}s", *english


def plural(type_: ResourceType) -> str:
    """Several objects of a type, in English."""
    return _spellings(type_.name)[-1]


def full_name(resource: Resource) -> str:
    """A fq_name joined by ``:``."""
    return ":".join(resource.fq_name)


def matching(resources: Sequence[Resource], name: str) -> list[Resource]:
    """The objects a name means: the one of that uuid or fq_name, else those with that tail."""
    exact = [each for each in resources if name in (each.uuid, full_name(each))]
    if exact:
        return exact
    tail = name.split(":")
    return [each for each in resources if each.fq_name[-len(tail) :] == tail]


def identified(client: BlockingClient, type_: ResourceType, name: str) -> list[Resource]:
    """What :func:`matching` finds among all objects of a type, without reading them all.

    Only ``uuid`` and ``fq_name`` of what is found are filled in. The server is asked for a name
    that is long enough to be a whole one, then for the names of all.
    """
    whole = name.split(":")
    if len(whole) >= _shortest(type_):
        try:
            return [type_.cls(uuid=client.id_of(type_.name, whole), fq_name=whole)]
        except ApiError as error:
            if error.status not in (400, 403, 404):
                raise
    return matching(client.list(type_.name, names_only=True), name)


def _shortest(type_: ResourceType, below: frozenset[str] = frozenset()) -> int:
    """How many parts a whole name of a type has at least."""
    if type_.may_be_root:
        return 1
    above = below | {type_.name}
    return 1 + min(
        (_shortest(RESOURCE_TYPES[each], above) for each in type_.parents if each not in above),
        default=0,
    )


def find_all(client: BlockingClient, type_: ResourceType, name: str) -> list[Resource]:
    """The objects that a uuid or a name means; several when a tail is of several."""
    uuid = _as_uuid(name)
    if uuid is not None:
        found = client.list(type_.name, uuids=[uuid])
        if found:
            return found
    uuids = [each.uuid for each in identified(client, type_, name)]
    return client.list(type_.name, uuids=uuids) if uuids else []


def find_object(client: BlockingClient, type_: ResourceType, name: str) -> Resource:
    """The one object that a name means."""
    uuid = _as_uuid(name)
    if uuid is not None:
        return client.read(type_.name, uuid)
    found = identified(client, type_, name)
    if len(found) == 1:
        return client.read(type_.name, found[0].uuid)
    if not found:
        raise UnclearName(
            f"there is no {type_.name} {name!r}; `tungsten get {type_.name}` lists those there are"
        )
    candidates = "\n  ".join(sorted(full_name(each) for each in found))
    raise UnclearName(
        f"{name!r} is the name of {len(found)} {type_.plural}; say more of it:\n  {candidates}"
    )


def _as_uuid(text: str) -> str | None:
    try:
        return str(UUID(text)) if len(text) == 36 else None
    except ValueError:
        return None


def new_name(type_: ResourceType, name: str, project: str) -> tuple[list[str], str]:
    """The fq_name and the parent type of an object to be created; the latter may be empty.

    A full name is taken as it is; a single word is put below ``project`` for types that live
    in projects. Types without a parent have names of one part, whatever is in it.
    """
    if not type_.parents:
        return [name], ""
    parts = name.split(":")
    if len(parts) > 1:
        return parts, _parent_type(type_, len(parts))
    if "project" in type_.parents:
        return [*project.split(":"), name], "project"
    if "global-system-config" in type_.parents:
        return ["default-global-system-config", name], "global-system-config"
    if "domain" in type_.parents:
        return [project.split(":", maxsplit=1)[0], name], "domain"
    if "config-root" not in type_.parents:
        raise UnclearName(
            f"a {type_.name} is below a {' or '.join(type_.parents)}: give its whole name, "
            "parts joined by ':'"
        )
    return parts, "config-root"


def _parent_type(type_: ResourceType, length: int) -> str:
    """The parent type that the length of a name tells, when there is a choice."""
    if len(type_.parents) == 1:
        return type_.parents[0]
    by_length = {2: ("virtual-machine", "domain"), 3: ("project", "virtual-router")}
    return next((each for each in by_length.get(length, ()) if each in type_.parents), "")
