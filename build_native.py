"""Build hook: compiles what is not Python, so that the wheel carries it.

* The eBPF datapath needs clang, llvm and libbpf-dev (Debian names). Where clang is missing, a
  wheel build fails and an editable install goes on (`make bpf` builds the object later).
* The table core of the control node needs g++, python3-dev and nanobind. Where it cannot be
  compiled the build goes on and says why: the same core exists in Python (`make core` builds it
  later).

All of it is needed at build time only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface[Any]):
    """Runs the Makefiles of the parts."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self._datapath(version)
        if self._core():
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def _datapath(self, version: str) -> None:
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

    def _core(self) -> bool:
        """Compile the table core; whether it is there."""
        source = Path(self.root) / "src/tungsten/control/core/native"
        if not (source / "Makefile").exists():
            return False
        jobs = f"-j{os.cpu_count() or 1}"
        command = ["make", "-s", jobs, "-C", str(source), f"PYTHON={sys.executable}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            self.app.display_warning(f"the control core stays in Python: {last}")
        return not done.returncode
