"""How many objects of a type a project may have.

A project's ``quota`` says a number for a type, failing that the server's settings do, for the
type or as ``defaults``; -1 is no limit. Beside the types there are ``subnet`` (of all networks of
the project) and ``security_group_rule`` (of all its security groups). Counted is what people
made and see: derived objects and those that are not ``user_visible`` are free.

An object counts for the project that it names in ``project_refs``, else for the one it is below,
directly or by one step. The count and the object are of one transaction, so two requests never
pass by the same last place. Without a limit nothing is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from tungsten.api.errors import ApiFault, Forbidden, name_list
from tungsten.api.resources.subnet_sources import own_specs
from tungsten.api.transactions import Write, shared
from tungsten.model import Project, Resource, SecurityGroup, VirtualNetwork, resource_type, type_of
from tungsten.model.system import QuotaType
from tungsten.store.base import Record
from tungsten.store.records import from_record

UNLIMITED = -1
KEYS = frozenset(QuotaType.__struct_fields__)
UNIQUE = "host_based_service"
"""Of these a project has one or none."""

DRAFTS_BELOW = "policy-management"
"""What is below one in a project is a draft, which counts once it holds."""


class OverQuota(ApiFault):
    """The project has as many as it may have."""

    status = 412


def limit_of(quota: QuotaType | None, defaults: Mapping[str, int], key: str) -> int:
    """How many of ``key`` a project with this ``quota`` may have; -1: any number."""
    limit: int | None = getattr(quota, key, None)
    if limit is None:
        limit = defaults.get(key, defaults.get("defaults", UNLIMITED))
    if key == UNIQUE:
        return 1 if limit == 1 else 0
    return limit


def project_of(write: Write, resource: Resource) -> Project | None:
    """The project that an object counts for."""
    for ref in getattr(resource, "project_refs", []):
        return write.load(Project, ref.uuid)
    parent = resource
    for _ in range(2):
        record = write.tx.get(parent.parent_uuid) if parent.parent_uuid else None
        if record is None or record.type == DRAFTS_BELOW:
            return None
        parent = shared(record)
        if isinstance(parent, Project):
            return parent
    return None


def check_new(write: Write, resource: Resource) -> None:
    """Raise OverQuota when the project of a new object may not have one more."""
    if isinstance(resource, Project) and resource.quota is not None:
        _refuse_own_quota(write)
    key = type_of(resource).object_type
    if key not in KEYS or _is_hidden(resource):
        return
    project = project_of(write, resource)
    if project is None:
        return
    limit = limit_of(project.quota, write.quota, key)
    if limit >= 0 and sum(1 for _ in _counted(write, project, type_of(resource).name)) >= limit:
        raise OverQuota(f"quota limit ({limit}) exceeded for resource {key}")
    _check_parts(write, project, None, resource)


def check_changed(write: Write, old: Resource, new: Resource) -> None:
    """Raise OverQuota when an object gets more subnets or rules than its project may have."""
    if isinstance(new, Project) and isinstance(old, Project) and new.quota != old.quota:
        _refuse_own_quota(write)
    if isinstance(new, VirtualNetwork | SecurityGroup):
        project = project_of(write, new)
        if project is not None:
            _check_parts(write, project, old, new)


def _refuse_own_quota(write: Write) -> None:
    if not write.caller.admin:
        raise Forbidden("Permission Denied: only administrators set the quota of a project")


def _check_parts(write: Write, project: Project, old: Resource | None, new: Resource) -> None:
    if isinstance(new, VirtualNetwork):
        key, text = "subnet", f"{name_list(new.fq_name)} : "
    elif isinstance(new, SecurityGroup):
        key, text = "security_group_rule", "security_group_entries: "
    else:
        return
    limit = limit_of(project.quota, write.quota, key)
    more = _parts(new)
    if limit < 0 or more <= (_parts(old) if old is not None else 0):
        return
    others = _counted(write, project, type_of(new).name)
    total = more + sum(_parts(from_record(one)) for one in others if one.uuid != new.uuid)
    if total > limit:
        raise OverQuota(f"{text}{limit}")


def _parts(resource: Resource) -> int:
    """How many subnets or rules an object has."""
    if isinstance(resource, VirtualNetwork):
        return sum(1 for _ in own_specs(resource))
    if isinstance(resource, SecurityGroup) and resource.security_group_entries is not None:
        return len(resource.security_group_entries.policy_rule or [])
    return 0


def _is_hidden(resource: Resource) -> bool:
    return resource.id_perms is not None and resource.id_perms.user_visible is False


def _counted(write: Write, project: Project, type_: str) -> Iterator[Record]:
    """The objects of a type that count for a project."""
    seen = set()
    for record in _candidates(write, project, type_):
        if record.uuid in seen or record.provenance:
            continue
        seen.add(record.uuid)
        resource = from_record(record)
        if not _is_hidden(resource) and _counts_for(write, resource, project):
            yield record


def _candidates(write: Write, project: Project, type_: str) -> Iterable[Record]:
    declared = resource_type(type_)
    if "project_refs" in declared.references:
        yield from write.tx.referrers(project.uuid, type_)
    for parent in declared.parents:
        if parent == "project":
            yield from write.tx.children(project.uuid, type_)
        elif parent != DRAFTS_BELOW and "project" in resource_type(parent).parents:
            for between in write.tx.children(project.uuid, parent):
                yield from write.tx.children(between.uuid, type_)


def _counts_for(write: Write, resource: Resource, project: Project) -> bool:
    refs = getattr(resource, "project_refs", [])
    return not refs or refs[0].uuid == project.uuid


def settle_default_project(write: Write, fq_name: tuple[str, ...]) -> None:
    """The default project has the quota of the settings, whatever it had before."""
    record = write.tx.find("project", fq_name)
    if record is None:
        return
    project = from_record(record)
    assert isinstance(project, Project)
    quota = msgspec.convert({"defaults": UNLIMITED, **write.quota}, QuotaType)
    if project.quota != quota:
        project.quota = quota
        write.touch(project)
        write.save(project, record)
