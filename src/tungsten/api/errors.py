"""What the API answers when it refuses.

Every refusal is an :class:`ApiFault`: a status and a plain text. Clients of this API read the
text: two of them match it against patterns and parse the Python list inside, so the wording
of the texts made here is part of the wire form. The body is bare text with the type
``text/html; charset=UTF-8``, never JSON.
"""

from __future__ import annotations

from collections.abc import Iterable

from tungsten.store.base import (
    ClaimTaken,
    DanglingReference,
    DuplicateId,
    DuplicateName,
    StillReferenced,
    StoreError,
    TransactionTooLarge,
)

MAX_ECHO = 200
"""Characters of a client's value that a refusal repeats."""


class ApiFault(Exception):
    """A request refused: ``status`` is the HTTP status, ``text`` the body."""

    status = 400

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        if status is not None:
            self.status = status


class BadRequest(ApiFault):
    """The request is malformed or breaks a rule of the model."""

    status = 400


class Forbidden(ApiFault):
    """The request sets what only the system sets."""

    status = 403


class NotFound(ApiFault):
    """No such object, type or path."""

    status = 404


class Conflict(ApiFault):
    """The request collides with what is stored."""

    status = 409


class TooLarge(ApiFault):
    """The request body is larger than allowed."""

    status = 413


class Encoded(ApiFault):
    """The request body is packed (RFC 9110 section 15.5.16)."""

    status = 415

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"Content-Encoding {echo(encoding)} is not accepted: send the body as it is"
        )


class TimedOut(ApiFault):
    """The client took too long to send its request."""

    status = 408


def echo(value: object) -> str:
    """A client's value, cut to a length that is fit for an error text."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= MAX_ECHO else text[:MAX_ECHO] + "..."


def name_list(fq_name: Iterable[str]) -> str:
    """An fq_name as the texts of this API show it: a list with single quotes."""
    return repr(list(fq_name))


def unknown_type(name: str) -> NotFound:
    """No resource type is called ``name``."""
    return NotFound(f"Resource type '{echo(name)}' not found")


def unknown_id(uuid: str) -> NotFound:
    """No object has this uuid."""
    return NotFound(f"Unknown id: {echo(uuid)}")


def wrong_type(type_: str, uuid: str) -> NotFound:
    """An object has this uuid, but it is of another type."""
    return NotFound(f"No {type_} object found for id {uuid}")


def duplicate_name(fq_name: Iterable[str], holder: str | None) -> Conflict:
    """The name is taken; by whom (a uuid) is told to who may know."""
    known = f" with uuid: {holder}" if holder else ""
    return Conflict(f"{name_list(fq_name)} already exists{known}")


def duplicate_id(uuid: str, fq_name: Iterable[str] | None) -> Conflict:
    """The uuid is taken; by whom (a name) is told to who may know."""
    known = f" with fq_name: {name_list(fq_name)}" if fq_name is not None else ""
    return Conflict(f"{uuid} already exists{known}")


def missing_parent(fq_name: Iterable[str], type_: str) -> BadRequest:
    """The parent that an object names does not exist."""
    return BadRequest(f"Parent {name_list(fq_name)} type {type_} does not exist")


def children_present(hrefs: list[str]) -> Conflict:
    """An object to be deleted has children. Clients parse the list out of this text."""
    return Conflict(f"Delete when children still present: {hrefs!r}")


def still_referred(hrefs: list[str]) -> Conflict:
    """An object to be deleted is referred to. Clients parse the list out of this text."""
    return Conflict(f"Delete when resource still referred: {hrefs!r}")


def stale(age: float) -> ApiFault:
    """The refusal of a read that the store could only answer from what it knew before."""
    return ApiFault(
        f"The store does not answer; what is known is {age:.0f} seconds old and is not shown,"
        " since api.stale_reads is refuse",
        status=503,
    )


def of_store(error: StoreError) -> ApiFault:
    """The refusal for a transaction that the store did not accept.

    The operations check first, with more to say; this answers when two requests race.
    """
    match error:
        case DuplicateName():
            return duplicate_name(error.fq_name, error.holder)
        case DuplicateId():
            return duplicate_id(error.uuid, error.fq_name)
        case DanglingReference():
            return BadRequest(f"Unknown reference: object {error.uuid} refers to {error.target}")
        case StillReferenced():
            return still_referred(list(error.holders))
        case ClaimTaken():
            return Conflict(f"{error.key} in {error.space} is already taken by {error.owner}")
        case TransactionTooLarge():
            return ApiFault(f"The store does not take a change of this size: {error}", status=413)
        case _:
            return ApiFault(f"The store cannot commit now: {error}", status=503)
