"""What a browser sees: the index, the request forms, and the stylesheet of answers.

``/`` lists the groups of requests; ``/<group>.xml`` describes the requests of a group and
their parameters, which is also what the web interface's introspect browser reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape as html_escape
from typing import get_type_hints

from tungsten.introspect.request import AnyRequest
from tungsten.introspect.wire import PROLOG, attribute

_WORDS = {str: "string", int: "i32", bool: "bool"}


def index(module: str, groups: Iterable[str]) -> str:
    """The index page, in HTML."""
    name = html_escape(module)
    links = "".join(
        f'<li><a href="{html_escape(group)}.xml">{html_escape(group)}.xml</a></li>\n'
        for group in groups
    )
    return (
        f"<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>{name}</title>"
        f"</head>\n<body><h1>Modules for {name}</h1>\n<ul>\n{links}</ul></body></html>\n"
    )


def not_found(what: str) -> str:
    """The page for something that is not served."""
    return f"<!DOCTYPE html>\n<html lang='en'><body><h1>{html_escape(what)}</h1></body></html>\n"


def group_forms(group: str, requests: Iterable[AnyRequest]) -> str:
    """The forms of a group's requests, in XML."""
    out = [PROLOG, f'<{group} type="rlist">']
    for request in requests:
        out.append(f'<{attribute(request.name)} type="sandesh">')
        hints = get_type_hints(request.form)
        for name in request.form.__struct_fields__:
            word = _WORDS[hints[name]]
            default = "" if hints[name] is str else "0"
            out.append(f'<{name} type="{word}">{default}</{name}>')
        out.append(f"</{request.name}>")
    out.append(f"</{group}>")
    return "".join(out)


#: Answers as nested tables, forms as forms, links as links. Plain, so that it works in any
#: browser that still applies stylesheets to XML.
STYLESHEET = """<?xml version="1.0"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
<xsl:output method="html"/>
<xsl:template match="/"><html><head><title><xsl:value-of select="name(*)"/></title><style>
body{font:14px sans-serif}table{border-collapse:collapse;margin:2px 0}
td,th{border:1px solid #bbb;padding:2px 6px;text-align:left;vertical-align:top}
th{background:#eee}</style></head>
<body><p><a href="/">All requests</a></p><xsl:apply-templates select="*"/></body></html>
</xsl:template>
<xsl:template match="*[@type='rlist']"><h1><xsl:value-of select="name()"/></h1>
<xsl:for-each select="*"><h2><xsl:value-of select="name()"/></h2>
<form method="get" action="Snh_{name()}">
<xsl:for-each select="*"><p><label><xsl:value-of select="name()"/>
<xsl:text> </xsl:text><input name="{name()}"/></label></p></xsl:for-each>
<p><button>Send</button></p></form></xsl:for-each></xsl:template>
<xsl:template match="*[@type='slist']"><xsl:apply-templates select="*"/></xsl:template>
<xsl:template match="*[@type='sandesh']"><h2><xsl:value-of select="name()"/></h2>
<xsl:call-template name="rows"/></xsl:template>
<xsl:template name="rows"><table><xsl:for-each select="*[name()!='more']"><tr>
<th><xsl:value-of select="name()"/></th><td><xsl:call-template name="value"/></td>
</tr></xsl:for-each></table></xsl:template>
<xsl:template name="value"><xsl:choose>
<xsl:when test="@type='list' or @type='set' or @type='map'">
<xsl:for-each select="*"><xsl:call-template name="items"/></xsl:for-each></xsl:when>
<xsl:when test="@type='struct'">
<xsl:for-each select="*"><xsl:call-template name="rows"/></xsl:for-each></xsl:when>
<xsl:when test="@link and string(.)"><a href="Snh_{@link}?x={.}">
<xsl:choose><xsl:when test="@link_title"><xsl:value-of select="@link_title"/></xsl:when>
<xsl:otherwise><xsl:value-of select="."/></xsl:otherwise></xsl:choose></a></xsl:when>
<xsl:otherwise><xsl:value-of select="."/></xsl:otherwise></xsl:choose></xsl:template>
<xsl:template name="items"><xsl:choose><xsl:when test="element">
<xsl:for-each select="*"><xsl:choose><xsl:when test="name()='element'">
<xsl:value-of select="."/><br/></xsl:when>
<xsl:otherwise><xsl:call-template name="rows"/></xsl:otherwise></xsl:choose></xsl:for-each>
</xsl:when><xsl:when test="*"><table><tr><xsl:for-each select="*[1]/*"><th>
<xsl:value-of select="name()"/></th></xsl:for-each></tr><xsl:for-each select="*"><tr>
<xsl:for-each select="*"><td><xsl:call-template name="value"/></td></xsl:for-each></tr>
</xsl:for-each></table></xsl:when></xsl:choose></xsl:template>
</xsl:stylesheet>
"""
