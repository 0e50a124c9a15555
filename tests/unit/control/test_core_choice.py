"""Which core runs: what was asked for, else the compiled one, else the one in Python."""

from __future__ import annotations

import sys

import pytest
from tests.unit.control.cores import compiled_only

from tungsten.control.core import VARIABLE, choose
from tungsten.control.tables import Rib

COMPILED = "tungsten.control.core.compiled"


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@compiled_only
def test_compiled_core_is_taken_where_it_is() -> None:
    core = choose()
    assert (core.name, core.reason) == ("compiled", "")
    assert core.make_rib().find_run is not None


def test_python_core_is_taken_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("python").make_rib is Rib
    monkeypatch.setenv(VARIABLE, "python")
    assert choose("compiled").make_rib is Rib


def test_python_core_says_why_the_other_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, COMPILED, None)
    core = choose()
    assert core.make_rib is Rib
    assert "compiled" in core.reason
    with pytest.raises(ValueError, match="compiled control core cannot be used"):
        choose("compiled")


def test_other_words_are_refused() -> None:
    with pytest.raises(ValueError, match="'fast'; expected one of auto, compiled, python"):
        choose("fast")
