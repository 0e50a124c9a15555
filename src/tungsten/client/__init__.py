"""The client of the configuration API, used by everything outside the controller.

:class:`Client` is asynchronous and typed: it takes and gives the model's resources.
:class:`BlockingClient` does the same for callers without an event loop. A refusal of the
server is an :class:`ApiError` with the server's status and text, :class:`NotOffered` when it
does not have the operation at all; a server that cannot be reached is an :class:`Unreachable`.
"""

from tungsten.client.blocking import BlockingClient
from tungsten.client.client import CHANGED, Client, Watched
from tungsten.client.errors import ApiError, ClientError, NotOffered, Unreachable

__all__ = [
    "CHANGED",
    "ApiError",
    "BlockingClient",
    "Client",
    "ClientError",
    "NotOffered",
    "Unreachable",
    "Watched",
]
