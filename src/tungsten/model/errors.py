"""What can be wrong with a description of a resource."""

from __future__ import annotations

Path = tuple[str | int, ...]


class ModelError(Exception):
    """Anything the model refuses."""


class UnknownType(ModelError, KeyError):
    """A name that is no resource type. ``name`` is the name asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"{self.name!r} is not a resource type"


class ValidationError(ModelError, ValueError):
    """A resource that does not fit its declaration.

    ``type`` is the dashed resource type, ``path`` the way to the bad value (field names and
    list positions; empty when the whole is malformed), ``value`` what was given, ``reason``
    what would have been accepted. The reasons are worded as upstream's server words them, so
    that they may be put after its ``Error validating property <name>: ``.
    """

    def __init__(self, type_: str, path: Path, value: object, reason: str) -> None:
        self.type = type_
        self.path = path
        self.value = value
        self.reason = reason
        where = f"{type_} {self.field_path}" if path else type_
        super().__init__(f"{where}: {reason}")

    @property
    def field_path(self) -> str:
        """The path as people read it: ``network_ipam_refs[0].attr.ipam_subnets``."""
        text = ""
        for step in self.path:
            text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
        return text

    @property
    def field(self) -> str:
        """The property or reference of the resource in which the error lies."""
        return str(self.path[0]) if self.path else ""

    @property
    def leaf(self) -> str:
        """The innermost field name, which upstream's messages carry."""
        return next((step for step in reversed(self.path) if isinstance(step, str)), "")
