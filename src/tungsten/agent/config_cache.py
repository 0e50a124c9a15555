"""The last complete configuration, in a file: what a host knows when it starts without a control.

With it a restarted agent serves DHCP, and keeps and publishes its routes, before or without any
control being there. What was read counts as stale from the moment a control begins to send: what
it does not send again goes, as after any change of control.

The file holds the messages themselves, in the form they travel in (see
:mod:`tungsten.xmpp.stanzas`), inside one root element. A file that cannot be read is reported
and costs nothing but the head start.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from xml.etree import ElementTree

from tungsten.agent.config import ConfigGraph
from tungsten.agent.files import write_atomically
from tungsten.xmpp.errors import ProtocolError
from tungsten.xmpp.stanzas import ConfigMessage, StanzaDecoder, encode
from tungsten.xmpp.stream import CONTROL_JID

_PER_MESSAGE = 64
_SIZE_LIMIT = 256 << 20


class ConfigCache:
    """The file. ``problem`` says why one that was there could not be used, else it is None."""

    def __init__(self, path: Path, host: str) -> None:
        self._path = path
        self._host = host
        self._revision = -1
        self.problem: str | None = None

    def load(self, graph: ConfigGraph) -> int:
        """Put what the file holds into an empty graph; answers how many messages that were."""
        try:
            if self._path.stat().st_size > _SIZE_LIMIT:
                raise ValueError(f"longer than {_SIZE_LIMIT} bytes")
            root = ElementTree.fromstring(self._path.read_bytes())  # noqa: S314 - our own file
            decoder = StanzaDecoder()
            messages = [stanza for child in root if (stanza := decoder.decode(child))]
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, ElementTree.ParseError, ProtocolError) as error:
            self.problem = f"{self._path}: {error}"
            return 0
        for message in messages:
            if isinstance(message, ConfigMessage):
                graph.apply(message)
        self._revision = graph.revision
        return len(messages)

    def save(self, graph: ConfigGraph) -> bool:
        """Write the graph when it differs from what the file holds; says whether it did."""
        if graph.revision == self._revision:
            return False
        operations = iter(list(graph.operations()))
        parts = [b"<configuration>"]
        while batch := tuple(islice(operations, _PER_MESSAGE)):
            parts.append(encode(ConfigMessage(batch), CONTROL_JID, self._host))
        parts.append(b"</configuration>")
        write_atomically(self._path, b"\n".join(parts), mode=0o600)
        self._revision = graph.revision
        return True
