"""How a backward as people write it, and what ``tn.check`` has to say of it, are put on the list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CASES: list[Case] = []


@dataclass(frozen=True)
class Case:
    """A candidate and its verdict.

    words:   what has to occur in the verdict's text, all of it; none: the candidate is right
    missing: what the library does not do yet, in a word; empty: it does
    options: of ``tn.check``: the norm's own, shape, forward
    """

    norm: str
    candidate: Any
    words: tuple[str, ...]
    missing: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.norm}-{getattr(self.candidate, '__name__', type(self.candidate).__name__)}"


def right(norm: str, missing: str = "", **options: Any) -> Callable[[Any], Any]:
    return _listed(norm, (), missing, options)


def wrong(norm: str, *words: str, missing: str = "", **options: Any) -> Callable[[Any], Any]:
    return _listed(norm, words, missing, options)


def _listed(norm: str, words: tuple[str, ...], missing: str, options: Mapping[str, Any]) -> Callable[[Any], Any]:
    def put(candidate: Any) -> Any:
        CASES.append(Case(norm, candidate, words, missing, options))
        return candidate

    return put
