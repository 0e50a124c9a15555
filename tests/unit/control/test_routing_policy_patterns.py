"""Patterns of routing policies: they match what Python's do, and no text takes long."""

from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tungsten.control.routing_policy_patterns import MOST_STATES, Pattern, PatternError


def some_pattern(draw: random.Random, depth: int) -> str:
    """A pattern that both understand alike."""
    if depth == 0:
        return draw.choice(["a", "b", ".", "[ab]", "[^a]", "[0-9:]", r"\d", r"\W", "1", r"\."])
    inner = some_pattern(draw, depth - 1)
    match draw.randrange(4):
        case 0:
            return inner + some_pattern(draw, depth - 1)
        case 1:
            return f"({inner}|{some_pattern(draw, depth - 1)})"
        case 2:
            return f"(?:{inner}){draw.choice(['*', '+', '?', '{2}', '{1,3}', '{0,}', '*?'])}"
        case _:
            return f"({inner}|)"


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.text("ab1.:", max_size=8), max_size=20))
def test_patterns_match_what_pythons_do(draw: random.Random, texts: list[str]) -> None:
    text = some_pattern(draw, draw.choice([1, 2, 3, 4]))
    try:
        pattern = Pattern(text)
    except PatternError as refusal:
        assert "states" in str(refusal)  # noqa: PT017 - only large ones are refused
        return
    for each in texts:
        assert pattern.matches(each) == bool(re.fullmatch(text, each)), (text, each)


def test_anchors_at_the_ends_change_nothing() -> None:
    assert Pattern("^target:64512:.*$").matches("target:64512:100")
    assert not Pattern("^64512$").matches("target:64512:100")
    assert Pattern(r"a\$").matches("a$")


@pytest.mark.parametrize("text", ["(a*)*b", "(a|a)*b", "(a|aa)+$b|(.*)*(.*)*(.*)*x", "(a?){99}b"])
def test_no_pattern_takes_long(text: str) -> None:
    text = text.replace("$b", "b")
    before = time.process_time()
    assert not Pattern(text).matches("a" * 120)
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    "text",
    [
        "(", ")", "[", "[b-a]", "a{", "a{2,1}", "*", "a|*", r"\1", r"a\b", "(?=a)", "(?i)a", "a^b",
        "a$b", "\\", "(" * 30 + ")" * 30, "x" * 300, "(((){999}){999}){999}", f"a{{{MOST_STATES}}}",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(PatternError, match=r"pattern"):
        Pattern(text)


def test_patterns_are_values() -> None:
    assert Pattern("a.") == Pattern("a.")
    assert len({Pattern("a."), Pattern("a."), Pattern("b")}) == 2
