"""What can go wrong on an XMPP stream, told apart by whose mistake it is.

:class:`ProtocolError` is the remote's: it closes that session and no other. It carries a
defined condition of RFC 6120 section 4.9.3 and a sentence that names the cause; both are sent
to the remote in ``<stream:error>`` before the close. :class:`UsageError` is ours: a call that
the state of the session does not allow.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """The remote sent what it must not. ``condition`` is an RFC 6120 4.9.3 element name."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(f"{condition}: {text}")
        self.condition = condition
        self.text = text


class UsageError(Exception):
    """Our own code called the session in a state that does not allow it."""
