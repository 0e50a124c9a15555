from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tungsten.agent.rib import Rib
from tungsten.xmpp.routes import INET, InetItem, NextHop

BLUE = "default-domain:demo:blue:blue"


def item(prefix: str, address: str = "172.30.2.2") -> InetItem:
    return InetItem(prefix=prefix, next_hops=(NextHop(address=address, label=20),))


def seen(rib: Rib) -> dict[str, str]:
    return {i.prefix: i.next_hops[0].address for i in rib.routes(BLUE).inet.values()}


@pytest.fixture
def rib() -> Rib:
    rib = Rib(2)
    rib.update(0, INET, BLUE, (item("10.0.1.3/32"), item("10.0.1.4/32")))
    return rib


def test_updates_replace_and_retracts_remove(rib: Rib) -> None:
    rib.update(0, INET, BLUE, (item("10.0.1.3/32", "172.30.3.2"),))
    rib.retract(0, INET, BLUE, ("10.0.1.4/32", "10.0.1.99/32"))
    assert seen(rib) == {"10.0.1.3/32": "172.30.3.2"}
    assert rib.dirty == {BLUE}


def test_routes_of_a_lost_session_stay(rib: Rib) -> None:
    rib.lost(0)
    assert len(seen(rib)) == 2
    assert rib.stale() == 2


def test_what_a_returning_session_does_not_send_again_goes_at_its_end_of_rib(rib: Rib) -> None:
    rib.lost(0)
    rib.update(0, INET, BLUE, (item("10.0.1.4/32", "172.30.3.2"),))
    assert len(seen(rib)) == 2
    assert rib.end_of_rib(0) == 1
    assert seen(rib) == {"10.0.1.4/32": "172.30.3.2"}
    assert rib.stale() == 0


def test_a_complete_session_outweighs_what_is_stale_of_another(rib: Rib) -> None:
    rib.update(1, INET, BLUE, (item("10.0.1.3/32"),))
    rib.end_of_rib(1)
    assert len(seen(rib)) == 2
    rib.lost(0)
    assert set(seen(rib)) == {"10.0.1.3/32"}


def test_two_live_sessions_give_one_view(rib: Rib) -> None:
    rib.update(1, INET, BLUE, (item("10.0.1.3/32", "172.30.9.9"), item("10.0.1.5/32")))
    assert seen(rib) == {
        "10.0.1.3/32": "172.30.2.2",
        "10.0.1.4/32": "172.30.2.2",
        "10.0.1.5/32": "172.30.2.2",
    }


def test_a_forgotten_vrf_leaves_nothing(rib: Rib) -> None:
    rib.forget(BLUE)
    assert seen(rib) == {}
    assert rib.count(0) == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["update", "retract", "lost", "end"]),
        st.integers(0, 1),
        st.integers(0, 5),
    ),
    max_size=30,
)


@given(STEPS)
def test_nothing_fresh_is_ever_missing_and_nothing_unknown_appears(
    steps: list[tuple[str, int, int]],
) -> None:
    rib = Rib(2)
    fresh: list[set[str]] = [set(), set()]
    ever: set[str] = set()
    for action, session, number in steps:
        prefix = f"{IPv4Address(0x0A000100 + number)}/32"
        if action == "update":
            rib.update(session, INET, BLUE, (item(prefix),))
            fresh[session].add(prefix)
            ever.add(prefix)
        elif action == "retract":
            rib.retract(session, INET, BLUE, (prefix,))
            fresh[session].discard(prefix)
        elif action == "lost":
            rib.lost(session)
            fresh[session] = set()
        else:
            rib.end_of_rib(session)
        assert fresh[0] | fresh[1] <= set(seen(rib)) <= ever
