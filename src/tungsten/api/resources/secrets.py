"""Passwords in objects: kept encrypted, and never told.

Which fields those are is found in the model: names that end in ``password``, and the community of
SNMP version 2, which is one. What clients read is the encrypted value
(:mod:`tungsten.api.vault`), and it can be sent back. Whoever has the key file reads the values with
``tungsten db secrets``.

``auth_data`` of BGP routers and of BGP as a service is not among them: control nodes and agents
need those keys to speak TCP-MD5, and have no key file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from tungsten.api.errors import ApiFault, BadRequest
from tungsten.api.resources.hooks import Hooks
from tungsten.api.transactions import Write
from tungsten.api.vault import Unreadable, Vault, is_sealed
from tungsten.model import RESOURCE_TYPES, Complex, Resource, resource_type, type_of
from tungsten.model.fields import Field, Kind, fields_of
from tungsten.model.physical import PhysicalRouter
from tungsten.store.base import Snapshot
from tungsten.store.records import from_record

Change = Callable[[str, str], str]
"""Makes the new value of a secret from its place and its value."""


def is_secret(field: Field) -> bool:
    """Whether a field holds a secret."""
    named = field.name.endswith("password") or field.name == "v2_community"
    return field.kind is Kind.STRING and not field.many and named


@cache
def _leads_to_secrets(field: Field) -> bool:
    if field.struct is None:
        return is_secret(field)
    return any(_leads_to_secrets(one) for one in _within(field.struct))


@cache
def _within(struct: type[Complex]) -> tuple[Field, ...]:
    """The fields of a complex type that are secrets or have some."""
    return tuple(one for one in fields_of(struct).values() if _leads_to_secrets(one))


@cache
def _properties(type_: str) -> tuple[Field, ...]:
    declared = resource_type(type_).properties.values()
    return tuple(one for one in declared if _leads_to_secrets(one))


def _places(holder: Any, fields: tuple[Field, ...], path: str) -> Iterator[tuple[Any, str, str]]:
    """Where the secrets of a value are: what holds each, its field's name, its path."""
    for field in fields:
        value = getattr(holder, field.name)
        where = f"{path}.{field.name}"
        if field.struct is None:
            if value:
                yield holder, field.name, where
            continue
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                yield from _places(one, _within(field.struct), where)


def places(resource: Resource) -> Iterator[tuple[Any, str, str]]:
    """Where a resource has secrets: what holds each, its field's name, its place for the vault."""
    name = type_of(resource).name
    yield from _places(resource, _properties(name), f"{name} {resource.uuid} ")


def seal_new(write: Write, resource: Resource) -> None:
    """Encrypt the secrets of a new object."""
    seal_changed(write, None, resource)


def seal_changed(write: Write, old: Resource | None, new: Resource) -> None:
    """Encrypt the secrets of a changed object; those that stay the same keep their form."""
    held: dict[str, list[str]] = {}
    for holder, name, where in places(old) if old is not None else ():
        held.setdefault(where, []).append(getattr(holder, name))
    for holder, name, where in places(new):
        setattr(holder, name, _sealed(write, getattr(holder, name), held.get(where, []), where))
    if isinstance(new, PhysicalRouter):
        login = new.physical_router_user_credentials
        if login is not None and login.password:
            new.physical_router_encryption_type = "local"


def _sealed(write: Write, said: str, held: list[str], where: str) -> str:
    """The encrypted form of a value: that which it has already, taken out of ``held``."""
    if said in held and is_sealed(said):
        held.remove(said)
        return said
    vault = write.vault
    if vault is None:
        raise ApiFault("Passwords are not taken here: set api.secrets_key_file", status=501)
    if not is_sealed(said):
        same = next((one for one in held if _opened(vault, one, where) == said), None)
        if same is None:
            return vault.seal(said, where)
        held.remove(same)
        return same
    try:
        vault.open(said, where)
    except Unreadable as error:
        field = where.rpartition(" .")[2]
        raise BadRequest(
            f"Bad Request, {field} cannot be decrypted: {error}; send the value itself"
        ) from error
    return said


def _opened(vault: Vault, sealed: str, where: str) -> str | None:
    try:
        return vault.open(sealed, where)
    except Unreadable:
        return None


def seal_stored(write: Write) -> tuple[int, int]:
    """Encrypt what is kept as it was sent, or with a key that is not the first any more.

    How many objects were written, and how many values have a key that is not ours.
    """
    vault, written, foreign = write.vault, 0, 0
    if vault is None:
        return 0, 0
    for type_ in TYPES:
        for record in list(write.tx.records(type_)):
            resource = from_record(record)
            for holder, name, where in places(resource):
                value = getattr(holder, name)
                if vault.is_current(value):
                    continue
                plain = _opened(vault, value, where) if is_sealed(value) else value
                if plain is None:
                    foreign += 1
                else:
                    setattr(holder, name, vault.seal(plain, where))
            if resource != from_record(record):
                write.save(resource, record)
                written += 1
    return written, foreign


def opened(snapshot: Snapshot, vault: Vault, type_: str, name: tuple[str, ...]) -> dict[str, str]:
    """The secrets of an object by their fields, decrypted. Raises Unreadable, KeyError."""
    record = snapshot.find(type_, name)
    if record is None:
        raise KeyError(f"there is no {type_} {':'.join(name)}")
    found: dict[str, str] = {}
    for holder, field, where in places(from_record(record)):
        value = getattr(holder, field)
        label = where.rpartition(" .")[2]
        number = sum(one.partition("[")[0] == label for one in found)
        key = f"{label}[{number}]" if number else label
        found[key] = vault.open(value, where) if is_sealed(value) else value
    return found


TYPES = tuple(name for name in sorted(RESOURCE_TYPES) if _properties(name))
"""The types that may have secrets."""

HOOKS = {name: Hooks[Any](create=(seal_new,), update=(seal_changed,)) for name in TYPES}
