"""Certificates of XMPP sessions: whose they are, and files that may change while we run.

Both ends show a certificate of a common authority. The server demands that the client's names
(subject alternative names; without any, the common name) contain the name under which the client
opens its stream: any host of the authority could otherwise pose as any other. The client checks
the server's certificate against the name or address that it calls.

:class:`TlsFiles` reads certificate, key and authority when they change, for new sessions; those
that run keep theirs. Files that cannot be used leave the former ones in use.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import structlog

_log = structlog.get_logger("tungsten.xmpp")


@dataclass(slots=True)
class TlsFiles:
    """Paths of PEM files of one end.

    ``demand``: a server takes no client without certificate; a client checks the server's name.
    """

    certificate: str
    key: str
    authority: str
    is_server: bool
    demand: bool = True
    _context: ssl.SSLContext | None = None
    _seen: tuple[tuple[int, int, int], ...] = field(default=())

    def context(self) -> ssl.SSLContext:
        """What new sessions use. Raises ``ValueError`` that names the file if none can be had."""
        try:
            seen = tuple(
                (found.st_mtime_ns, found.st_size, found.st_ino)
                for found in map(os.stat, (self.certificate, self.key, self.authority))
            )
            if self._context is None or seen != self._seen:
                self._context = self._load()
                if self._seen:
                    _log.info("certificate_reloaded", path=self.certificate)
                self._seen = seen
        except OSError as error:
            self._keep(f"{error.filename}: {error.strerror}")
        except ValueError as error:
            self._keep(str(error))
        assert self._context is not None
        return self._context

    def _keep(self, why: str) -> None:
        if self._context is None:
            raise ValueError(why)
        _log.error("certificate_unusable", reason=why)

    def _load(self) -> ssl.SSLContext:
        purpose = ssl.PROTOCOL_TLS_SERVER if self.is_server else ssl.PROTOCOL_TLS_CLIENT
        context = ssl.SSLContext(purpose)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        if self.is_server:
            context.verify_mode = ssl.CERT_REQUIRED if self.demand else ssl.CERT_OPTIONAL
        else:
            context.check_hostname = self.demand
        mode = Path(self.key).stat().st_mode
        if mode & 0o077:
            _log.warning("secret_open_to_others", path=self.key, mode=oct(mode & 0o777))
        try:
            # A key with a passphrase must not make the process ask for one.
            context.load_cert_chain(self.certificate, self.key, password=lambda: b"")
        except ssl.SSLError as error:
            text = f"{self.certificate} and {self.key} are no certificate and its key"
            raise ValueError(f"{text}: {error.reason or error}") from error
        try:
            context.load_verify_locations(self.authority)
        except ssl.SSLError as error:
            raise ValueError(f"{self.authority} holds no certificate: {error}") from error
        return context


def names_of(tls: ssl.SSLObject | None) -> tuple[str, ...]:
    """The names that the remote's certificate proves, lower case; none without certificate."""
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return ()
    found = [
        value.lower()
        for kind, value in _pairs(certificate.get("subjectAltName"))
        if kind in ("DNS", "IP Address")
    ]
    if not found:
        subject = certificate.get("subject", ())
        for part in subject if isinstance(subject, tuple) else ():
            found += [value.lower() for kind, value in _pairs(part) if kind == "commonName"]
    return tuple(found)


def _pairs(said: object) -> list[tuple[str, str]]:
    if not isinstance(said, tuple):
        return []
    return [
        (str(pair[0]), str(pair[1])) for pair in said if isinstance(pair, tuple) and len(pair) == 2
    ]


def reason_of(error: BaseException) -> tuple[str, str]:
    """Why a handshake failed: a short name to count by, and text."""
    if isinstance(error, TimeoutError):
        return "tls-timeout", "no handshake in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls-certificate", error.verify_message
    if isinstance(error, ssl.SSLError):
        if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
            return "tls-no-certificate", "the remote has no certificate"
        return "tls-handshake", (error.reason or str(error)).lower().replace("_", " ")
    return "tls-handshake", str(error) or "the remote closed the connection"
