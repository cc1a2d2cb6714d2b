"""A sentence under which a formula holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Assumption(str):
    """A sentence, and of which kind it is: "branches" (those of the record), "asked" (in Python, of which the record keeps nothing)
    or "drawn" (of how the record was made)."""

    kind: str

    def __new__(cls, sentence: str, kind: str = "drawn") -> Assumption:
        self = super().__new__(cls, sentence)
        self.kind = kind
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.kind


def of_kind(sentences: Iterable[str], *kinds: str) -> list[str]:
    return [s for s in sentences if getattr(s, "kind", "") in kinds]


def not_of_kind(sentences: Iterable[str], *kinds: str) -> list[str]:
    return [s for s in sentences if getattr(s, "kind", "") not in kinds]


def branches(elsewhere: Iterable[str]) -> list[str]:
    """That the branches are those of the record, where there are others in these places; nothing where there are none."""
    places = "; ".join(elsewhere)
    return [Assumption(f"the branches are those of the record ({places} there are others)", "branches")] if places else []


def asked(what: str, line: str) -> Assumption:
    """That a question of a line is answered as on the record."""
    return Assumption(f"what it asks is answered as on the record: {what}{line}", "asked")
