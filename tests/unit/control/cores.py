"""Both cores for tests: the Python one always, the compiled one where it was built.

A module whose tests hold for both says ``pytestmark = both_cores`` and makes its RIBs with
:func:`make_rib`; control nodes started meanwhile take the same core.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tungsten.control.core import VARIABLE, choose
from tungsten.control.tables import Rib

_MODULE = "tungsten.control.core._core"


def _load(directory: Path) -> None:
    """Take another build of the core for the compiled one (``make check-core``)."""
    (file,) = directory.glob("_core.*.so")
    spec = importlib.util.spec_from_file_location(_MODULE, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[_MODULE] = module


if _OTHER := os.environ.get("CORE_UNDER_TEST"):
    _load(Path(_OTHER))
HAS_COMPILED = importlib.util.find_spec(_MODULE) is not None
CORES = ["python", "compiled"] if HAS_COMPILED else ["python"]
compiled_only = pytest.mark.skipif(not HAS_COMPILED, reason="the compiled core was not built")
both_cores = pytest.mark.usefixtures("core")


def make_rib() -> Rib:
    """A RIB of the core under test."""
    return choose().make_rib()


@pytest.fixture(scope="module", params=CORES)
def core(request: pytest.FixtureRequest) -> Iterator[str]:
    """The core under test."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = request.param
    yield request.param
    if before is None:
        del os.environ[VARIABLE]
    else:
        os.environ[VARIABLE] = before
