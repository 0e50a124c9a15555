from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tungsten.agent.ids import Ids, IdsExhausted, IdSpace


def spaces() -> list[IdSpace]:
    return [IdSpace("label", 16, 31), IdSpace("vrf", 1, 3)]


def test_a_restart_keeps_every_number(tmp_path: Path) -> None:
    ids = Ids(tmp_path / "ids.json", spaces())
    first = {key: ids.allocate("label", key) for key in ("b", "a", "c")}
    ids.save()
    again = Ids(tmp_path / "ids.json", spaces())
    assert {key: again.allocate("label", key) for key in ("c", "b", "a")} == first


def test_released_numbers_are_reused_last(tmp_path: Path) -> None:
    ids = Ids(tmp_path / "ids.json", spaces())
    ids.allocate("vrf", "a")
    ids.release("vrf", "a")
    assert [ids.allocate("vrf", key) for key in ("b", "c", "d")] == [2, 3, 1]


def test_a_full_space_says_which(tmp_path: Path) -> None:
    ids = Ids(tmp_path / "ids.json", spaces())
    for key in "abc":
        ids.allocate("vrf", key)
    with pytest.raises(IdsExhausted, match="3 ids of vrf"):
        ids.allocate("vrf", "d")


@pytest.mark.parametrize("content", [b"", b"{", b'{"version":9,"spaces":{},"cursors":{}}', b"[]"])
def test_a_damaged_file_is_reported_and_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ids.json"
    path.write_bytes(content)
    ids = Ids(path, spaces())
    assert ids.problem is not None
    assert str(path) in ids.problem
    ids.allocate("vrf", "a")
    ids.save()
    assert Ids(path, spaces()).problem is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20))))
def test_no_number_has_two_keys(steps: list[tuple[bool, int]]) -> None:
    space = IdSpace("label", 16, 31)
    for take, key in steps:
        if take:
            try:
                number = space.allocate(str(key))
            except IdsExhausted:
                assert len(space.by_key) == 16
                continue
            assert space.key_of(number) == str(key)
        else:
            space.release(str(key))
        assert len(set(space.by_key.values())) == len(space.by_key)
