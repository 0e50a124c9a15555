"""What the cluster store keeps in etcd: its keys, and the bytes that are their values.

All keys begin with the store's prefix. Below it:

========================  =====================================================================
``layout``                which layout this is (:mod:`tungsten.store.etcd_layout`); below: 1
``d/h``                   the *head*: put by every commit; which transaction, how many events,
                          when it was made, for whom and by what request
``d/r/UUID``              a record: MessagePack after a CRC-32 of it
``d/c/SPACE\\0KEY``        a claim; the value is its owner's uuid
``n/TYPE\\0NAME``          a name; the value is its holder's uuid. Makes names unique
``u/UUID\\0TYPE``          put whenever a record of TYPE begins or ceases to use UUID as parent or
                          target, so that who read the set of users notices; ``#claims``: claims
``f/ID``                  a fence: transactions that carry this id are refused from now on
``e/ROLE``                who is elected for a role (:mod:`tungsten.store.election`)
========================  =====================================================================

Only ``d/`` is watched: the rest follows from it or concerns only those who write. A commit is an
etcd transaction and its revision is etcd's. The head makes two things visible that etcd does not
promise to a client that comes back: the head's *version* grows by one with every commit, so a
commit that is missing is noticed; and it says how many events its commit has, so a commit of
which something is missing is noticed.

A record says ``created`` 0 when the commit that wrote it created it: the revision is known only
to etcd.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import msgspec

from tungsten.store.base import Edge, Record, StoreUnusable
from tungsten.store.origin import UNKNOWN, Origin
from tungsten.store.sqlite_file import decode_name, encode_name

#: The set of claims of a record, beside the types of its users.
CLAIMS = "#claims"

_Edge = tuple[str, str, bool]
_Value = tuple[str, list[str], str | None, list[_Edge], bytes, str, int]

_encoder = msgspec.msgpack.Encoder()
_values = msgspec.msgpack.Decoder(_Value)


class _Head(msgspec.Struct, array_like=True):
    """The head's value. Those of the first versions have its first two members only."""

    transaction: bytes
    events: int
    time: float = 0.0
    user: str = ""
    request: str = ""
    client: str = ""


_heads = msgspec.msgpack.Decoder(_Head)


def after(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with ``prefix``, whose last byte is not 255."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


class Keys:
    """The keys of one store."""

    def __init__(self, prefix: str) -> None:
        base = prefix.strip("/").encode() + b"/"
        self.base = base
        self.layout = base + b"layout"
        self.data = base + b"d/"
        self.head = base + b"d/h"
        self.records = base + b"d/r/"
        self.claims = base + b"d/c/"
        self.names = base + b"n/"
        self.users = base + b"u/"
        self.fences = base + b"f/"
        self.roles = base + b"e/"

    def record(self, uuid: str) -> bytes:
        """A record's key."""
        return self.records + uuid.encode()

    def claim(self, space: str, key: str) -> bytes:
        """A claim's key."""
        return self.claims + encode_name((space, key))

    def space(self, space: str) -> bytes:
        """What the keys of a space's claims begin with."""
        return self.claims + encode_name((space,)) + b"\0"

    def name(self, type_: str, fq_name: tuple[str, ...]) -> bytes:
        """A name's key."""
        return self.names + type_.encode() + b"\0" + encode_name(fq_name)

    def used(self, uuid: str, by: str | None = None) -> bytes:
        """The key of a record's users of a type; what those keys of all types begin with."""
        return self.users + uuid.encode() + b"\0" + ("" if by is None else by).encode()

    def fence(self, identity: str) -> bytes:
        """A fence's key."""
        return self.fences + identity.encode()

    def role(self, name: str) -> bytes:
        """The key that the elected of a role holds."""
        return self.roles + name.encode()

    def claim_of(self, key: bytes) -> tuple[str, str]:
        """The inverse of :meth:`claim`. Raises StoreUnusable."""
        try:
            space, name = decode_name(key[len(self.claims) :])
        except ValueError as error:
            raise StoreUnusable(f"{key!r} in etcd is no key of a claim: {error}") from error
        return space, name


@dataclass(frozen=True, slots=True)
class Head:
    """What a commit says of itself."""

    transaction: bytes
    events: int
    origin: Origin = UNKNOWN


def encode_head(head: Head) -> bytes:
    """The value of the head."""
    said = head.origin
    return _encoder.encode(
        _Head(head.transaction, head.events, said.time, said.user, said.request, said.client)
    )


def decode_head(value: bytes) -> Head:
    """The inverse of :func:`encode_head`. Raises StoreUnusable."""
    try:
        said = _heads.decode(value)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise StoreUnusable(f"the head of the store in etcd is damaged: {error}") from error
    origin = Origin(said.time, said.user, said.request, said.client)
    return Head(said.transaction, said.events, origin)


def encode_record(record: Record, created: int) -> bytes:
    """The value of a record; ``created`` 0: by this commit."""
    value = (
        record.type,
        list(record.fq_name),
        record.parent,
        [(edge.field, edge.target, edge.weak) for edge in record.edges],
        record.body,
        record.provenance,
        created,
    )
    data = _encoder.encode(value)
    return crc32(data).to_bytes(4, "big") + data


def decode_record(uuid: str, value: bytes, revision: int) -> Record:
    """A record from its value and the revision that wrote it. Raises StoreUnusable."""
    if crc32(value[4:]).to_bytes(4, "big") != value[:4]:
        raise StoreUnusable(f"record {uuid} in etcd is damaged or not ours")
    try:
        type_, fq_name, parent, edges, body, provenance, created = _values.decode(value[4:])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise StoreUnusable(f"record {uuid} in etcd is not ours: {error}") from error
    return Record(
        uuid=uuid,
        type=type_,
        fq_name=tuple(fq_name),
        parent=parent,
        edges=tuple(Edge(*edge) for edge in edges),
        body=body,
        provenance=provenance,
        created=created or revision,
        revision=revision,
    )
