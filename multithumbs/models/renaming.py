"""Two names for every tensor: the official checkpoint's and our module's."""

import re
from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


class Renaming:
    """A table of name templates that can be read in both directions.

    ``#`` in a template stands for a number, ``*`` for the rest of the name; both sides of a row
    have the same placeholders in the same order, so each row is a bijection. The first row that
    fits a name decides.
    """

    def __init__(self, rows: Mapping[str, str]) -> None:
        self._ours = [(_pattern(official), _filler(ours)) for official, ours in rows.items()]
        self._official = [(_pattern(ours), _filler(official)) for official, ours in rows.items()]

    def ours(self, official: str) -> str | None:
        """Our name of an official tensor; None where the table has no row for it."""
        return _first(self._ours, official)

    def official(self, ours: str) -> str | None:
        """The official name of one of our tensors; None where the table has no row for it."""
        return _first(self._official, ours)

    def to_ours(self, tensors: Mapping[str, Value]) -> dict[str, Value]:
        """All tensors under our names; those without a row keep theirs."""
        return {self.ours(name) or name: value for name, value in tensors.items()}

    def to_official(self, tensors: Mapping[str, Value]) -> dict[str, Value]:
        """All tensors under the official names; those without a row keep theirs."""
        return {self.official(name) or name: value for name, value in tensors.items()}


def _pattern(template: str) -> re.Pattern[str]:
    quoted = re.escape(template).replace(r"\#", r"(\d+)").replace(r"\*", "(.+)")
    return re.compile(quoted)


def _filler(template: str) -> str:
    count = iter(range(1, 100))
    return re.sub(r"[#*]", lambda _: rf"\g<{next(count)}>", template)


def _first(rows: list[tuple[re.Pattern[str], str]], name: str) -> str | None:
    for pattern, filler in rows:
        if found := pattern.fullmatch(name):
            return found.expand(filler)
    return None
