"""Objects that the rules of others make: the same steps as for those of clients, without rules."""

from __future__ import annotations

from uuid import uuid4

from tungsten.api import permissions
from tungsten.api.transactions import Write
from tungsten.model import Ref, Resource, type_of
from tungsten.model.common import IdPermsType


def make(
    write: Write, resource: Resource, parent: Resource | None = None, *, visible: bool = True
) -> Ref[None]:
    """Store a new object with its name and properties; returns a reference to it.

    ``parent`` may be on its way to the store itself, if it has its uuid. An object that is not
    ``visible`` is for administrators only.
    """
    resource.uuid = resource.uuid or str(uuid4())
    if parent is not None:
        resource.parent_type = type_of(parent).name
        resource.parent_uuid = parent.uuid
    resource.id_perms = IdPermsType(user_visible=visible)
    permissions.fill_id_perms(resource, write.now)
    permissions.fill_perms2(resource, parent, own_uuid=False)
    if resource.display_name is None:
        resource.display_name = resource.name
    write.add(resource)
    return Ref(list(resource.fq_name), resource.uuid)
