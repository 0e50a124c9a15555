"""Two sessions that face each other over a network that delivers when it likes.

Whatever the order in which connections come up and octets arrive, and however often the network
breaks, both sides are Established on the same connection once it is left in peace.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.bgp.bgp_dialogue import config

from tungsten.bgp.attributes import AttributeStore
from tungsten.bgp.fsm import Action, CancelDial, Dial, Drop, State, Write
from tungsten.bgp.session import Session

A_ID, B_ID = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


@dataclass(eq=False)
class Wire:
    """A connection: what is on its way to either end (None: the end of the stream)."""

    opened_by: int
    number: int
    flying: tuple[deque[bytes | None], deque[bytes | None]] = field(
        default_factory=lambda: (deque(), deque())
    )
    closed: list[bool] = field(default_factory=lambda: [False, False])

    def end(self, side: int) -> tuple[int, int]:
        """The link id of this wire at one side."""
        return (self.number, side)


class World:
    """Both sessions, their wires, and the choices a network has."""

    def __init__(self, passive: tuple[bool, bool] = (False, False), seed: int = 0) -> None:
        draw = random.Random(seed).random
        self.now = 0.0
        self.sessions = [
            Session(config(router_id=me, passive=p), AttributeStore(), draw)
            for me, p in zip((A_ID, B_ID), passive, strict=True)
        ]
        self.wires: list[Wire] = []
        self.dialling = [False, False]
        self._numbers = iter(range(1_000_000))

    def do(self, side: int, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Dial():
                    self.dialling[side] = True
                case CancelDial():
                    self.dialling[side] = False
                case Write(link, data):
                    self._wire(link).flying[1 - side].append(data)
                case Drop(link, _):
                    wire = self._wire(link)
                    wire.flying[1 - side].append(None)
                    wire.closed[side] = True
                case _:
                    pass

    def _wire(self, link: object) -> Wire:
        return next(w for w in self.wires if link in (w.end(0), w.end(1)))

    def start(self) -> None:
        for side, session in enumerate(self.sessions):
            self.do(side, session.start(self.now))

    def choices(self) -> list[tuple[str, int, Wire | None]]:
        """Everything the network can do next."""
        out: list[tuple[str, int, Wire | None]] = []
        for side in (0, 1):
            if self.dialling[side]:
                out.append(("connect", side, None))
            out += [("deliver", side, w) for w in self.wires if w.flying[side]]
        return out

    def step(self, choice: tuple[str, int, Wire | None]) -> None:
        _, side, wire = choice
        session = self.sessions[side]
        if wire is None:
            self.dialling[side] = False
            fresh = Wire(side, next(self._numbers))
            self.wires.append(fresh)
            self.do(side, session.connected(self.now, fresh.end(side)))
            other = self.sessions[1 - side]
            self.do(1 - side, other.accepted(self.now, fresh.end(1 - side)))
            return
        data = wire.flying[side].popleft()
        if wire.closed[side]:
            return
        if data is None:
            wire.closed[side] = True
            self.do(side, session.closed(self.now, wire.end(side), "closed"))
        else:
            self.do(side, session.received(self.now, wire.end(side), data))

    def break_all(self) -> None:
        """Every connection is lost, with what was on its way."""
        for wire in self.wires:
            for side in (0, 1):
                wire.flying[side].clear()
                if not wire.closed[side]:
                    wire.closed[side] = True
                    session = self.sessions[side]
                    self.do(side, session.closed(self.now, wire.end(side), "broken"))
        self.wires.clear()

    def settle(self, seconds: float) -> None:
        """A network that delivers at once, for some time."""
        end = self.now + seconds
        while True:
            for _ in range(10000):
                choices = self.choices()
                if not choices:
                    break
                self.step(choices[0])
            self.wires = [w for w in self.wires if not all(w.closed) or any(w.flying)]
            due = min(session.deadline for session in self.sessions)
            if due > end:
                break
            self.now = max(self.now, due)
            for side, session in enumerate(self.sessions):
                self.do(side, session.timeout(self.now))
        self.now = end

    def check(self) -> None:
        a, b = (session.established for session in self.sessions)
        assert a is not None
        assert b is not None
        assert isinstance(a.id, tuple)
        assert isinstance(b.id, tuple)
        assert a.id[0] == b.id[0]
        assert all(len(session.links) == 1 for session in self.sessions)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.booleans(), st.booleans(), st.integers(0, 1000))
def test_both_sides_always_come_up(
    data: st.DataObject, one: bool, both_active: bool, seed: int
) -> None:
    """B-12."""
    world = World((one and not both_active, False), seed)
    world.start()
    for _ in range(data.draw(st.integers(0, 40))):
        choices = world.choices()
        if not choices or data.draw(st.integers(0, 12)) == 0:
            if data.draw(st.booleans()):
                world.break_all()
            else:
                world.now += data.draw(st.sampled_from([0.1, 1.0, 16.0]))
                for side, session in enumerate(world.sessions):
                    world.do(side, session.timeout(world.now))
            continue
        world.step(data.draw(st.sampled_from(choices)))
    world.settle(600)
    world.check()


def test_neighbour_that_always_breaks_cannot_make_us_busy() -> None:
    """B-13."""
    world = World()
    world.start()
    sessions = 0
    world.settle(0)
    end = world.now + 60
    while world.now < end:
        if world.sessions[0].state is State.ESTABLISHED:
            sessions += 1
            link = world.sessions[0].established
            assert link is not None
            world.do(0, world.sessions[0].received(world.now, link.id, b"\0" * 19))
        world.settle(0.05)
    assert 3 <= sessions <= 7


@pytest.mark.parametrize("count", [100])
def test_hundred_connections_a_second_leave_nothing_behind(count: int) -> None:
    """B-12."""
    world = World((True, True))
    world.start()
    session = world.sessions[0]
    world.wires = [Wire(1, n) for n in range(count)]
    for wire in world.wires:
        world.do(0, session.accepted(world.now, wire.end(0)))
        assert len(session.links) <= 1
    assert sum(not wire.closed[0] for wire in world.wires) == 1
