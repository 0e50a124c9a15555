"""Encryption of secrets that objects carry: with keys of the servers', from a file.

A secret is kept as ``enc:1:KEY:TEXT``: which key, by the first eight hexadecimal digits of its
SHA-256, and in URL-safe base64 a nonce of 12 bytes and what AES-256-GCM (NIST SP 800-38D) makes of
the value, filled up to a multiple of 32 bytes so that its length is not told. The object and the
field are authenticated along with it: a value that was copied to another object, where somebody
else decides where it is sent, cannot be read there.

The key file has a key a line, 32 bytes in URL-safe base64; lines that begin with ``#`` are left
aside. The first encrypts; all decrypt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "enc:1:"
"""What an encrypted value begins with."""

KEY, NONCE, BLOCK, NAME = 32, 12, 32, 8
"""Bytes of a key and of a nonce, to what multiple values are filled up, digits of a key's name."""

_END = b"\x80"
"""What follows the value, before zeros (ISO/IEC 7816-4)."""


class Unreadable(ValueError):
    """A value that was encrypted with no key of ours, for another object, or by nobody."""


class Vault:
    """Encrypts and decrypts. ``keys`` are 32 bytes each, the one that encrypts first."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY for key in keys):
            raise ValueError(f"there must be keys of {KEY} bytes each")
        self._ciphers = {_name(key): AESGCM(key) for key in keys}
        self._current = _name(keys[0])

    def seal(self, text: str, where: str) -> str:
        """A value encrypted for a place, the object and its field."""
        data = text.encode() + _END
        data += bytes(-len(data) % BLOCK)
        nonce = os.urandom(NONCE)
        sealed = nonce + self._ciphers[self._current].encrypt(nonce, data, where.encode())
        return f"{PREFIX}{self._current}:{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, where: str) -> str:
        """The value that was encrypted for a place. Raises Unreadable."""
        name, colon, text = sealed.removeprefix(PREFIX).partition(":")
        if not sealed.startswith(PREFIX) or not colon:
            raise Unreadable("it is not encrypted")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise Unreadable("its key is not in the key file")
        try:
            data = base64.b64decode(text.encode("ascii"), b"-_", validate=True)
            opened = cipher.decrypt(data[:NONCE], data[NONCE:], where.encode())
            return opened.rstrip(b"\0").removesuffix(_END).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise Unreadable("it was encrypted for another object, or damaged") from error

    def is_current(self, sealed: str) -> bool:
        """Whether a value is encrypted with the key that encrypts now."""
        return sealed.startswith(f"{PREFIX}{self._current}:")


def is_sealed(text: str) -> bool:
    """Whether a value has the form of an encrypted one."""
    return text.startswith(PREFIX)


def _name(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:NAME]


def beside(store: Path) -> Path:
    """The key file of a store that is a file, when settings name none."""
    return store.with_name(f"{store.name}-keys")


def read(path: Path) -> Vault:
    """The vault of a key file, which is made when it is missing.

    Raises ValueError for a file that cannot be used; what is wrong with it, never what is in it.
    """
    try:
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            raise ValueError(f"{path} holds keys and others may read it: chmod 600 {path}")
        return Vault(_keys(path))
    except OSError as error:
        raise ValueError(f"{path} cannot be used: {error.strerror}") from error


def add_key(path: Path) -> str:
    """Put a new key first in a key file; its name. Raises ValueError, OSError."""
    old = _keys(path) if path.exists() else []
    new = os.urandom(KEY)
    _write(path, [new, *old])
    return _name(new)


def _keys(path: Path) -> list[bytes]:
    keys = []
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").split("\n")):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            key = base64.b64decode(line.strip(), b"-_", validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY:
            raise ValueError(f"{path} line {number + 1} is no key of {KEY} bytes in base64")
        keys.append(key)
    if not keys:
        raise ValueError(f"{path} has no key")
    return keys


def _create(path: Path) -> None:
    """Make a key file; where several servers begin at once, the first one's stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = _temporary(path, [os.urandom(KEY)])
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _write(path: Path, keys: Sequence[bytes]) -> None:
    """Replace a key file, whole or not at all."""
    os.replace(_temporary(path, keys), path)


def _temporary(path: Path, keys: Sequence[bytes]) -> Path:
    """A file with keys beside ``path``, on the disk, for its owner only."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    lines = ["# Keys of tungsten's servers: whoever has them reads the passwords of the store."]
    lines += [base64.urlsafe_b64encode(key).decode() for key in keys]
    with os.fdopen(handle, "w") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
