"""Logins that hold: a secret cookie each, and a second secret that pages of others cannot send.

A session is found by the hash of its cookie. Its *csrf token* is given out in a cookie of its
own, and comes back in a header: a page of another site can make a browser send cookies, but can
neither read them nor set headers. Sessions end when they rest, when they are old, and when there
are too many, the one that rested longest first.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass

MAX_SECRET = 256
"""Characters of a cookie or token that is looked at."""


@dataclass(slots=True)
class Session:
    """One login. ``token`` is the user's Keystone token; empty for the local administrator.

    ``born`` and ``used`` are in seconds of the monotonic clock.
    """

    csrf: str
    token: str
    born: float
    used: float

    def sent(self, csrf: str) -> bool:
        """Whether a csrf token is that of the session, in a time that does not tell how nearly."""
        return hmac.compare_digest(self.csrf.encode(), csrf[:MAX_SECRET].encode("utf-8", "replace"))


class Sessions:
    """All sessions of a server."""

    def __init__(self, *, idle: float, life: float, most: int) -> None:
        self._idle, self._life, self._most = idle, life, most
        self._held: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def open(self, token: str, now: float) -> tuple[str, Session]:
        """A new session and its secret."""
        secret = secrets.token_urlsafe(32)
        session = Session(secrets.token_urlsafe(32), token, now, now)
        self._held[_key(secret)] = session
        while len(self._held) > self._most:
            self._held.popitem(last=False)
        return secret, session

    def find(self, secret: str, now: float) -> Session | None:
        """The session with this secret, if it still holds; it is used by this."""
        key = _key(secret)
        session = self._held.get(key)
        if session is None:
            return None
        if now - session.used > self._idle or now - session.born > self._life:
            del self._held[key]
            return None
        session.used = now
        self._held.move_to_end(key)
        return session

    def close(self, secret: str) -> None:
        """End a session, if there is one with this secret."""
        self._held.pop(_key(secret), None)


def _key(secret: str) -> bytes:
    return hashlib.sha256(secret[:MAX_SECRET].encode("utf-8", "replace")).digest()
