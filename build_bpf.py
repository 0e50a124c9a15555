"""Build hook: compiles the eBPF datapath so that the wheel carries its object.

Needs clang, llvm and libbpf-dev (Debian names) at build time only. An editable install
builds too; where clang is missing, a wheel build fails and an editable install goes on
(`make bpf` builds the object later).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BpfBuildHook(BuildHookInterface[Any]):
    """Runs the datapath's own Makefile."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        source = Path(self.root) / "src/tungsten/datapath/bpf"
        if not (source / "Makefile").exists():
            return
        if shutil.which("clang") is None:
            if version == "editable":
                return
            raise RuntimeError(
                "clang is needed to build the datapath: apt-get install clang llvm libbpf-dev"
            )
        subprocess.run(["make", "-s", "-C", str(source)], check=True)
