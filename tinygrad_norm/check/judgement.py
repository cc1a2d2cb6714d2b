"""What is asked about one gradient, and the one shape of every answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..engine.arrays import Array
from .case import Case
from .fitting import Fit, fit_routes


@dataclass(frozen=True)
class Explanation:
    """What a wrong gradient is.

    lines:     what to tell, a sentence a line
    mistakes:  the names of the known mistakes it is (two: both at once)
    aliases:   other known mistakes with the same numbers
    status:    of the judgement: "wrong", "imprecise", "by design"
    sure:      whether it says what was done, not only where, or how much, it shows
    instead:   the options with which it would be right
    """

    lines: tuple[str, ...]
    mistakes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    status: str = "wrong"
    sure: bool = True
    instead: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Judgement:
    """What was found out about one gradient.

    name:         the input's name; ``symbol`` as tables write its gradient: ``dx``
    status:       "right", "imprecise" (the right formula, but rounding does not explain the error), "wrong", "missing",
                  "by design"
    max_abs, relative, allowed:  the largest difference, that over the largest entry, and what rounding explains
    mistakes:     the names of the known mistakes it is (two: both at once)
    aliases:      other known mistakes with the same numbers
    lines:        what to tell, a sentence a line
    sure:         of a wrong one, whether it is known what was done, not only where, or how much, it shows
    instead:      the norm's options with which it would be right
    """

    name: str
    symbol: str
    status: str
    max_abs: float = 0.0
    relative: float = 0.0
    allowed: float = 0.0
    mistakes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    sure: bool = True
    instead: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status in ("right", "by design")


@dataclass(eq=False)
class Given:
    """One gradient as a candidate gave it, in double precision, and what it gave besides.

    name:    the input's name; ``symbol`` as tables write its gradient: ``dx``
    array:   the numbers, of whatever shape they came in
    dtype:   of the arithmetic, as far as is known
    others:  all the gradients it gave, by input
    by_design, published:  why, and what, the paper gives where that is not the gradient
    again:   the same from a second call
    changed: what the candidate wrote into, and what that then was
    gave_up: what was not tried to the end, a line each
    elsewhere: the same gradient where no two sizes are alike, where the candidate answers there
    """

    name: str
    symbol: str
    array: Array
    dtype: Any
    others: Mapping[str, Array | None] = field(default_factory=dict)
    by_design: str = ""
    published: Array | None = None
    again: Array | None = None
    changed: Mapping[str, Array] = field(default_factory=dict)
    gave_up: list[str] = field(default_factory=list)
    elsewhere: Callable[[], tuple[Case, Array] | None] | None = None
    _fit: Fit | None = None
    _gate: float | None = None

    def gate(self, case: Case) -> float:
        """How far rounding may take what is as large as this."""
        if self._gate is None:
            self._gate = case.gate(self.name, self.dtype, self.array)
        return self._gate

    def is_it(self, case: Case, other: Array) -> bool:
        """Whether these are the other's numbers, to rounding."""
        return bool(
            other.shape == self.array.shape
            and np.max(np.abs(self.array - other), initial=0) <= case.gate(self.name, self.dtype, other)
        )

    def has_shape(self, case: Case) -> bool:
        return self.array.shape == case.truth[self.name].shape

    def fit(self, case: Case) -> Fit:
        """As a combination of the routes."""
        if self._fit is None:
            self._fit = fit_routes(case, self.name, self.symbol, self.array, self.dtype)
            if self._fit.exact and self._fit.reads_sizes and (other := self.told_apart()) is not None:
                self._fit = replace(self._fit, other=other[1].fit(other[0]))
        return self._fit

    def told_apart(self) -> tuple[Case, Given] | None:
        """The same gradient where no two sizes are alike, and there."""
        found = self.elsewhere() if self.elsewhere is not None else None
        return None if found is None else (found[0], Given(self.name, self.symbol, found[1], self.dtype))


Explain = Callable[[Case, Given], Explanation | None]
