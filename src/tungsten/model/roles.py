"""What a device of a fabric is for: roles, the features they bring, profiles that assign them."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Ref, Resource
from tungsten.model.common import KeyValuePairs
from tungsten.model.fields import Complex, Default, Required, To
from tungsten.model.scalars import NodeProfileType


class RoutingBridgingRolesType(Complex):
    """Roles in routing and bridging."""

    rb_roles: list[str] | None = None


class PhysicalRole(Resource, type="physical-role", parents=("global-system-config",)):
    """A device's place in the fabric: ``leaf``, ``spine``..."""


class OverlayRole(Resource, type="overlay-role", parents=("global-system-config",)):
    """A device's part in the virtual networks."""


class Feature(Resource, type="feature", parents=("global-system-config",)):
    """Something that devices can do."""

    feature_refs: Annotated[list[Ref[None]], To("feature")] = []


class RoleDefinition(Resource, type="role-definition", parents=("global-system-config",)):
    """The features that a physical and an overlay role together bring."""

    feature_refs: Annotated[list[Ref[None]], To("feature")] = []
    physical_role_refs: Annotated[list[Ref[None]], To("physical-role")] = []
    overlay_role_refs: Annotated[list[Ref[None]], To("overlay-role")] = []


class FeatureConfig(Resource, type="feature-config", parents=("role-definition",)):
    """The parameters of a feature in a role."""

    feature_config_additional_params: KeyValuePairs | None = None
    feature_config_vendor_config: KeyValuePairs | None = None


class NodeProfileRoleType(Complex):
    """A physical role and the roles that go with it."""

    physical_role: str | None = None
    rb_roles: list[str] | None = None


class NodeProfileRolesType(Complex):
    """Roles that devices of a profile can have."""

    role_mappings: list[NodeProfileRoleType] | None = None


class NodeProfile(Resource, type="node-profile", parents=("global-system-config",)):
    """What is known of a kind of device: its vendor, its roles, its jobs."""

    node_profile_type: Annotated[NodeProfileType | None, Default("physical-router")] = None
    node_profile_vendor: Annotated[str | None, Required] = None
    node_profile_device_family: Annotated[str | None, Required] = None
    node_profile_hitless_upgrade: Annotated[bool | None, Required] = None
    node_profile_roles: Annotated[NodeProfileRolesType | None, Required] = None
    job_template_refs: Annotated[list[Ref[None]], To("job-template")] = []
    hardware_refs: Annotated[list[Ref[None]], To("hardware")] = []
    role_definition_refs: Annotated[list[Ref[None]], To("role-definition")] = []


class RoleConfig(Resource, type="role-config", parents=("node-profile",)):
    """The configuration that a role has in a node profile."""

    role_config_config: Annotated[str | None, Required] = None
