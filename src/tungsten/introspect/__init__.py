"""Introspect: every process shows its state over HTTP, as XML that existing tools read.

A library without knowledge of the layers: :mod:`wire` declares and encodes answers,
:mod:`request` reads URLs, :mod:`paging` walks long tables, :mod:`common` has the requests
every process answers, :mod:`server` serves them, :mod:`client` fetches them. A layer declares
its structs and requests in its own ``introspect`` module.
"""

from tungsten.introspect.common import UveCache, common_requests
from tungsten.introspect.paging import PagedTable, decode_cursor, encode_cursor, page_request
from tungsten.introspect.request import (
    Answer,
    AnyRequest,
    Form,
    Request,
    RequestError,
    Series,
)
from tungsten.introspect.server import IntrospectServer
from tungsten.introspect.status import (
    ConnectionInfo,
    NodeStatus,
    NodeStatusUVE,
    ProcessStatus,
    process_status,
)
from tungsten.introspect.trace import TraceBuffer, Traces
from tungsten.introspect.wire import (
    I32,
    I64,
    U16,
    U32,
    U64,
    Field,
    Message,
    Struct,
)

__all__ = [
    "I32",
    "I64",
    "U16",
    "U32",
    "U64",
    "Answer",
    "AnyRequest",
    "ConnectionInfo",
    "Field",
    "Form",
    "IntrospectServer",
    "Message",
    "NodeStatus",
    "NodeStatusUVE",
    "PagedTable",
    "ProcessStatus",
    "Request",
    "RequestError",
    "Series",
    "Struct",
    "TraceBuffer",
    "Traces",
    "UveCache",
    "common_requests",
    "decode_cursor",
    "encode_cursor",
    "page_request",
    "process_status",
]
