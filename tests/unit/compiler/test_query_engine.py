"""The engine on a spreadsheet: inputs are cells, queries are formulas over them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tungsten.compiler.engine import CycleError, Engine, QueryError, RootChange, query


class Sheet:
    """Named numbers that queries read."""

    def __init__(self, **cells: int) -> None:
        self.engine = Engine()
        self._cells = dict(cells)

    def read(self, name: str) -> int | None:
        self.engine.read(name)
        return self._cells.get(name)

    def set(self, name: str, value: int | None) -> None:
        if value is None:
            self._cells.pop(name, None)
        else:
            self._cells[name] = value
        self.engine.changed(name)


def runs_during(sheet: Sheet, act: Callable[[], object]) -> dict[str, int]:
    before = sheet.engine.runs()
    act()
    after = sheet.engine.runs()
    return {k: after[k] - before.get(k, 0) for k in after if after[k] != before.get(k, 0)}


def refreshed(sheet: Sheet) -> list[object]:
    return [change.error or change.value for change in sheet.engine.refresh()]


@query
def cell(sheet: Sheet, name: str) -> int:
    return sheet.read(name) or 0


@query
def parity(sheet: Sheet, name: str) -> int:
    return cell(sheet, name) % 2


@query
def report(sheet: Sheet, name: str) -> str:
    return "odd" if parity(sheet, name) else "even"


def test_a_result_is_kept_until_what_it_read_changes() -> None:
    sheet = Sheet(a=1, b=5)
    sheet.engine.pin(report, sheet, ("a",))
    assert refreshed(sheet) == ["odd"]
    assert sheet.engine.runs() == {"report": 1, "parity": 1, "cell": 1}
    assert runs_during(sheet, sheet.engine.refresh) == {}
    sheet.set("b", 6)
    assert sheet.engine.stale == 0
    sheet.set("a", 2)
    assert runs_during(sheet, lambda: refreshed(sheet)) == {"report": 1, "parity": 1, "cell": 1}


def test_an_unchanged_result_stops_the_wave() -> None:
    sheet = Sheet(a=1)
    sheet.engine.pin(report, sheet, ("a",))
    refreshed(sheet)
    sheet.set("a", 3)
    assert runs_during(sheet, lambda: refreshed(sheet)) == {"cell": 1, "parity": 1}
    assert sheet.engine.stats()["parity"].unchanged == 1
    assert sheet.engine.stats()["report"].confirmed == 1


def test_an_input_set_to_its_old_value_reports_no_change() -> None:
    sheet = Sheet(a=1)
    sheet.engine.pin(report, sheet, ("a",))
    refreshed(sheet)
    sheet.set("a", 4)
    sheet.set("a", 1)
    assert refreshed(sheet) == []


@query
def total(sheet: Sheet, count: str) -> int:
    return sum(cell(sheet, f"x{i}") for i in range(cell(sheet, count)))


def test_what_is_no_longer_read_is_dropped_with_its_inputs() -> None:
    sheet = Sheet(n=3, x0=1, x1=10, x2=100)
    sheet.engine.pin(total, sheet, ("n",))
    assert refreshed(sheet) == [111]
    sheet.set("n", 1)
    assert refreshed(sheet) == [1]
    assert sorted(sheet.engine.memos()) == [("cell", ("n",)), ("cell", ("x0",)), ("total", ("n",))]
    assert sorted(map(str, sheet.engine.inputs())) == ["n", "x0"]
    sheet.set("x2", 5)
    assert sheet.engine.stale == 0


def test_nothing_beyond_a_changed_condition_is_looked_at() -> None:
    # x2 is gone together with the count that made it read: cell(x2) must not run once more.
    sheet = Sheet(n=3, x0=1, x1=10, x2=100)
    sheet.engine.pin(total, sheet, ("n",))
    refreshed(sheet)
    sheet.set("x2", None)
    sheet.set("n", 2)
    assert runs_during(sheet, lambda: refreshed(sheet)) == {"cell": 1, "total": 1}


def test_an_unpinned_root_goes_unless_another_query_reads_it() -> None:
    sheet = Sheet(a=1)
    for root in (report, parity):
        sheet.engine.pin(root, sheet, ("a",))
    refreshed(sheet)
    sheet.engine.unpin(parity, ("a",))
    sheet.engine.sweep()
    assert len(sheet.engine.memos()) == 3
    sheet.engine.unpin(report, ("a",))
    sheet.engine.sweep()
    assert sheet.engine.memos() == []
    assert sheet.engine.inputs() == []


def test_a_root_another_root_reads_is_reported_once_and_runs_once() -> None:
    sheet = Sheet(a=1)
    for root in (report, parity):
        sheet.engine.pin(root, sheet, ("a",))
    assert set(refreshed(sheet)) == {"odd", 1}
    sheet.set("a", 2)
    assert set(refreshed(sheet)) == {"even", 0}
    sheet.set("a", 4)
    assert refreshed(sheet) == []
    assert sheet.engine.runs() == {"report": 2, "parity": 3, "cell": 3}


def test_a_limit_leaves_the_rest_stale() -> None:
    sheet = Sheet(a=1, b=2, c=3)
    for name in "abc":
        sheet.engine.pin(report, sheet, (name,))
    assert len(sheet.engine.refresh(limit=2)) == 2
    assert sheet.engine.stale == 1
    assert len(sheet.engine.refresh(limit=2)) == 1


# Failure


@query
def inverse(sheet: Sheet, name: str) -> float:
    return 1 / cell(sheet, name)


@query
def doubled(sheet: Sheet, name: str) -> float:
    return 2 * inverse(sheet, name)


def test_a_failure_is_a_result_and_heals_when_its_input_does() -> None:
    sheet = Sheet(a=0, b=4)
    for name in "ab":
        sheet.engine.pin(doubled, sheet, (name,))
    failure, value = sorted(sheet.engine.refresh(), key=lambda change: change.args)
    assert value == RootChange(doubled, ("b",), 0.5, None)
    assert failure.error is not None
    assert failure.error.query == "inverse"
    assert failure.error.query_args == ("a",)
    assert isinstance(failure.error.cause, ZeroDivisionError)
    assert "inverse(a) failed: ZeroDivisionError" in str(failure.error)
    assert runs_during(sheet, lambda: refreshed(sheet)) == {}
    sheet.set("a", 2)
    assert refreshed(sheet) == [1.0]


def test_the_same_failure_again_is_no_change() -> None:
    sheet = Sheet(a=0)
    sheet.engine.pin(doubled, sheet, ("a",))
    refreshed(sheet)
    sheet.set("a", 0)
    assert runs_during(sheet, lambda: refreshed(sheet)) == {"cell": 1}
    with pytest.raises(QueryError):
        doubled(sheet, "a")


# Cycles: a cell whose value is another cell's number points at it.


@query
def follow(sheet: Sheet, name: str) -> str:
    target = sheet.read(name)
    return name if target is None else follow(sheet, f"c{target}")


@pytest.mark.parametrize("order", [("c0", "c1", "c2"), ("c2", "c1", "c0"), ("c1", "c2", "c0")])
def test_a_cycle_fails_the_same_whichever_member_is_asked_first(order: tuple[str, ...]) -> None:
    sheet = Sheet(c0=1, c1=2, c2=0, c3=1)
    for name in (*order, "c3"):
        sheet.engine.pin(follow, sheet, (name,))
    errors = {change.args: change.error for change in sheet.engine.refresh()}
    assert len(errors) == 4
    for error in errors.values():
        assert isinstance(error, CycleError)
        assert error.path == ("follow(c0)", "follow(c1)", "follow(c2)", "follow(c0)")


def test_a_broken_cycle_heals_everywhere() -> None:
    sheet = Sheet(c0=1, c1=2, c2=0)
    for name in ("c0", "c1", "c2"):
        sheet.engine.pin(follow, sheet, (name,))
    refreshed(sheet)
    sheet.set("c1", 7)
    assert {c.args[0]: c.value for c in sheet.engine.refresh()} == {
        "c0": "c7",
        "c1": "c7",
        "c2": "c7",
    }


def test_a_cycle_that_nobody_wants_any_more_is_dropped() -> None:
    sheet = Sheet(c0=1, c1=0)
    sheet.engine.pin(follow, sheet, ("c0",))
    refreshed(sheet)
    sheet.engine.unpin(follow, ("c0",))
    sheet.engine.sweep()
    assert sheet.engine.memos() == []
    assert sheet.engine.inputs() == []


def test_inputs_may_not_change_while_a_query_runs() -> None:
    sheet = Sheet(a=1)

    @query
    def meddler(view: Sheet) -> int:
        view.set("a", 2)
        return 0

    with pytest.raises(QueryError, match="input a changed while meddler"):
        meddler(sheet)


# Random programs against recomputation. Every cell c<i> is a number; its formula depends on the
# number: a constant, a sum of what it points at, a pick among them, or a failure.


@query
def formula(sheet: Sheet, i: int) -> int:
    value = sheet.read(f"c{i}")
    if value is None:
        return 0
    kind, a, b = value % 4, (value // 4) % 8, (value // 32) % 8
    if kind == 0:
        return a
    if kind == 1:
        return formula(sheet, a) + formula(sheet, b)
    if kind == 2:
        return formula(sheet, a) if formula(sheet, b) % 2 else a
    return 6 // (formula(sheet, a) % 3)


CELL = st.one_of(st.none(), st.integers(0, 255))
EDITS = st.lists(st.tuples(st.integers(0, 7), CELL), min_size=1, max_size=4)


def outcome(value: object, error: QueryError | None) -> object:
    return value if error is None else str(error)


@settings(max_examples=300, deadline=None)
@given(start=st.lists(CELL, min_size=8, max_size=8), bursts=st.lists(EDITS, max_size=8))
def test_incremental_results_equal_recomputation_and_nothing_runs_twice(
    start: list[int | None], bursts: list[list[tuple[int, int | None]]]
) -> None:
    sheet = Sheet(**{f"c{i}": v for i, v in enumerate(start) if v is not None})
    known: dict[tuple[int], object] = {}
    for i in range(8):
        sheet.engine.pin(formula, sheet, (i,))
    cells = list(start)
    for burst in [[], *bursts]:
        for i, value in burst:
            cells[i] = value
            sheet.set(f"c{i}", value)
        for change in sheet.engine.refresh():
            known[change.args] = outcome(change.value, change.error)
        scratch = Sheet(**{f"c{i}": v for i, v in enumerate(cells) if v is not None})
        for i in range(8):
            scratch.engine.pin(formula, scratch, (i,))
        expected = {c.args: outcome(c.value, c.error) for c in scratch.engine.refresh()}
        assert known == expected
        again = runs_during(sheet, sheet.engine.refresh)
        assert again == {}
        assert len(sheet.engine.memos()) == 8
