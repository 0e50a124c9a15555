"""From bytes of an XMPP stream to whole first-level elements, within limits.

An XMPP stream is one XML document that never ends: a root ``<stream:stream>`` whose children
are the stanzas (RFC 6120 section 4.1). :class:`FrameReader` feeds the bytes to expat as they
come and yields a :class:`Frame` for the header, for each complete child, for a run of
keepalive text between children, and for the end of the root.

Two dialects meet here. Upstream writes ``<?xml version="1.0"?>`` before some stanzas, in the
middle of the document; such a declaration is cut out between stanzas (and nowhere else) before
expat sees it. Upstream's keepalive is the character U+0200 (bytes C8 80) as text of the root;
RFC 6120 section 4.6.1 uses white space; a run of either counts as one keepalive.

What expat does not limit is limited here (RFC 6120 sections 4.9.3.14 and 11.1): bytes since
the last stanza, bytes of one token, depth, elements, attributes, lengths of names and values.
Document types, entities other than the five of XML, comments, processing instructions and
encodings other than UTF-8 are refused at their first byte.

The reader is done after the first error: the caller drops it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from .errors import ProtocolError

_DECLARATION = b"<?xml"
_PIECE = 65536
_KEEPALIVE_TEXT = " \t\r\n\u0200"
_BLANK = b" \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one stream may cost. Sizes in bytes, the rest in pieces."""

    header_bytes: int = 65536
    stanza_bytes: int = 8 * 1024 * 1024
    token_bytes: int = 131072
    depth: int = 32
    elements: int = 65536
    attributes: int = 64
    name_length: int = 256
    value_length: int = 65536


class FrameKind(Enum):
    """What a :class:`Frame` is."""

    HEADER = "header"
    ELEMENT = "element"
    KEEPALIVE = "keepalive"
    END = "end"


@dataclass(frozen=True, slots=True)
class Frame:
    """``element`` is the stanza; for a header, an element of the root's attributes."""

    kind: FrameKind
    element: Element = field(default_factory=lambda: Element(""))


