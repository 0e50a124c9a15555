"""Memoised pure queries with automatic dependency tracking.

Terms. An *input* is a fact from outside, named by a hashable key; the engine does not hold its
value, only who read it. A *query* is a pure function of inputs and of other queries; one
application of it to arguments is a *memo*, which keeps the result and the list of what was
read, in the order it was read. A *root* is a memo that someone outside wants kept up to date.

Theory of operation. The graph of memos is walked twice after a change (the scheme is that of
demand-driven incremental computation: Adapton, Salsa, and the three colours of fine-grained
reactive systems):

1. *Marking*, from the changed input upwards. Direct readers become DIRTY (they must run again),
   whatever depends on those becomes CHECK (it may have to). Roots that are reached are noted.
   The walk stops where it finds its own mark, so a burst of changes costs each memo once.
2. *Bringing up*, from the noted roots downwards. A CHECK memo brings up what it read, in the
   order it read it, and stops at the first whose result changed: that change made it DIRTY. If
   none did, the memo is clean without having run (early cut-off). A DIRTY memo runs; if the
   result equals the old one, its readers are not disturbed.

Order matters in step 2: something read late may have been read only because of what was read
early ("for each member of the list..."), so it must not be looked at before the early part has
been confirmed. For that reason too, queries that nobody reads any more are not dropped while a
walk is under way, but swept after it.

Results do not depend on the order in which changes arrive or roots are brought up, because
queries read nothing but what goes through the engine, and because every result is compared by
value. Results must therefore be immutable values with a meaningful ``==``: strings, numbers,
tuples, frozensets, frozen dataclasses.

A query that raises does not disturb others: the error is its result, re-raised in whoever reads
it, and it runs again only when something it had read changes. A query that needs itself, however
indirectly, fails with :class:`CycleError`, as do all queries on the cycle, whichever is asked
first. For that to hold a query must not catch :class:`QueryError`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class QueryError(Exception):
    """A query raised. ``query`` and ``args`` name the application in which it happened."""

    def __init__(self, query: str, args: tuple[Hashable, ...], cause: BaseException | str) -> None:
        self.query = query
        self.query_args = args
        self.cause = cause
        why = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
        super().__init__(f"{describe(query, args)} failed: {why}")


class CycleError(QueryError):
    """A query needs its own result. ``path`` is the cycle, from the query to itself."""

    def __init__(self, query: str, args: tuple[Hashable, ...], path: tuple[str, ...]) -> None:
        self.path = path
        self.members = frozenset(path)
        super().__init__(query, args, f"it depends on itself: {' -> '.join(path)}")


def describe(query: str, args: tuple[Hashable, ...]) -> str:
    """``query(arg, ...)``, for messages."""
    return f"{query}({', '.join(map(str, args))})"


class Colour(IntEnum):
    """How much of a memo can be trusted; a higher one overrides a lower one."""

    CLEAN = 0
    CHECK = 1
    DIRTY = 2


@dataclass(slots=True)
class QueryStats:
    """What a query did so far, over all its arguments."""

    #: times the function was called
    runs: int = 0
    #: times a memo that might have changed was confirmed without a call
    confirmed: int = 0
    #: calls (not the first) whose result equalled the one before
    unchanged: int = 0
    #: calls that raised
    failures: int = 0


class View(Protocol):
    """What queries read through: anything that knows its engine and reports reads to it."""

    @property
    def engine(self) -> Engine: ...


V = TypeVar("V", bound=View)


class Query(Generic[V, P, R]):
    """A pure function under the engine's care; call it like the function itself.

    The first argument is the view, the others form the key: positional and hashable.
    """

    def __init__(self, function: Callable[Concatenate[V, P], R], name: str) -> None:
        self.function = function
        self.name = name
        self.__doc__ = function.__doc__

    def __call__(self, view: V, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs:
            raise TypeError(f"query {self.name} takes positional arguments only, not {kwargs}")
        result: R = view.engine.get(self, view, args)
        return result

    def __repr__(self) -> str:
        return f"<query {self.name}>"


def query(function: Callable[Concatenate[V, P], R]) -> Query[V, P, R]:
    """Make a pure function a query, named as the function."""
    return Query(function, function.__name__)


AnyQuery = Query[Any, ..., Any]

#: What a run ended with: a value, or the error that kept it from having one.
_Result = tuple[Any, QueryError | None]


class _Memo:
    """One query applied to arguments."""

    __slots__ = (
        "args",
        "checking",
        "colour",
        "query",
        "readers",
        "reads",
        "reported",
        "result",
        "root",
        "running",
        "view",
    )

    def __init__(self, query_: AnyQuery, view: View, args: tuple[Hashable, ...]) -> None:
        self.query = query_
        self.view = view
        self.args = args
        self.colour = Colour.DIRTY
        #: None until it has run
        self.result: _Result | None = None
        #: as a root: the result last handed out by refresh()
        self.reported: _Result | None = None
        #: in order: the keys of inputs, and memos
        self.reads: tuple[Hashable | _Memo, ...] = ()
        self.readers: _Readers = None
        self.root = False
        self.running = False
        self.checking = False

    def __str__(self) -> str:
        return describe(self.query.name, self.args)


#: What a running memo has read, in order (the values mean nothing).
_Reads = dict[Hashable, None]

#: Who read something, in order. Most inputs and many memos have one reader, which then stands for
#: itself.
_Readers = _Memo | dict[_Memo, None] | None


def _each(readers: _Readers) -> tuple[_Memo, ...]:
    if readers is None:
        return ()
    return (readers,) if isinstance(readers, _Memo) else tuple(readers)


def _with(readers: _Readers, memo: _Memo) -> _Readers:
    if readers is None or readers is memo:
        return memo
    if isinstance(readers, _Memo):
        return {readers: None, memo: None}
    readers[memo] = None
    return readers


def _without(readers: _Readers, memo: _Memo) -> _Readers:
    if isinstance(readers, dict):
        readers.pop(memo, None)
        return readers if len(readers) > 1 else next(iter(readers), None)
    return None if readers is memo else readers


class _RunInstead(BaseException):
    """Ends all walks above the check of ``memo``, which must run instead."""

    def __init__(self, memo: _Memo) -> None:
        super().__init__()
        self.memo = memo


@dataclass(frozen=True, slots=True)
class RootChange:
    """A root has a new result: ``value``, unless ``error`` says why there is none."""

    query: AnyQuery
    args: tuple[Any, ...]
    value: Any
    error: QueryError | None


class Engine:
    """Keeps memos, finds what a change reaches, and runs just that.

    Single-threaded: inputs change between walks only. Owner of the memos; the values of inputs
    belong to the view.
    """

    def __init__(self) -> None:
        #: the readers of each input that has any
        self._inputs: dict[Hashable, _Readers] = {}
        self._memos: dict[AnyQuery, dict[tuple[Hashable, ...], _Memo]] = {}
        #: what runs, with what it read so far, and what is being checked, with None
        self._stack: list[tuple[_Memo, _Reads | None]] = []
        self._stale_roots: dict[_Memo, None] = {}
        self._loose: dict[_Memo, None] = {}
        self._cyclic = False
        self._stats: dict[str, QueryStats] = {}
        #: called with the name and arguments of every query that runs
        self.on_run: Callable[[str, tuple[Hashable, ...]], None] | None = None

    # What views call.

    def read(self, key: Hashable) -> None:
        """The running query, if any, reads the input ``key``."""
        reads = self._stack[-1][1] if self._stack else None
        if reads is not None:
            reads[key] = None

    def changed(self, key: Hashable) -> None:
        """The input ``key`` has another value now."""
        if self._stack:
            raise RuntimeError(f"input {key} changed while {self._stack[-1][0]} runs")
        self._mark(_each(self._inputs.get(key)))

    def get(self, query_: AnyQuery, view: View, args: tuple[Hashable, ...]) -> Any:
        """The result of a query, up to date, noted as read by the running one.

        Raises QueryError when the query failed.
        """
        memo = self._locate(query_, view, args)
        reads = self._stack[-1][1] if self._stack else None
        if reads is not None:
            reads[memo] = None
        else:
            self._loose[memo] = None
        if memo.running or memo.checking:
            raise self._meet(memo)
        if memo.colour is not Colour.CLEAN:
            self._bring_up(memo)
        assert memo.result is not None  # it has run
        value, error = memo.result
        if error is not None:
            raise error.with_traceback(None)
        return value

    # What owners of roots call.

    def pin(self, query_: AnyQuery, view: View, args: tuple[Hashable, ...]) -> None:
        """Keep the query's result up to date from now on; again is no error."""
        memo = self._locate(query_, view, args)
        if not memo.root:
            memo.root = True
            self._stale_roots[memo] = None

    def unpin(self, query_: AnyQuery, args: tuple[Hashable, ...]) -> None:
        """The result is no longer wanted; the memo goes unless another query reads it."""
        memo = self._memos.get(query_, {}).get(args)
        if memo is not None:
            memo.root = False
            memo.reported = None
            self._stale_roots.pop(memo, None)
            self._loose[memo] = None

    @property
    def stale(self) -> int:
        """How many roots may have another result than last reported."""
        return len(self._stale_roots)

    def refresh(self, limit: int | None = None) -> list[RootChange]:
        """Bring up to ``limit`` stale roots up to date; return those whose result changed.

        A pinned root is reported the first time in any case. When no root is stale any more,
        memos that nobody reads are dropped.
        """
        changes = []
        done = 0
        while self._stale_roots and (limit is None or done < limit):
            # From the end: a dict that loses its first entries is searched for the next.
            memo, _ = self._stale_roots.popitem()
            done += 1
            if memo.colour is not Colour.CLEAN:
                self._bring_up(memo)
            if memo.result is not None and not _same(memo.reported, memo.result):
                memo.reported = memo.result
                changes.append(RootChange(memo.query, memo.args, *memo.result))
        if not self._stale_roots:
            self.sweep()
        return changes

    def sweep(self) -> None:
        """Drop memos that no root needs."""
        if self._cyclic:
            self._sweep_unreachable()
            return
        while self._loose:
            memo, _ = self._loose.popitem()
            if memo.root or memo.readers or memo.running:
                continue
            self._drop(memo)

    # What tests and introspection read.

    def stats(self) -> dict[str, QueryStats]:
        """Counters by query name; live objects, not copies."""
        return self._stats

    def runs(self) -> dict[str, int]:
        """How often each query ran so far."""
        return {name: stats.runs for name, stats in self._stats.items() if stats.runs}

    def memos(self) -> list[tuple[str, tuple[Hashable, ...]]]:
        """The applications that are kept, as (query name, arguments)."""
        return [(memo.query.name, memo.args) for memo in self._all()]

    def inputs(self) -> list[Hashable]:
        """The inputs that some memo has read."""
        return list(self._inputs)

    def inputs_of(self, query_: str, args: tuple[Hashable, ...]) -> set[Hashable]:
        """The inputs that an application depends on, directly or not; empty if it is not kept."""
        work: list[Hashable] = [
            memo for memo in self._all() if memo.query.name == query_ and memo.args == args
        ]
        seen: set[Hashable] = set()
        while work:
            node = work.pop()
            if node not in seen:
                seen.add(node)
                work.extend(node.reads if isinstance(node, _Memo) else ())
        return {node for node in seen if not isinstance(node, _Memo)}

    # Walks.

    def _all(self) -> Iterator[_Memo]:
        return chain.from_iterable(by_args.values() for by_args in self._memos.values())

    def _locate(self, query_: AnyQuery, view: View, args: tuple[Hashable, ...]) -> _Memo:
        by_args = self._memos.get(query_)
        if by_args is None:
            by_args = self._memos[query_] = {}
        memo = by_args.get(args)
        if memo is None:
            memo = by_args[args] = _Memo(query_, view, args)
        return memo

    def _mark(self, readers: Iterable[_Memo]) -> None:
        """Readers of something that changed must run; what depends on them may have to."""
        work = [(memo, Colour.DIRTY) for memo in readers]
        while work:
            memo, colour = work.pop()
            if memo.colour >= colour:
                continue
            was = memo.colour
            memo.colour = colour
            if memo.root:
                self._stale_roots[memo] = None
            if was is Colour.CLEAN:
                work.extend((reader, Colour.CHECK) for reader in _each(memo.readers))

    def _bring_up(self, memo: _Memo) -> None:
        """Make a memo CLEAN, running it only if something it read has changed."""
        if memo.colour is Colour.CHECK:
            self._check(memo)
        if memo.colour > Colour.CLEAN:
            self._run(memo)

    def _check(self, memo: _Memo) -> None:
        """Bring up what a CHECK memo read; leave it CLEAN or, if it has to run, DIRTY."""
        memo.checking = True
        self._stack.append((memo, None))
        try:
            for node in memo.reads:
                if not isinstance(node, _Memo) or node.colour is Colour.CLEAN:
                    continue
                if node.running or node.checking:
                    raise self._meet(node)
                self._bring_up(node)
                if memo.colour is not Colour.CHECK:
                    return
            memo.colour = Colour.CLEAN
            self._of(memo).confirmed += 1
        except _RunInstead as instead:
            memo.colour = Colour.DIRTY
            if instead.memo is not memo:
                raise
        finally:
            self._stack.pop()
            memo.checking = False

    def _meet(self, memo: _Memo) -> CycleError | _RunInstead:
        """What to raise when something above ``memo`` on the stack needs ``memo``.

        If only runs are between, it is a cycle. A check between them stands for what its memo
        read once and may not read again: it has to run, before anything is concluded.
        """
        start = next(i for i, (on_stack, _) in enumerate(self._stack) if on_stack is memo)
        between = self._stack[start:]
        for on_stack, reads in between:
            if reads is None:
                return _RunInstead(on_stack)
        self._cyclic = True
        # Told from the least member on, so that it is one error, wherever the cycle was entered.
        members = [on_stack for on_stack, _ in between]
        least = min(range(len(members)), key=lambda i: str(members[i]))
        members = members[least:] + members[:least]
        path = (*map(str, members), str(members[0]))
        return CycleError(members[0].query.name, members[0].args, path)

    def _run(self, memo: _Memo) -> None:
        """Call the function, note what it read, and tell readers if the result is another."""
        stats = self._of(memo)
        stats.runs += 1
        if self.on_run is not None:
            self.on_run(memo.query.name, memo.args)
        reads: _Reads = {}
        memo.running = True
        self._stack.append((memo, reads))
        try:
            result: _Result = (memo.query.function(memo.view, *memo.args), None)
        except _RunInstead:
            memo.colour = Colour.DIRTY
            raise
        except QueryError as failure:
            result = (None, failure)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is this query's result
            error = QueryError(memo.query.name, memo.args, failure)
            error.__cause__ = failure
            result = (None, error)
        finally:
            self._stack.pop()
            memo.running = False
        if result[1] is not None:
            stats.failures += 1
        self._link(memo, reads)
        memo.colour = Colour.CLEAN
        if _same(memo.result, result):
            stats.unchanged += 1
            return
        memo.result = result
        cycle = result[1].members if isinstance(result[1], CycleError) else frozenset()
        if str(memo) not in cycle:
            cycle = frozenset()
        # Who runs is reading the new result; who is on the same cycle has failed of it already.
        self._mark(r for r in _each(memo.readers) if not r.running and str(r) not in cycle)

    def _link(self, memo: _Memo, reads: _Reads) -> None:
        for node in memo.reads:
            if node not in reads:
                self._unlink(memo, node)
        for node in reads:
            if isinstance(node, _Memo):
                node.readers = _with(node.readers, memo)
            else:
                self._inputs[node] = _with(self._inputs.get(node), memo)
        memo.reads = tuple(reads)

    def _unlink(self, memo: _Memo, node: Hashable) -> None:
        if isinstance(node, _Memo):
            node.readers = _without(node.readers, memo)
            if node.readers is None:
                self._loose[node] = None
            return
        readers = _without(self._inputs.get(node), memo)
        if readers is None:
            self._inputs.pop(node, None)
        else:
            self._inputs[node] = readers

    def _drop(self, memo: _Memo) -> None:
        by_args = self._memos[memo.query]
        del by_args[memo.args]
        if not by_args:
            del self._memos[memo.query]
        for node in memo.reads:
            self._unlink(memo, node)

    def _sweep_unreachable(self) -> None:
        """Sweep by reachability: queries on a cycle read each other and would stay for ever."""
        reached: set[_Memo] = set()
        work = [memo for memo in self._all() if memo.root]
        while work:
            memo = work.pop()
            if memo in reached:
                continue
            reached.add(memo)
            work.extend(node for node in memo.reads if isinstance(node, _Memo))
        for memo in list(self._all()):
            if memo not in reached:
                self._drop(memo)
        self._loose.clear()
        self._cyclic = any(
            memo.result is not None and isinstance(memo.result[1], CycleError) for memo in reached
        )

    def _of(self, memo: _Memo) -> QueryStats:
        stats = self._stats.get(memo.query.name)
        if stats is None:
            stats = self._stats[memo.query.name] = QueryStats()
        return stats


def _same(one: _Result | None, other: _Result | None) -> bool:
    """Whether two results, or two failures, are the same to a reader."""
    if one is None or other is None:
        return one is other
    if one[1] is None or other[1] is None:
        return one[1] is other[1] and bool(one[0] == other[0])
    return str(one[1]) == str(other[1])
