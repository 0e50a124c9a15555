"""The requests that every process answers, whatever it does.

Cached objects (UVEs), trace buffers, logging and sending parameters, processor and memory
use. Introspect changes nothing: requests that set something upstream are answered with a
refusal that says so, since this port has no authentication.

A :class:`UveCache` holds, per data type, a function that makes the current objects: what is
shown is computed from the live structures when it is asked for, never a copy that can be stale.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tungsten.introspect.common_structs import (
    CollectorInfoRequest,
    CollectorInfoResponse,
    CpuLoadAvg,
    CpuLoadInfo,
    CpuLoadInfoReq,
    CpuLoadInfoResp,
    MemInfo,
    SandeshLoggingParams,
    SandeshLoggingParamsStatus,
    SandeshSendingParams,
    SandeshSendingParamsStatus,
    SandeshTraceBufferListRequest,
    SandeshTraceBufferListResponse,
    SandeshTraceBufInfo,
    SandeshTraceBufStatusInfo,
    SandeshTraceBufStatusReq,
    SandeshTraceBufStatusRes,
    SandeshTraceRequest,
    SandeshTraceTextResponse,
    SandeshUVECacheReq,
    SandeshUVECacheResp,
    SandeshUVETypeInfo,
    SandeshUVETypesReq,
    SandeshUVETypesResp,
    SysMemInfo,
)
from tungsten.introspect.request import AnyRequest, Form, Request, RequestError, Series
from tungsten.introspect.status import NodeStatusUVE
from tungsten.introspect.trace import Traces
from tungsten.introspect.wire import Message

#: Requests of upstream that change a process; refused here.
CHANGING = (
    "SandeshLoggingParamsSet",
    "SandeshSendingParamsSet",
    "SandeshSendQueueSet",
    "SandeshSendQueueParamsSet",
    "SandeshSendQueueParamsReset",
    "SandeshTraceEnableDisableReq",
    "SandeshTraceBufferEnableDisableReq",
    "SandeshUVEDSConfReq",
    "SandeshAlarmAckRequest",
    "ClearBgpNeighborReq",
    "ClearXmppConnectionReq",
    "DeleteAllFlowRecords",
    "ConfigClientReinitReq",
    "MirrorCreateReq",
    "AddQosConfig",
    "FlowAgeTimeReq",
)


class UveCache:
    """The objects that a process can show, by the name of their data struct."""

    def __init__(self) -> None:
        self._sources: dict[str, Callable[[], Iterable[Message]]] = {}

    def add(self, type_name: str, source: Callable[[], Iterable[Message]]) -> None:
        """Show what ``source`` makes under ``type_name`` (the struct inside ``data``)."""
        self._sources[type_name] = source

    @property
    def types(self) -> Sequence[str]:
        """The known data types."""
        return tuple(self._sources)

    def objects(self, type_name: str) -> Iterable[Message]:
        """The current objects of a type; none for a type that is not known."""
        source = self._sources.get(type_name)
        return source() if source is not None else ()


_SEVERITY = {
    logging.CRITICAL: "SYS_CRIT",
    logging.ERROR: "SYS_ERR",
    logging.WARNING: "SYS_WARN",
    logging.INFO: "SYS_INFO",
    logging.DEBUG: "SYS_DEBUG",
}


def common_requests(
    node_status: Callable[[], NodeStatusUVE], uves: UveCache, traces: Traces
) -> list[AnyRequest]:
    """The requests of this module, over a process's objects and buffers."""
    uves.add("NodeStatus", lambda: [node_status()])
    return [
        *_uve_requests(uves),
        *_trace_requests(traces),
        *_parameter_requests(),
        Request(CpuLoadInfoReq, lambda _: _cpu_load(), "cpuinfo"),
        *(_refusal(name) for name in CHANGING),
    ]


def _uve_requests(uves: UveCache) -> list[AnyRequest]:
    def types(_: SandeshUVETypesReq) -> SandeshUVETypesResp:
        return SandeshUVETypesResp(
            type_info=[SandeshUVETypeInfo(type_name=name) for name in uves.types]
        )

    def cached(form: SandeshUVECacheReq) -> Message | Series:
        objects = [each for each in uves.objects(form.tname) if _has_key(each, form.key)]
        closing = SandeshUVECacheResp(returned=len(objects))
        return Series([*objects, closing]) if objects else closing

    return [
        Request(SandeshUVETypesReq, types, "sandesh_uve"),
        Request(SandeshUVECacheReq, cached, "sandesh_uve"),
    ]


