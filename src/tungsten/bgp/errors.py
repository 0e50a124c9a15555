"""The two errors of the BGP library, and the NOTIFICATION codes they carry.

:class:`ProtocolError` is the remote side's mistake: it carries exactly what the NOTIFICATION
that closes the session must say. :class:`UsageError` is ours: a message that cannot be
encoded, an input given to a session that is not in a state to take it. Nothing a peer sends
raises anything but :class:`ProtocolError`.

Sources: RFC 4271 sections 4.5 and 6, RFC 4486 and RFC 8203/9003 (Cease), RFC 5492 (2/7),
RFC 6608 (FSM subcodes), RFC 7313 (ROUTE-REFRESH), RFC 8538 (hard reset), RFC 9687 (send hold).
"""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """NOTIFICATION error codes."""

    HEADER = 1
    OPEN = 2
    UPDATE = 3
    HOLD_TIMER = 4
    FSM = 5
    CEASE = 6
    ROUTE_REFRESH = 7
    SEND_HOLD_TIMER = 8


class HeaderError(IntEnum):
    """Subcodes of :attr:`ErrorCode.HEADER`."""

    NOT_SYNCHRONIZED = 1
    BAD_LENGTH = 2
    BAD_TYPE = 3


class OpenError(IntEnum):
    """Subcodes of :attr:`ErrorCode.OPEN`."""

    UNSPECIFIC = 0
    UNSUPPORTED_VERSION = 1
    BAD_PEER_AS = 2
    BAD_IDENTIFIER = 3
    UNSUPPORTED_PARAMETER = 4
    UNACCEPTABLE_HOLD_TIME = 6
    UNSUPPORTED_CAPABILITY = 7


class UpdateError(IntEnum):
    """Subcodes of :attr:`ErrorCode.UPDATE`."""

    MALFORMED_ATTRIBUTE_LIST = 1
    UNRECOGNIZED_WELL_KNOWN = 2
    MISSING_WELL_KNOWN = 3
    ATTRIBUTE_FLAGS = 4
    ATTRIBUTE_LENGTH = 5
    INVALID_ORIGIN = 6
    INVALID_NEXT_HOP = 8
    OPTIONAL_ATTRIBUTE = 9
    INVALID_NETWORK = 10
    MALFORMED_AS_PATH = 11


class FsmError(IntEnum):
    """Subcodes of :attr:`ErrorCode.FSM` (RFC 6608)."""

    UNSPECIFIC = 0
    IN_OPEN_SENT = 1
    IN_OPEN_CONFIRM = 2
    IN_ESTABLISHED = 3


class CeaseError(IntEnum):
    """Subcodes of :attr:`ErrorCode.CEASE`."""

    UNSPECIFIC = 0
    MAXIMUM_PREFIXES = 1
    ADMINISTRATIVE_SHUTDOWN = 2
    PEER_DECONFIGURED = 3
    ADMINISTRATIVE_RESET = 4
    CONNECTION_REJECTED = 5
    CONFIGURATION_CHANGE = 6
    COLLISION = 7
    OUT_OF_RESOURCES = 8
    HARD_RESET = 9


_SUBCODES: dict[int, type[IntEnum]] = {
    ErrorCode.HEADER: HeaderError,
    ErrorCode.OPEN: OpenError,
    ErrorCode.UPDATE: UpdateError,
    ErrorCode.FSM: FsmError,
    ErrorCode.CEASE: CeaseError,
}


def describe(code: int, subcode: int) -> str:
    """``3/1 update: malformed attribute list``, for logs; unknown numbers stay numbers."""
    try:
        name = ErrorCode(code).name.lower().replace("_", " ")
    except ValueError:
        return f"{code}/{subcode}"
    try:
        detail = _SUBCODES[code](subcode).name.lower().replace("_", " ")
    except (KeyError, ValueError):
        return f"{code}/{subcode} {name}"
    return f"{code}/{subcode} {name}: {detail}"


class ProtocolError(Exception):
    """The peer broke the protocol; the session must close with this NOTIFICATION.

    ``data`` is the NOTIFICATION's data field (RFC 4271 section 6 says what each holds);
    ``reason`` says in words which field had which value and what would have been accepted.
    """

    def __init__(self, code: int, subcode: int, reason: str, data: bytes = b"") -> None:
        super().__init__(f"{describe(code, subcode)}: {reason}")
        self.code = int(code)
        self.subcode = int(subcode)
        self.data = data
        self.reason = reason


class UsageError(Exception):
    """The caller asked for something the protocol cannot express."""
