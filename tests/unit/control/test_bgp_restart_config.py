"""What the global configuration says of restarts and AS numbers reaches every session."""

from __future__ import annotations

import pytest
from tests.unit.control.bgp_world import fabric, router
from tests.unit.control.control_world import GLOBAL, basics, record

from tungsten.bgp.families import INET_VPN, ROUTE_TARGET
from tungsten.bgp.negotiation import SessionConfig
from tungsten.control.bgp_config import BgpDefaults, neighbor_configs, own_bgp
from tungsten.control.config_graph import ConfigGraph
from tungsten.model import GlobalSystemConfig
from tungsten.model.system import GracefulRestartParametersType


def session(config: GlobalSystemConfig, asn: int = 64512) -> SessionConfig:
    graph = ConfigGraph()
    families = ["inet-vpn", "route-target"]
    us = router("us", "10.0.0.1", 179, "peer", families=families, asn=asn)
    peer = router("peer", "10.0.0.2", 179, families=families, asn=asn)
    graph.load([*basics()[1:], record(config, "", GLOBAL), *fabric(), us, peer])
    own = own_bgp(graph, "us", asn, bytes((10, 0, 0, 1)))
    (found,) = neighbor_configs(graph, "us", own, BgpDefaults())
    return found.peer.session


def test_restart_times() -> None:
    plain = session(GlobalSystemConfig())
    assert (plain.restart_time, plain.long_lived_time) == (0, 0)
    both = GracefulRestartParametersType(
        enable=True, restart_time=60, long_lived_restart_time=3600, bgp_helper_enable=True
    )
    said = session(GlobalSystemConfig(graceful_restart_parameters=both))
    assert (said.restart_time, said.long_lived_time, said.helper) == (60, 3600, True)


@pytest.mark.parametrize(
    ("said", "asn", "wide"),
    [(None, 64512, True), (True, 64512, True), (False, 64512, False), (False, 4200000001, True)],
)
def test_width_of_as_numbers(said: bool | None, asn: int, wide: bool) -> None:
    config = GlobalSystemConfig(enable_4byte_as=said)
    assert session(config, asn).four_octet_as == wide


def test_several_paths_are_taken_of_all_but_wishes() -> None:
    config = session(GlobalSystemConfig())
    assert config.families == {INET_VPN, ROUTE_TARGET}
    assert config.add_paths == {INET_VPN}
