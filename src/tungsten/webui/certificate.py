"""The certificate that the endpoints show: that of the settings, or a self-signed one.

The self-signed one is made once, for the names and addresses of this machine, and kept with its
key in one file that only its owner may read, so that there never is one without the other. It is
made anew when it is about to expire.
"""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tungsten.webui.settings import WebUiSettings

log = structlog.get_logger("tungsten.webui")

FILE = "webui.pem"
LIFE = timedelta(days=825)
"""As long as browsers accept of a certificate that was trusted by hand."""

RENEW = timedelta(days=30)
MAX_NAME = 64
"""Characters of a common name (RFC 5280 appendix A.1, ub-common-name)."""


def tls_of(settings: WebUiSettings) -> ssl.SSLContext | None:
    """How connections are encrypted; None for plain HTTP. Raises ValueError, OSError."""
    if settings.plain_http:
        if settings.certificate or settings.key:
            raise ValueError("webui.certificate and webui.key are of no use with webui.plain_http")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if bool(settings.certificate) != bool(settings.key):
        raise ValueError("webui.certificate and webui.key are given together or not at all")
    if settings.certificate:
        _load(context, Path(settings.certificate), Path(settings.key))
    else:
        kept = self_signed(Path(settings.state_directory), settings.listen)
        _load(context, kept, kept)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    if key.is_file() and key.stat().st_mode & 0o077:
        log.warning("secret_open_to_others", path=str(key), mode=oct(key.stat().st_mode & 0o777))
    try:
        # A key with a passphrase must not make the process ask for one.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        raise ValueError(
            f"webui.certificate {str(certificate)!r} and webui.key {str(key)!r} are no certificate "
            f"and its key: {error.reason or error}"
        ) from error
    except OSError as error:
        raise ValueError(
            f"webui.certificate {str(certificate)!r} or webui.key {str(key)!r}: {error.strerror}"
        ) from error


def self_signed(directory: Path, listen: str) -> Path:
    """The file with the self-signed certificate and its key, made if it is missing or old."""
    path = directory / FILE
    if _lasts(path):
        return path
    try:
        _keep(path, make(listen))
    except OSError as error:
        raise ValueError(
            f"webui.state_directory {str(directory)!r} cannot keep a certificate: {error.strerror}"
        ) from error
    log.info("certificate_made", path=str(path))
    return path


def _lasts(path: Path) -> bool:
    try:
        kept = x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        log.warning("certificate_unusable", path=str(path), reason=str(error))
        return False
    return kept.not_valid_after_utc - datetime.now(UTC) > RENEW


def make(listen: str) -> bytes:
    """A new key and a certificate for it, as PEM."""
    host = socket.gethostname() or "localhost"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:MAX_NAME])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName(_names(host, listen)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return secret + certificate.public_bytes(serialization.Encoding.PEM)


def _names(host: str, listen: str) -> list[x509.GeneralName]:
    """This machine's names and the addresses that the endpoints surely have."""
    listened = listen.rpartition(":")[0].strip("[]").partition("%")[0]
    found: dict[str, x509.GeneralName] = {}
    for name in (host, socket.getfqdn(), "localhost", "127.0.0.1", "::1", listened):
        try:
            address = ip_address(name)
        except ValueError:
            if name and name.isascii():
                found[name] = x509.DNSName(name)
        else:
            if not address.is_unspecified:
                found[str(address)] = x509.IPAddress(address)
    return list(found.values())


def _keep(path: Path, pem: bytes) -> None:
    """Write a file whole or not at all, for its owner's eyes only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