class FrameReader:
    """One direction of one stream."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._frames: list[Frame] = []
        self._depth = 0
        self._builder = TreeBuilder()
        self._elements = 0
        self._since_stanza = 0
        self._quiet = 0
        self._progress = False
        self._fed = False
        self._ended = False
        self._held = b""
        self._budget = self._limits.header_bytes
        parser = expat.ParserCreate("UTF-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.CommentHandler = self._comment
        parser.XmlDeclHandler = self._declaration
        self._parser = parser

    def feed(self, data: bytes) -> list[Frame]:
        """Parse the next bytes; return the frames they complete.

        Raises :class:`ProtocolError`, after which the reader is useless.
        """
        data = self._held + data
        self._held = b""
        if not self._fed and data:
            self._fed = True
            if data[0] not in b"<" + _BLANK:
                raise ProtocolError(
                    "not-well-formed", f"stream starts with byte {data[0]:#04x}, expected '<'"
                )
        start = 0
        while (cut := data.find(_DECLARATION, start)) >= 0:
            self._parse(data[start:cut])
            start = self._skip_declaration(data, cut)
        rest = data[start:] if start else data
        held = _partial_declaration(rest)
        if held:
            self._held = rest[-held:]
            rest = rest[:-held]
        self._parse(rest)
        frames, self._frames = self._frames, []
        return frames

    def _skip_declaration(self, data: bytes, cut: int) -> int:
        """Cut out an XML declaration between stanzas; elsewhere leave it to expat to judge."""
        if self._depth != 1:
            self._parse(data[cut : cut + len(_DECLARATION)])
            return cut + len(_DECLARATION)
        end = data.find(b"?>", cut)
        if end < 0:
            if len(data) - cut > self._limits.name_length:
                raise ProtocolError("policy-violation", "XML declaration without end")
            self._held = data[cut:]
            return len(data)
        encoding = data[cut:end].partition(b"encoding")[2].strip(b" =\t\"'").lower()
        if encoding and not encoding.startswith(b"utf-8"):
            raise ProtocolError(
                "unsupported-encoding", f"encoding {encoding!r}; only UTF-8 is accepted"
            )
        return end + 2

    def _parse(self, data: bytes) -> None:
        for at in range(0, len(data), _PIECE):
            self._parse_piece(data[at : at + _PIECE])

    def _parse_piece(self, piece: bytes) -> None:
        if self._ended:
            if piece.strip(_BLANK):
                raise ProtocolError("not-well-formed", "bytes after the end of the stream")
            return
        self._progress = False
        self._since_stanza += len(piece)
        try:
            self._parser.Parse(piece, False)
        except expat.ExpatError as error:
            raise ProtocolError("not-well-formed", str(error)) from error
        if self._progress:
            self._quiet = 0
        else:
            self._quiet += len(piece)
            if self._quiet > self._limits.token_bytes:
                raise ProtocolError(
                    "policy-violation",
                    f"token of over {self._limits.token_bytes} bytes",
                )
        if self._since_stanza > self._budget:
            raise ProtocolError("policy-violation", f"stanza of over {self._budget} bytes")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._progress = True
        self._check_tag(name, attributes)
        self._depth += 1
        if self._depth == 1:
            self._frames.append(Frame(FrameKind.HEADER, Element(name, attributes)))
            self._budget = self._limits.stanza_bytes
            self._since_stanza = 0
            return
        if self._depth == 2:
            self._builder = TreeBuilder()
            self._elements = 0
        self._elements += 1
        if self._depth > self._limits.depth:
            raise ProtocolError(
                "policy-violation", f"<{name}> nested deeper than {self._limits.depth}"
            )
        if self._elements > self._limits.elements:
            raise ProtocolError(
                "policy-violation", f"stanza of over {self._limits.elements} elements"
            )
        self._builder.start(name, attributes)

    def _check_tag(self, name: str, attributes: dict[str, str]) -> None:
        limits = self._limits
        if len(name) > limits.name_length:
            raise ProtocolError("policy-violation", f"element name of {len(name)} characters")
        if not attributes:
            return
        if len(attributes) > limits.attributes:
            raise ProtocolError("policy-violation", f"<{name}> has {len(attributes)} attributes")
        for key, value in attributes.items():
            if len(key) > limits.name_length or len(value) > limits.value_length:
                raise ProtocolError(
                    "policy-violation", f"attribute {key[:32]} of <{name}> is too long"
                )

    def _end(self, name: str) -> None:
        self._progress = True
        self._depth -= 1
        if self._depth >= 1:
            self._builder.end(name)
        if self._depth == 1:
            self._frames.append(Frame(FrameKind.ELEMENT, self._builder.close()))
            self._since_stanza = 0
        elif self._depth == 0:
            self._frames.append(Frame(FrameKind.END))
            self._ended = True

    def _text(self, text: str) -> None:
        self._progress = True
        if self._depth > 1:
            self._builder.data(text)
            return
        if text.strip(_KEEPALIVE_TEXT):
            raise ProtocolError(
                "not-well-formed", f"text {text[:32]!r} between stanzas; only keepalives may be"
            )
        self._since_stanza = 0
        if not self._frames or self._frames[-1].kind is not FrameKind.KEEPALIVE:
            self._frames.append(Frame(FrameKind.KEEPALIVE))

    def _doctype(self, name: str, *_: object) -> None:
        raise ProtocolError("restricted-xml", f"document type {name}")

    def _instruction(self, target: str, _data: str) -> None:
        raise ProtocolError("restricted-xml", f"processing instruction {target[:32]}")

    def _comment(self, _data: str) -> None:
        raise ProtocolError("restricted-xml", "comment")

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise ProtocolError(
                "unsupported-encoding", f"encoding {encoding[:32]}; only UTF-8 is accepted"
            )


def _partial_declaration(data: bytes) -> int:
    """Length of a tail that may be the start of a declaration cut by the reader's chunk."""
    for length in range(len(_DECLARATION) - 1, 0, -1):
        if data.endswith(_DECLARATION[:length]):
            return length
    return 0
