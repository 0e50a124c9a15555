"""What can go wrong between a client and the configuration API."""

from __future__ import annotations


class ClientError(Exception):
    """A request that brought no usable answer."""


class ApiError(ClientError):
    """The server refused: ``status`` is the HTTP status, ``text`` its reason."""

    def __init__(self, status: int, text: str, request: str = "") -> None:
        super().__init__(f"{request}: {status} {text}" if request else f"{status} {text}")
        self.status = status
        self.text = text
        self.request = request


class NotOffered(ApiError):
    """The server does not have this operation: it is upstream's, or an older one."""


class Unreachable(ClientError):
    """The server could not be reached, or ended the connection, or took too long.

    Whether what was asked has happened is not known.
    """


class UnexpectedAnswer(ClientError):
    """The server answered something that is not of this API."""
