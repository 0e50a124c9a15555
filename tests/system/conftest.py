"""A lab that system tests share, and the invariants that hold after each of them.

The lab is the demo's: two compute hosts behind a fabric router, two networks, four workloads. It
is made once per run; a test that wants another makes its own with ``make_lab``. Every test that
uses ``lab`` ends with :class:`Invariants`: processes are those of before (unless the test said it
would end one), logs carry no traceback, who may talk still does and who may not still does not,
and nothing has grown without bound.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.invariants import Invariants
from tungsten.lab import lab as labs
from tungsten.lab import spec as specs
from tungsten.lab.lab import Lab
from tungsten.lab.spec import LabSpec


def demo_spec() -> LabSpec:
    """The lab that the demo makes."""
    return specs.load(Path(specs.__file__).with_name("demo.yaml"))


def fresh_name() -> str:
    """A lab name that nobody else uses."""
    return f"t{os.getpid()}{secrets.token_hex(2)}"


@pytest.fixture(scope="session")
def _shared_lab() -> Iterator[Lab]:
    labs.reap()
    lab = labs.create(fresh_name(), demo_spec(), owned=True)
    try:
        asyncio.run(labs.up(lab))
        yield lab
    finally:
        lab.down()


@pytest.fixture
def lab(_shared_lab: Lab) -> Iterator[Lab]:
    """The shared lab, with the invariants checked when the test ends."""
    invariants = Invariants(_shared_lab)
    invariants.begin()
    yield _shared_lab
    invariants.check()


@pytest.fixture
def make_lab() -> Iterator[Callable[[LabSpec], Lab]]:
    """A function that brings up a lab of its own, removed when the test ends."""
    made: list[Lab] = []

    def make(spec: LabSpec) -> Lab:
        lab = labs.create(fresh_name(), spec, owned=True)
        made.append(lab)
        asyncio.run(labs.up(lab))
        return lab

    yield make
    for lab in made:
        lab.down()
