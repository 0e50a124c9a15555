"""Regular expressions of routing policies, matched in time linear in the text.

Whoever may write a policy writes these, and they are matched where all tenants' routes are dealt
with. Python's ``re`` goes back and tries again, which for some patterns takes longer than anybody
waits; here a pattern becomes a set of states that the text moves through once (K. Thompson,
"Regular expression search algorithm", CACM 11(6), 1968).

Understood are characters, ``.``, ``[...]``, ``\\d \\w \\s`` and their opposites, groups, ``|``,
``* + ? {m,n}``, and ``^`` and ``$`` at the ends. A text matches as a whole. References back and
looking around are refused, as are patterns of more than :data:`MOST_STATES` states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

MOST_STATES = 500
_REMEMBERED = 4096
_LONGEST = 256
_CLASSES: dict[str, Callable[[str], bool]] = {
    "d": str.isdigit,
    "w": lambda c: c.isalnum() or c == "_",
    "s": str.isspace,
}


class PatternError(ValueError):
    """The text is not a pattern that is understood; it says why."""


Test = Callable[[str], bool]


@dataclass(slots=True)
class _State:
    """Goes to ``then`` when ``test`` accepts a character; without a test, to all of ``also``."""

    test: Test | None = None
    then: int = -1
    also: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of the pattern: how to make its states, from an entry to the exit given."""

    make: Callable[[int], int]


class Pattern:
    """A compiled pattern. Patterns of one text are equal. Raises :class:`PatternError`."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise PatternError(f"a pattern of {len(text)} characters; at most {_LONGEST}")
        self.text = text
        self._known: dict[str, bool] = {}
        body = text.removeprefix("^")
        if body.endswith("$") and not body.endswith("\\$"):
            body = body[:-1]
        parser = _Parser(body)
        part = parser.parse()
        self._states = parser.states
        self._start = part.make(0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def matches(self, text: str) -> bool:
        """Whether the whole text is one that the pattern describes."""
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[text] = self._run(text)
        return known

    def _run(self, text: str) -> bool:
        now = self._reach({self._start})
        for character in text:
            stepped = set()
            for number in now:
                state = self._states[number]
                if state.test is not None and state.test(character):
                    stepped.add(state.then)
            if not stepped:
                return False
            now = self._reach(stepped)
        return 0 in now

    def _reach(self, states: set[int]) -> set[int]:
        """These states, and all that are reached from them without a character."""
        left = list(states)
        while left:
            for following in self._states[left.pop()].also:
                if following not in states:
                    states.add(following)
                    left.append(following)
        return states


class _Parser:
    """Reads a pattern from left to right, into parts. State 0 is the end."""

    def __init__(self, text: str) -> None:
        self.states = [_State()]
        self._text = text
        self._at = 0
        self._depth = 0

    def _add(self, state: _State) -> int:
        if len(self.states) >= MOST_STATES:
            raise PatternError(f"the pattern {self._text!r} has more than {MOST_STATES} states")
        self.states.append(state)
        return len(self.states) - 1

    def parse(self) -> _Part:
        part = self._alternatives()
        if self._at < len(self._text):
            raise self._error("an unmatched )")
        return part

    def _error(self, what: str) -> PatternError:
        return PatternError(f"{what} at character {self._at + 1} of the pattern {self._text!r}")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, what: str = "the rest is missing") -> str:
        if self._at >= len(self._text):
            raise self._error(what)
        self._at += 1
        return self._text[self._at - 1]

    # --- parts

    def _alternatives(self) -> _Part:
        choices = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            choices.append(self._sequence())
        if len(choices) == 1:
            return choices[0]
        return _Part(lambda end: self._add(_State(also=[each.make(end) for each in choices])))

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated())

        def make(end: int) -> int:
            for part in reversed(parts):
                end = part.make(end)
            return end

        return _Part(make)

    def _repeated(self) -> _Part:
        part = self._atom()
        while (sign := self._peek()) and sign in "*+?{":
            self._at += 1
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign) or self._bounds()
            part = self._times(part, least, most)
            if self._peek() == "?":  # as few as possible: the same texts match
                self._at += 1
        return part

    def _bounds(self) -> tuple[int, int | None]:
        end = self._text.find("}", self._at)
        first, comma, last = self._text[self._at : max(end, self._at)].partition(",")
        numbers = [each for each in (first, last) if each]
        if end < 0 or not first or not all(n.isdecimal() and len(n) < 4 for n in numbers):
            raise self._error("a { that does not begin {m}, {m,} or {m,n}")
        self._at = end + 1
        least = int(first)
        most = least if not comma else int(last) if last else None
        if most is not None and most < least:
            raise self._error(f"{{{least},{most}}}")
        return least, most

    def _times(self, part: _Part, least: int, most: int | None) -> _Part:
        def make(end: int) -> int:
            if most is None:
                entry = self._add(_State(also=[end]))
                self.states[entry].also.append(part.make(entry))
            else:
                entry = end
                for _ in range(most - least):
                    entry = self._add(_State(also=[part.make(entry), end]))
            for _ in range(least):  # a state each, so that their number bounds the work
                entry = self._add(_State(also=[part.make(entry)]))
            return entry

        return _Part(make)

    def _atom(self) -> _Part:
        character = self._take()
        if character == "(":
            return self._group()
        if character == "[":
            return self._one(self._set())
        if character == ".":
            return self._one(lambda c: True)
        if character == "\\":
            return self._one(self._escape())
        if character in "*+?{":
            raise self._error("nothing to repeat")
        if character in "^$":
            raise self._error(f"{character} within the pattern")
        return self._one(character.__eq__)

    def _group(self) -> _Part:
        self._depth += 1
        if self._depth > 20:
            raise self._error("groups more than 20 deep")
        if self._peek() == "?":
            if self._text[self._at : self._at + 2] != "?:":
                raise self._error("a group that is no plain one")
            self._at += 2
        part = self._alternatives()
        if self._take("a ( that is not closed") != ")":
            raise self._error("a ( that is not closed")
        self._depth -= 1
        return part

    def _one(self, test: Test) -> _Part:
        return _Part(lambda end: self._add(_State(test=test, then=end)))

    def _escape(self) -> Test:
        character = self._take("a \\ at the end")
        known = _CLASSES.get(character.lower())
        if known is not None:
            return known if character.islower() else lambda c: not known(c)
        if character.isalnum():
            raise self._error(f"\\{character} is not understood")
        return character.__eq__

    def _set(self) -> Test:
        negated = self._peek() == "^"
        if negated:
            self._at += 1
        tests: list[Test] = []
        first = True
        while (character := self._take("a [ that is not closed")) != "]" or first:
            first = False
            if character == "\\":
                tests.append(self._escape())
                continue
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("", "]"):
                self._at += 1
                last = self._take()
                if last < character:
                    raise self._error(f"the range {character}-{last}")
                tests.append(_between(character, last))
            else:
                tests.append(character.__eq__)
        return lambda c: any(test(c) for test in tests) is not negated


def _between(first: str, last: str) -> Test:
    return lambda c: first <= c <= last
