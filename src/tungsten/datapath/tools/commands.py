"""The programs ``vif``, ``nh``, ``rt``, ``mpls``, ``vxlan`` and ``dropstats``.

Each opens the tables that are pinned in a directory, for reading, prints, and ends: 0 when it
printed what was asked, 1 when there is no datapath or no such object, 2 for wrong usage. The
directory is given by ``--pin-dir``, else by the environment variable ``TUNGSTEN_BPF_DIR``,
else it is ``/sys/fs/bpf/tungsten``.

Options are upstream's where they show something. What would change the tables is not here:
the agent owns them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tungsten.datapath.datapath import DEFAULT_PIN_DIR, Datapath, DatapathError
from tungsten.datapath.layout import Mac
from tungsten.datapath.syscall import BpfError
from tungsten.datapath.tools import drops, interfaces, labels, nexthops, reader, routes

PIN_DIR_VARIABLE = "TUNGSTEN_BPF_DIR"

Printer = Callable[[Datapath, argparse.Namespace], str]


class NotThere(Exception):
    """What was asked for does not exist; the text says what."""


def _parser(program: str, summary: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=f"{summary} It only reads.")
    parser.add_argument(
        "--pin-dir",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get(PIN_DIR_VARIABLE) or DEFAULT_PIN_DIR),
        help=f"where the datapath is pinned (default: ${PIN_DIR_VARIABLE}, then {DEFAULT_PIN_DIR})",
    )
    return parser


def _run(parser: argparse.ArgumentParser, text: Printer, argv: Sequence[str] | None) -> int:
    options = parser.parse_args(argv)
    try:
        with Datapath.view(options.pin_dir) as datapath:
            sys.stdout.write(text(datapath, options))
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; nothing must be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DatapathError, NotThere, BpfError, OSError) as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 1
    return 0


def vif(argv: Sequence[str] | None = None) -> int:
    """The interface table."""
    parser = _parser("vif", "Shows the interfaces of the datapath.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="all interfaces")
    what.add_argument("--get", metavar="ID", type=int, help="one interface")
    parser.add_argument("--kernel", action="store_true", help="accepted; all is in the kernel")
    parser.add_argument(
        "--get-drop-stats", action="store_true", help="with --get: why its packets were dropped"
    )
    return _run(parser, _vif_text, argv)


def _vif_text(datapath: Datapath, options: argparse.Namespace) -> str:
    records = list(reader.interface_records(datapath, options.get))
    if options.get is not None and not records:
        raise NotThere(f"there is no interface {options.get}; vif --list shows those there are")
    text = interfaces.header() + "".join(interfaces.interface(record) for record in records)
    if options.get is not None and options.get_drop_stats:
        text += drops.drop_lines(reader.drop_counters(datapath.vif_drop_stats(options.get)))
    return text


def nh(argv: Sequence[str] | None = None) -> int:
    """The next hop table."""
    parser = _parser("nh", "Shows the next hops of the datapath.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="all next hops")
    what.add_argument("--get", metavar="ID", type=int, help="one next hop, and its members")
    return _run(parser, _nh_text, argv)


def _nh_text(datapath: Datapath, options: argparse.Namespace) -> str:
    if options.get is None:
        records = list(reader.nexthop_records(datapath))
    else:
        records = list(reader.nexthop_with_members(datapath, options.get))
        if not records:
            raise NotThere(f"there is no next hop {options.get}; nh --list shows those there are")
    return "".join(nexthops.nexthop(record) for record in records)


def rt(argv: Sequence[str] | None = None) -> int:
    """The routes of a VRF."""
    parser = _parser("rt", "Shows the routes of a VRF.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--dump", metavar="VRF", type=int, help="all routes of a VRF")
    what.add_argument("--get", metavar="PREFIX", help="the route of an address, prefix or MAC")
    parser.add_argument("--vrf", type=int, help="with --get: the VRF")
    parser.add_argument(
        "--family", choices=("inet", "inet6", "bridge"), default="inet", help="default inet"
    )
    return _run(parser, _rt_text, argv)


def _rt_text(datapath: Datapath, options: argparse.Namespace) -> str:
    if options.get is None:
        return _rt_dump(datapath, options.dump, options.family)
    if options.vrf is None:
        raise NotThere("--get needs --vrf ID")
    return _rt_get(datapath, options.get, options.vrf, options.family)


def _rt_dump(datapath: Datapath, vrf: int, family: str) -> str:
    if family == "bridge":
        macs = reader.bridge_records(datapath, vrf)
        return routes.bridge_header(vrf) + "".join(routes.bridge_row(record) for record in macs)
    # IPv6 is not routed by this datapath: its table is empty.
    found = reader.route_records(datapath, vrf) if family == "inet" else []
    return routes.inet_header(family, vrf) + "".join(routes.inet_row(record) for record in found)


def _rt_get(datapath: Datapath, wanted: str, vrf: int, family: str) -> str:
    try:
        if family == "bridge":
            mac = Mac(wanted)
            entry = reader.bridge_entry(datapath, vrf, mac)
            rows = routes.bridge_row(entry) if entry is not None else ""
            return routes.bridge_match(mac, vrf) + routes.bridge_header(vrf) + rows
        prefix = reader.parse_prefix(wanted)
    except ValueError as error:
        raise NotThere(str(error)) from error
    if family == "inet6":
        raise NotThere("IPv6 is not routed by this datapath: there is no inet6 route")
    route = reader.covering_route(datapath, vrf, prefix)
    rows = routes.inet_row(route) if route is not None else ""
    return routes.inet_match(prefix, vrf) + routes.inet_header(family, vrf) + rows


def mpls(argv: Sequence[str] | None = None) -> int:
    """The label map."""
    parser = _parser("mpls", "Shows which next hop an incoming label leads to.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--dump", action="store_true", help="all labels")
    what.add_argument("--get", metavar="LABEL", type=int, help="one label")
    return _run(parser, _mpls_text, argv)


def _mpls_text(datapath: Datapath, options: argparse.Namespace) -> str:
    found = _numbered(datapath.labels.dump(), options.get, "label")
    return labels.mpls_header() + "".join(labels.mpls_row(*entry) for entry in found)


def vxlan(argv: Sequence[str] | None = None) -> int:
    """The VXLAN table."""
    parser = _parser("vxlan", "Shows which next hop a VXLAN network identifier leads to.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--dump", action="store_true", help="all network identifiers")
    what.add_argument("--get", metavar="VNI", type=int, help="one network identifier")
    return _run(parser, _vxlan_text, argv)


def _vxlan_text(datapath: Datapath, options: argparse.Namespace) -> str:
    found = _numbered(datapath.vnis.dump(), options.get, "network identifier")
    return labels.vxlan_header() + "".join(labels.vxlan_row(*entry) for entry in found)


def _numbered(table: dict[int, int], only: int | None, what: str) -> list[tuple[int, int]]:
    if only is None:
        return sorted(table.items())
    if only not in table:
        raise NotThere(f"there is no {what} {only}; --dump shows those there are")
    return [(only, table[only])]


def dropstats(argv: Sequence[str] | None = None) -> int:
    """Why packets were dropped."""
    parser = _parser("dropstats", "Shows why packets were dropped, by reason.")
    parser.add_argument(
        "--debug", action="store_true", help="also originals of replicated packets (no loss)"
    )
    return _run(parser, _drops_text, argv)


def _drops_text(datapath: Datapath, options: argparse.Namespace) -> str:
    return drops.drop_lines(reader.drop_counters(datapath.drop_stats()), debug=options.debug)
