"""XMPP as agents and control nodes speak it: a protocol library and a thin asyncio transport.

* :mod:`.framing` bytes to whole elements, within limits
* :mod:`.stream` the session state machines, without I/O
* :mod:`.routes` route items, :mod:`.stanzas` every stanza, as values and as XML
* :mod:`.transport` sockets: :class:`~.transport.XmppServer`, :class:`~.transport.XmppClient`
"""
