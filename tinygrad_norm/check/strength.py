"""How strong is a test? It is handed every known wrong backward of a norm, and what it accepts is counted."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from ..engine import OptionError, describe, tensor
from ..engine.arrays import Array
from ..engine.shapes import number as real
from ..engine.shapes import wholes
from ..engine.tensor import as_dtype
from ..graph.notebook import bundle
from ..graph.table import ascii_text, number, to_json
from ..norms import InputError, Norm, check_settings, get
from .catalogue import Handed, Known, Problem, Test, catalogue, close
from .compare import as_numbers

COTANGENTS = ("randn", "ones", "mean_loss", "mean")
_SHOWN = 12  # accepted mistakes that are printed; .accepted has all


@dataclass(frozen=True)
class Change:
    """Something about a test that could be otherwise, and how many known mistakes it would then accept."""

    text: str
    accepted: int


@dataclass(frozen=True)
class Strength:
    """What ``tn.strength`` found. Print it; ask ``.ok``.

    test, title:  what was measured, against which norm
    setup:        the numbers it asks with, and its tolerance where that is known
    right:        "accepted", or how the right backward was refused: such a test measures nothing
    accepted, rejected:  the known mistakes
    changes:      the best single change and, if it takes more, the fewest changes that leave the fewest
    searched:     how many combinations of changes were tried
    """

    test: str
    title: str
    setup: str
    right: str
    accepted: tuple[Known, ...]
    rejected: tuple[Known, ...]
    changes: tuple[Change, ...] = ()
    searched: int = 0

    @property
    def known(self) -> int:
        return len(self.accepted) + len(self.rejected)

    @property
    def ok(self) -> bool:
        """Whether the right backward is accepted and every known mistake rejected."""
        return self.right == "accepted" and not self.accepted

    @property
    def verdict(self) -> str:
        if self.right != "accepted":
            return f"not measured: the right backward was not accepted ({self.right})"
        if not self.accepted:
            return f"strong: all {self.known} known mistakes are rejected"
        return f"{'none' if not self.rejected else 'weak'}: {len(self.accepted)} of {self.known} known mistakes are accepted"

    def text(self, ascii: bool = False) -> str:
        lines = [f"{self.test} as a test of {self.title}    {self.setup}".rstrip()]
        if self.right == "accepted":
            lines.append("right  accepted")
            lines += [f"accepts  {m.name}  ({', '.join(m.gradients)})" for m in self.accepted[:_SHOWN]]
            if len(self.accepted) > _SHOWN:
                lines.append(f"         and {len(self.accepted) - _SHOWN} more: .accepted")
            for change in self.changes:
                caught = len(self.accepted) - change.accepted
                rest = f"; {change.accepted} would still pass" if change.accepted else ""
                lines.append(f"change: {change.text} catches {caught} of {len(self.accepted)}{rest}")
            if self.accepted and not self.changes:
                lines.append(f"change: none of {self.searched} combinations tried catches more")
        lines.append(f"verdict: {self.verdict}")
        text = "\n".join(lines)
        return ascii_text(text) if ascii else text

    def __str__(self) -> str:
        return self.text()

    def to_json(self, ascii: bool = False) -> str:
        """All of it."""
        kinds = {"accepted": self.accepted, "rejected": self.rejected}
        return to_json(
            {
                **{n: getattr(self, n) for n in ("test", "title", "setup", "right", "ok", "verdict", "known", "searched")},
                **{
                    k: [{"name": m.name, "sentence": m.sentence, "gradients": list(m.gradients)} for m in of]
                    for k, of in kinds.items()
                },
                "changes": [{"change": c.text, "accepted": c.accepted} for c in self.changes],
            },
            ascii,
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle("a strength", self.text, "text", self.text)


def strength(
    test: Any,
    norm: str | Norm | None = None,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    shape: tuple[int, ...] | None = None,
    cotangent: Any = None,
    parameters: str | None = None,
    dtype: Any = None,
    seed: int = 0,
    **options: Any,
) -> Strength:
    """How many known mistakes of a norm a test accepts, which, and the smallest change that would catch them.

    test:        a function of one argument, a backward, that raises (or returns False) if it dislikes it. The backward is called as
                 ``backward(dy, x, weight, bias, eps=1e-5) -> (dx, dweight, dbias)``: the cotangent, then the norm's inputs in their
                 order or by name, arrays in, arrays out; see ``check/catalogue.py``. Left out, with the norm first
                 (``tn.strength("layer_norm", rtol=1e-5)``), a test is made of what follows
    norm:        a registered name, or a ``Norm``
    rtol, atol:  |yours − right| ≤ atol + rtol·|right| for each entry (default: 1e-5, 1e-8)
    shape:       of the input (default: the norm's own)
    cotangent:   "randn" (default), "ones" (the loss is a sum), "mean" (the loss is a mean), "mean_loss" (randn divided by the number of
                 entries, as a mean over a random loss gives), or an array
    parameters:  "usual" (default; ones for γ, zeros for β) or "randn"
    dtype:       float16, float32 or float64 (default): gradients are rounded to it
    options:     the norm's own, such as ``eps``

    The right backward comes first: a test that refuses it, or never calls it, measures nothing, and that is said. Counted are the mistakes
    that some numbers tell from the right formula; one that cannot be made on the test's own shape is accepted there. For a test that
    is a function the changes are judged by what it was seen to accept: the largest difference, absolute and relative.

    Raises ``InputError`` for what is no test, ``UnknownNormError`` and ``OptionError`` for what is no norm or option.
    """
    made = norm is None
    norm = get(test if norm is None else norm, "strength")
    settings = check_settings(norm, options, "strength")
    seed = real("strength", "seed", seed, 0, whole=True)
    how = {"rtol": rtol, "atol": atol, "shape": shape, "cotangent": cotangent, "parameters": parameters, "dtype": dtype}
    known = catalogue(norm, settings)
    if made:
        setup = _setup(norm, settings, seed, **how)
        return _report("a tolerance", norm, str(setup), "accepted", known, setup.accepts(known), _ladder(setup))
    if clash := [n for n, v in how.items() if v is not None]:
        raise InputError(f"strength: {', '.join(clash)} of a test that is a function is in the function; give either.")
    if not callable(test):
        raise InputError(f"strength: test={describe(test)}; it is a function of one argument, the backward to be tested.")
    title = getattr(test, "__qualname__", type(test).__name__).rpartition("<locals>.")[2]
    right = Handed(norm, settings, None)
    refused = _refused(test, right)
    if not right.problems:
        refused = f"it never called the backward{'' if refused is None else f': {refused}'}"
    if refused is not None:
        return Strength(title, norm.title, "", refused, (), tuple(known.values()))
    accepted = {n for n in known if _refused(test, Handed(norm, settings, n)) is None}
    seen, words = _seen(norm, settings, seed, right.problems[-1], known, accepted)
    return _report(title, norm, words, "accepted", known, accepted, _ladder(seen))


def _refused(test: Test, backward: Handed) -> str | None:
    """How a test disliked a backward; None: it did not."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = test(backward)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # pytest.fail raises no Exception
        first = str(error).strip().splitlines()[:1]
        return f"{type(error).__name__}{': ' + first[0] if first else ''}"
    return "it returned False" if isinstance(answer, (bool, np.bool_)) and not answer else None


def _report(
    title: str, norm: Norm, setup: str, right: str, known: Mapping[str, Known], accepted: set[str], ladder: Sequence[_Step]
) -> Strength:
    best, searched = _search(ladder, known, accepted) if accepted else ([], 0)
    in_order = [tuple(m for n, m in known.items() if (n in accepted) is wanted) for wanted in (True, False)]
    return Strength(title, norm.title, setup, right, in_order[0], in_order[1], tuple(best), searched)


# What a test asks with ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Setup:
    """A test made of numbers: what it asks with, and its tolerance."""

    norm: Norm
    settings: Mapping[str, Any]
    seed: int
    shape: tuple[int, ...]
    cotangent: Any
    parameters: str
    dtype: Any
    rtol: float
    atol: float
    given: Mapping[str, Array] | None = None  # inputs of that shape, where there are some
    blind: frozenset[str] = frozenset()  # the inputs whose gradients it does not look at

    def problem(self) -> Problem:
        rng = np.random.default_rng(self.seed)
        norm = self.norm
        given = self.given if self.given is not None and self.given["input"].shape == self.shape else {}
        x = np.asarray(norm.draw["input"](rng, self.shape) if "input" in norm.draw else rng.normal(size=self.shape))
        values = {"input": given.get("input", x)}
        for n, s in norm.parameters(x.shape, **self.settings).items():
            if n in given and not (n in ("weight", "bias") and self.parameters == "randn"):
                values[n] = given[n]
                continue
            usual = np.ones(s) if n == "weight" else np.zeros(s) if n == "bias" else None
            random = np.asarray(norm.draw[n](rng, s)) if n in norm.draw else rng.normal(size=s)
            values[n] = random if usual is None or self.parameters == "randn" else usual
        values = {n: v.astype(self.dtype).astype(np.float64) if v.dtype.kind == "f" else v for n, v in values.items()}
        y = norm.apply({n: tensor(v, name=n) for n, v in values.items()}, backward="recorded", **self.settings)
        dy = self.cotangent
        if isinstance(dy, str):
            dy = np.ones(y.shape) if dy in ("ones", "mean") else rng.normal(size=y.shape)
            dy = dy / y.size if self.cotangent in ("mean", "mean_loss") else dy
        return Problem(norm, self.settings, values, np.asarray(dy).astype(self.dtype).astype(np.float64))

    def accepts(self, known: Mapping[str, Known]) -> set[str]:
        problem = self.problem()

        def rounded(gradient: Array) -> Array:
            return gradient.astype(self.dtype).astype(np.float64)

        def passes(name: str) -> bool:
            wrong = problem.gradients(name)
            with np.errstate(all="ignore"):
                looked_at = [n for n in problem.truth if n not in self.blind]
                return all(close(rounded(wrong[n]), rounded(problem.truth[n]), self.rtol, self.atol) for n in looked_at)

        return {name for name in known if passes(name)}

    def __str__(self) -> str:
        dy = self.cotangent if isinstance(self.cotangent, str) else "given"
        shape = ", ".join(map(str, self.shape))
        return f"x ({shape}) {np.dtype(self.dtype)}  cotangent {dy}  parameters {self.parameters}  rtol {self.rtol:g}  atol {self.atol:g}"


def _setup(norm: Norm, settings: Mapping[str, Any], seed: int, **how: Any) -> _Setup:
    name = "strength"
    tolerances = {n: u if how[n] is None else real(name, n, how[n], 0) for n, u in (("rtol", 1e-5), ("atol", 1e-8))}
    shape = norm.shape if how["shape"] is None else wholes(name, "shape", how["shape"], 1)
    if len(shape) < norm.min_ndim:
        raise InputError(f"strength: shape={shape}; {norm.title} takes an input of {norm.min_ndim} axes or more.")
    dtype = as_dtype(name, np.float64 if how["dtype"] is None else how["dtype"])
    if dtype not in (np.float16, np.float32, np.float64):
        raise InputError(f"strength: dtype={dtype}; it is float16, float32 or float64.")
    cotangent = "randn" if how["cotangent"] is None else how["cotangent"]
    if isinstance(cotangent, str) and cotangent not in COTANGENTS:
        raise OptionError(f"strength: cotangent={cotangent!r}; it is one of {', '.join(COTANGENTS)}, or an array.")
    cotangent = cotangent if isinstance(cotangent, str) else as_numbers("cotangent", cotangent, name)
    parameters = how["parameters"] or "usual"
    if parameters not in ("usual", "randn"):
        raise OptionError(f"strength: parameters={describe(parameters)}; it is usual or randn.")
    return _Setup(norm, settings, seed, tuple(shape), cotangent, parameters, dtype, tolerances["rtol"], tolerances["atol"])


def _seen(
    norm: Norm, settings: Mapping[str, Any], seed: int, problem: Problem, known: Mapping[str, Known], accepted: set[str]
) -> tuple[_Setup, str]:
    """A test that is a function, as a setup, and in words: the numbers it last asked with, the gradients it does not look at (all that
    is wrong in them alone is accepted), and the largest differences that it accepts in the others."""
    x, dy = problem.values["input"], problem.dy
    blind = set()
    for n in problem.truth:
        alone = [m for m, k in known.items() if k.gradients == (f"d{norm.symbol(n)}",) and problem.apart(m)]
        if len(alone) > 1 and accepted.issuperset(alone):
            blind.add(n)
    off, relative = 0.0, 0.0
    for name in accepted & set(problem.mistakes):
        for n, right in problem.truth.items():
            wrong = problem.gradients(name)[n]
            if n not in blind and wrong.shape == right.shape and np.all(np.isfinite(wrong)):
                far, size = float(np.max(np.abs(wrong - right), initial=0)), float(np.max(np.abs(right), initial=0))
                off, relative = (
                    max(off, far),
                    max(relative, far / size if far < size / 2 else 0.0),
                )  # a gradient that cancels has no size
    usual = "weight" in problem.values and not np.any(problem.values["weight"] != 1)
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    setup = _Setup(
        norm, settings, seed, x.shape, dy, "usual" if usual else "given", dtype, relative, off, problem.values, frozenset(blind)
    )
    constant = dy.size > 1 and not np.ptp(dy)
    words = [f"x ({', '.join(map(str, x.shape))}) {dtype}", f"cotangent {'all equal' if constant else 'not all equal'}"]
    words += [f"accepts differences of {number(off)}"] if off else []
    return setup, "  ".join(words)


# The smallest change --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    """One rung: what kind of change, in words, and the setup after it."""

    kind: str
    text: str
    change: Callable[[_Setup], _Setup]
    base: _Setup


def _ladder(setup: _Setup) -> list[_Step]:
    """The changes that are tried, the cheapest first."""
    steps: list[_Step] = []

    def step(kind: str, text: str, **new: Any) -> None:
        steps.append(_Step(kind, text, lambda s: replace(s, **new), setup))

    if setup.blind:
        symbols = " and ".join(f"d{setup.norm.symbol(n)}" for n in setup.norm.symbols if n in setup.blind)
        step("gradients", f"looking at {symbols}, too", blind=frozenset())
    if not isinstance(setup.cotangent, str):
        step("cotangent", "a random cotangent in place of yours", cotangent="randn")
    elif setup.cotangent != "randn":
        what = {"mean_loss": "a random cotangent not divided by the number of entries"}
        step("cotangent", what.get(setup.cotangent, f"a random cotangent in place of {setup.cotangent}"), cotangent="randn")
    if setup.parameters == "usual" and "weight" in setup.norm.parameters(setup.norm.shape, **setup.settings):
        step("parameters", "a random γ in place of ones", parameters="randn")
    unit = float(np.finfo(setup.dtype).eps) / 2
    for tolerance in (1e-2, 1e-3, 1e-4, 1e-5, 1e-7, 1e-9):
        if tolerance < max(setup.rtol, setup.atol) and tolerance > 100 * unit:
            step("tolerance", f"rtol = atol = {tolerance:g}", rtol=tolerance, atol=tolerance)
    if setup.dtype != np.float64:
        step("tolerance", "float64 with rtol = atol = 1e-09", dtype=np.dtype(np.float64), rtol=1e-9, atol=1e-9)
    if setup.shape != setup.norm.shape and isinstance(setup.cotangent, str):
        step("shape", f"an input of shape {setup.norm.shape}", shape=setup.norm.shape)
    return steps


def _search(ladder: Sequence[_Step], known: Mapping[str, Known], accepted: set[str]) -> tuple[list[Change], int]:
    """The best single change, and the fewest that leave the fewest; of each kind one at a time."""
    best: list[Change] = []
    least, searched = len(accepted), 0
    for count in (1, 2, 3):
        found: Change | None = None
        for several in combinations(ladder, count):
            if len({s.kind for s in several}) < count:
                continue
            setup = several[0].base
            for s in several:
                setup = s.change(setup)
            searched += 1
            left = len(setup.accepts(known) & accepted)
            if left < (least if found is None else found.accepted):
                found = Change(" and ".join(s.text for s in several), left)
        if found is not None:
            best, least = [*best, found], found.accepted
        if not least:
            break
    return best, searched
