"""XML text: what must be escaped, and characters that XML cannot carry at all.

Escaping covers the five characters of XML 1.0 section 2.4 plus line ends and tabs, which a
parser would otherwise normalise inside attributes. Code points outside the ``Char`` production
of XML 1.0 section 2.2 are dropped: no escape exists for them.
"""

from __future__ import annotations

import re

_SPECIAL = re.compile("[&<>\"'\r\n\t]")
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
    "\r": "&#13;",
    "\n": "&#10;",
    "\t": "&#9;",
}


def escape(text: str) -> str:
    """``text`` as content of an element or a quoted attribute."""
    if _ILLEGAL.search(text):
        text = _ILLEGAL.sub("", text)
    if _SPECIAL.search(text):
        text = _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)
    return text
