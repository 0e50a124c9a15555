from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.agent.agent_samples import World

from tungsten.agent.config import ConfigGraph
from tungsten.agent.config_cache import ConfigCache
from tungsten.agent.derive import compile_oper
from tungsten.agent.oper import Oper


@pytest.fixture
def world() -> World:
    world = World()
    world.network("blue", "10.0.1.0/24")
    for n in range(40):
        world.interface("blue", f"10.0.1.{n + 3}", display_name='<&"> \u00e4')
    return world


def oper_of(world: World, graph: ConfigGraph) -> Oper:
    return compile_oper(graph, tuple(world.ports), world.devices(), ())


def test_what_was_saved_means_the_same_when_read(world: World, tmp_path: Path) -> None:
    path = tmp_path / "config.xml"
    graph = world.graph()
    assert ConfigCache(path, "compute1").save(graph)
    again = ConfigGraph()
    cache = ConfigCache(path, "compute1")
    assert cache.load(again) > 1
    assert oper_of(world, again) == oper_of(world, graph)
    assert not cache.save(again)


def test_what_was_read_is_stale_once_a_control_begins(world: World, tmp_path: Path) -> None:
    path = tmp_path / "config.xml"
    ConfigCache(path, "compute1").save(world.graph())
    graph = ConfigGraph()
    ConfigCache(path, "compute1").load(graph)
    name = "default-domain:demo:port1"
    assert graph.is_fresh(("virtual-machine-interface", name))
    graph.begin()
    assert not graph.is_fresh(("virtual-machine-interface", name))
    assert len(oper_of(world, graph).interfaces) == 40
    graph.sweep()
    assert oper_of(world, graph).interfaces == {}


@given(st.binary(max_size=200))
def test_a_damaged_file_is_reported(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("cache") / "config.xml"
    for content in (data, b"<configuration>" + data + b"</configuration>"):
        path.write_bytes(content)
        cache = ConfigCache(path, "compute1")
        graph = ConfigGraph()
        if cache.load(graph) == 0:
            assert len(graph) == 0


def test_a_missing_file_is_no_problem(tmp_path: Path) -> None:
    cache = ConfigCache(tmp_path / "none", "compute1")
    assert cache.load(ConfigGraph()) == 0
    assert cache.problem is None
