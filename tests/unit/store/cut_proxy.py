"""A TCP proxy in front of a server, to cut and to silence connections."""

from __future__ import annotations

import contextlib
import socket
import threading


class CutProxy:
    """Forwards to ``HOST:PORT``. A context manager; :attr:`endpoint` is where it listens."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._refusing = False
        #: what the server says is swallowed
        self.mute = False
        #: cut everything after so many bytes more from the client; None: never
        self.cut_after: int | None = None

    def __enter__(self) -> CutProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End all connections; refuse new ones until :meth:`heal`."""
        self._refusing = True
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def heal(self) -> None:
        """Accept and forward again."""
        self._refusing = self.mute = False
        self.cut_after = None

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._refusing:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                self._open |= {client, server}
                for one, other in ((client, server), (server, client)):
                    threading.Thread(
                        target=self._pump, args=(one, other, one is client), daemon=True
                    ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if from_client and self.cut_after is not None:
                    data, left = data[: self.cut_after], self.cut_after - len(data)
                    self.cut_after = max(0, left)
                    sink.sendall(data)
                    if left <= 0:
                        self.cut()
                        return
                elif from_client or not self.mute:
                    sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
