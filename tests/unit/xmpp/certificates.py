"""An authority for tests, and the certificates it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tungsten.xmpp.tls import TlsFiles


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """A certificate authority that keeps its files in a directory."""

    directory: Path
    name: str = "authority"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self.directory.mkdir(exist_ok=True)
        made = self._builder(self.name, self.key, days=10).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self._write(self.path, made.sign(self.key, hashes.SHA256()))

    @property
    def path(self) -> Path:
        """Its own certificate."""
        return self.directory / f"{self.name}.pem"

    def issue(
        self, name: str, *, names: tuple[str, ...] | None = None, days: int = 10, file: str = ""
    ) -> tuple[str, str]:
        """Files of a certificate and its key; ``names`` are alternative names (the name)."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(name, key, days)
        alternative = [_alternative(each) for each in ((name,) if names is None else names)]
        if alternative:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative), False)
        path, key_path = (self.directory / f"{file or name}.{end}" for end in ("pem", "key"))
        key_path.touch(mode=0o600)
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self._write(path, builder.sign(self.key, hashes.SHA256()))
        return str(path), str(key_path)

    def server(self, *, demand: bool = True) -> TlsFiles:
        """What a server on 127.0.0.1 shows."""
        return TlsFiles(*self.issue("127.0.0.1"), str(self.path), True, demand)

    def client(self, name: str, **values: object) -> TlsFiles:
        """What a client of a name shows."""
        files = self.issue(name, **values)  # type: ignore[arg-type]
        return TlsFiles(*files, str(self.path), False)

    def _builder(
        self, name: str, key: ec.EllipticCurvePrivateKey, days: int
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=20))
            .not_valid_after(now + timedelta(days=days))
        )

    def _write(self, path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
