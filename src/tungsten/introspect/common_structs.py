"""The structs of the requests that every process answers. Names are upstream's, and say it all."""

# ruff: noqa: D101

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from tungsten.introspect.request import Form
from tungsten.introspect.wire import I32, I64, U32, Field, Message, Struct


class SandeshUVETypeInfo(Struct, frozen=True, kw_only=True):
    type_name: Annotated[str, Field(1, link="SandeshUVECacheReq")]
    seq_num: Annotated[U32, Field(2)] = 0
    period: Annotated[I32, Field(3)] = 0
    dsconf: Annotated[Mapping[str, str], Field(4)] = {}
    timeout: Annotated[I32, Field(5)] = 0


class SandeshUVETypesResp(Message, frozen=True, kw_only=True):
    type_info: Annotated[Sequence[SandeshUVETypeInfo], Field(1)]


class SandeshUVETypesReq(Form, frozen=True):
    pass


class SandeshUVECacheResp(Message, frozen=True, kw_only=True):
    returned: Annotated[U32, Field(1)]
    period: Annotated[I32, Field(2)] = 0


class SandeshUVECacheReq(Form, frozen=True):
    tname: str = ""
    key: str = ""


class SandeshTraceBufInfo(Struct, frozen=True, kw_only=True):
    trace_buf_name: Annotated[str, Field(1, link="SandeshTraceRequest")]


class SandeshTraceBufferListResponse(Message, frozen=True, kw_only=True):
    trace_buffer_list: Annotated[Sequence[SandeshTraceBufInfo], Field(1)]


class SandeshTraceBufferListRequest(Form, frozen=True):
    pass


class SandeshTraceTextResponse(Message, frozen=True, kw_only=True):
    traces: Annotated[Sequence[str], Field(1)]


class SandeshTraceRequest(Form, frozen=True):
    buf_name: str = ""
    count: int = 0


class SandeshTraceBufStatusInfo(Struct, frozen=True, kw_only=True):
    trace_buf_name: Annotated[str, Field(1)]
    enable_disable: Annotated[str, Field(2)] = "Enabled"


class SandeshTraceBufStatusRes(Message, frozen=True, kw_only=True):
    trace_buf_status_list: Annotated[Sequence[SandeshTraceBufStatusInfo], Field(1)]


class SandeshTraceBufStatusReq(Form, frozen=True):
    pass


class SandeshLoggingParams(Message, frozen=True, kw_only=True):
    enable: Annotated[bool, Field(1)] = True
    category: Annotated[str, Field(2)] = "*"
    log_level: Annotated[str, Field(3)]
    trace_print: Annotated[bool, Field(4)] = False
    enable_flow_log: Annotated[bool, Field(5)] = False


class SandeshLoggingParamsStatus(Form, frozen=True):
    pass


class SandeshSendingParams(Message, frozen=True, kw_only=True):
    system_logs_rate_limit: Annotated[U32, Field(1)] = 0
    disable_object_logs: Annotated[bool, Field(2)] = False
    disable_all_logs: Annotated[bool, Field(3)] = False
    disable_flows: Annotated[bool, Field(4)] = False


class SandeshSendingParamsStatus(Form, frozen=True):
    pass


class CollectorInfoResponse(Message, frozen=True, kw_only=True):
    ip: Annotated[str, Field(1)] = ""
    port: Annotated[I32, Field(2)] = 0
    status: Annotated[str, Field(3)] = "Idle"


class CollectorInfoRequest(Form, frozen=True):
    pass


class SysMemInfo(Struct, frozen=True, kw_only=True):
    total: Annotated[I64, Field(1)] = 0
    used: Annotated[I64, Field(2)] = 0
    free: Annotated[I64, Field(3)] = 0
    buffers: Annotated[I64, Field(4)] = 0
    cached: Annotated[I64, Field(5)] = 0


class MemInfo(Struct, frozen=True, kw_only=True):
    virt: Annotated[I64, Field(1)] = 0
    peakvirt: Annotated[I64, Field(2)] = 0
    res: Annotated[I64, Field(3)] = 0


class CpuLoadAvg(Struct, frozen=True, kw_only=True):
    one_min_avg: Annotated[float, Field(1)] = 0.0
    five_min_avg: Annotated[float, Field(2)] = 0.0
    fifteen_min_avg: Annotated[float, Field(3)] = 0.0


class CpuLoadInfo(Struct, frozen=True, kw_only=True):
    num_cpu: Annotated[U32, Field(1)]
    sys_mem_info: Annotated[SysMemInfo, Field(5)]
    meminfo: Annotated[MemInfo, Field(2)]
    cpuload: Annotated[CpuLoadAvg, Field(3)]
    cpu_share: Annotated[float, Field(4)]


class CpuLoadInfoResp(Message, frozen=True, kw_only=True):
    cpu_info: Annotated[CpuLoadInfo, Field(1)]


class CpuLoadInfoReq(Form, frozen=True):
    pass