def _has_key(uve: Message, key: str) -> bool:
    return not key or getattr(getattr(uve, "data", None), "name", key) == key


def _trace_requests(traces: Traces) -> list[AnyRequest]:
    def names(_: SandeshTraceBufferListRequest) -> SandeshTraceBufferListResponse:
        return SandeshTraceBufferListResponse(
            trace_buffer_list=[SandeshTraceBufInfo(trace_buf_name=each.name) for each in traces]
        )

    def text(form: SandeshTraceRequest) -> SandeshTraceTextResponse:
        buffer = traces.get(form.buf_name)
        lines = buffer.lines(max(form.count, 0)) if buffer is not None else []
        return SandeshTraceTextResponse(traces=lines)

    def status(_: SandeshTraceBufStatusReq) -> SandeshTraceBufStatusRes:
        return SandeshTraceBufStatusRes(
            trace_buf_status_list=[
                SandeshTraceBufStatusInfo(trace_buf_name=each.name) for each in traces
            ]
        )

    return [
        Request(SandeshTraceBufferListRequest, names, "sandesh_trace"),
        Request(SandeshTraceRequest, text, "sandesh_trace"),
        Request(SandeshTraceBufStatusReq, status, "sandesh_trace"),
    ]


def _parameter_requests() -> list[AnyRequest]:
    def logging_params(_: SandeshLoggingParamsStatus) -> SandeshLoggingParams:
        level = logging.getLogger().getEffectiveLevel()
        return SandeshLoggingParams(log_level=_SEVERITY.get(level, "SYS_NOTICE"))

    return [
        Request(SandeshLoggingParamsStatus, logging_params, "sandesh_req"),
        Request(SandeshSendingParamsStatus, lambda _: SandeshSendingParams(), "sandesh_req"),
        Request(CollectorInfoRequest, lambda _: CollectorInfoResponse(), "sandesh_req"),
    ]


def _refusal(name: str) -> AnyRequest:
    """A request that would change the process: refused, with the way to do it."""

    def refuse(_: Form) -> Message:
        raise RequestError(
            f"{name} would change this process; introspect only reads. "
            "Change configuration through the API, or restart the process with other settings",
            status=403,
        )

    return Request(type(name, (Form,), {}), refuse, "")


def _kilobytes(path: str) -> Mapping[str, int]:
    """The ``Name: value kB`` lines of a /proc file; empty where the kernel has none."""
    try:
        with open(path, encoding="ascii", errors="replace") as lines:
            return dict(_kilobyte_lines(lines))
    except OSError:
        return {}


def _kilobyte_lines(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
            yield name, int(words[0])


_STARTED = time.monotonic()


def _cpu_load() -> CpuLoadInfoResp:
    """Memory and processor use. All sizes in kB (proc(5)); share is of one processor, in %."""
    system, process = _kilobytes("/proc/meminfo"), _kilobytes("/proc/self/status")
    load = os.getloadavg()
    total, free = system.get("MemTotal", 0), system.get("MemFree", 0)
    elapsed = max(time.monotonic() - _STARTED, 1.0)
    return CpuLoadInfoResp(
        cpu_info=CpuLoadInfo(
            num_cpu=os.cpu_count() or 1,
            sys_mem_info=SysMemInfo(
                total=total,
                used=total - free,
                free=free,
                buffers=system.get("Buffers", 0),
                cached=system.get("Cached", 0),
            ),
            meminfo=MemInfo(
                virt=process.get("VmSize", 0),
                peakvirt=process.get("VmPeak", 0),
                res=process.get("VmRSS", 0),
            ),
            cpuload=CpuLoadAvg(one_min_avg=load[0], five_min_avg=load[1], fifteen_min_avg=load[2]),
            cpu_share=round(100 * time.process_time() / elapsed, 2),
        )
    )
