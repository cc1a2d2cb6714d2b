"""One normalization, four gradients: from the record, from the formula, and from two oracles that know neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from ..engine import DTypeError, ShapeError, Tensor, describe, grad, tensor
from ..engine.arrays import Array
from ..engine.shapes import number as real
from ..engine.shapes import wholes
from ..engine.tensor import as_dtype
from ..graph import Graph, replay
from ..graph.notebook import bundle
from ..graph.routes import Routes
from ..graph.table import number, table, to_json
from ..norms import InputError, Norm, check_settings, draw, get, is_a_choice, names
from .oracles import SHORTER, STEP, Estimate, central_difference, choose, complex_step
from .rounding import roundings

RECORD, ANALYTIC, COMPLEX, CENTRAL = "record", "analytic", "complex step", "central diff"
_SLACK, _LITTLE, _DOUBLE = 2.0, 1e-3, float(np.finfo(np.float64).eps) / 2
_WORK = 6_000_000  # entries an oracle may compute for one input; a larger input is sampled


@dataclass(frozen=True)
class Pair:
    """Two answers for one gradient.

    exact:     bit for bit the same
    max_abs:   the largest difference
    worst:     the difference that exceeds what is allowed at its entry the most
    relative:  that, over the largest entry
    ulps:      that, in units in the last place of the largest entry, in the input's dtype
    allowed:   what rounding (and the oracle's own error) can explain at that entry
    by_design: the published backward is not the gradient of the forward, and says so
    """

    gradient: str
    left: str
    right: str
    exact: bool
    max_abs: float
    relative: float
    ulps: float
    worst: float
    allowed: float
    by_design: bool = False

    @property
    def close(self) -> bool:
        return self.exact or bool(self.worst <= self.allowed < np.inf)


@dataclass(frozen=True)
class Comparison:
    """What ``tn.compare`` found. Print it; ask ``.ok``; look into ``.pairs``, ``.graph`` and ``.routes``."""

    norm: Norm
    options: Mapping[str, Any]
    inputs: Mapping[str, Tensor]
    cotangent: Array
    graph: Graph
    gradients: Mapping[str, Mapping[str, Array]]
    entries: Mapping[str, Array]
    pairs: tuple[Pair, ...]

    @property
    def ok(self) -> bool:
        """Whether every pair agrees to rounding, but for those that differ by design."""
        return all(p.close or p.by_design for p in self.pairs)

    def __reduce__(self) -> Any:
        """Pickled without the record, which is made again."""
        found = self.gradients, self.entries, self.pairs
        return _recorded_again, (self.norm, dict(self.options), dict(self.inputs), self.cotangent, *found)

    @property
    def shown_options(self) -> str:
        """ε, and what is not as usual."""
        usual = self.norm.options
        shown = {n: v for n, v in self.options.items() if v is not None and (n == "eps" or v != usual[n])}
        return "  ".join(f"{'ε' if n == 'eps' else n} = {v:g}" if type(v) is float else f"{n} = {v}" for n, v in shown.items())

    @cached_property
    def routes(self) -> Routes:
        """The routes from the input to the output, with the same cotangent."""
        routes: Routes = self.graph.routes(self.inputs["input"], self.cotangent)
        return routes

    @property
    def verdict(self) -> str:
        shown = ", ".join(f"d{self.norm.symbol(name)}" for name in self.entries if name not in self.norm.by_design)
        if self.ok:
            judged = [p for p in self.pairs if not p.by_design]
            worst = max((p for p in judged if p.right == ANALYTIC), key=lambda p: p.relative, default=None)
            text = f"agree: {shown} of {self.norm.title}, all {len(judged)} pairs"
            text += f"; record and formula to {number(worst.ulps)} ULP" if worst is not None else ""
            for name, reason in self.norm.by_design.items():
                text += f"\nd{self.norm.symbol(name)} as published differs from the gradient by design: {reason}"
            return text
        if not all(np.isfinite(p.max_abs) for p in self.pairs):
            return "DISAGREE: a gradient is not finite. Numbers too large for their squares, or ε = 0 on a constant row, leave none to compare"
        bad = max(
            (p for p in self.pairs if not (p.close or p.by_design)), key=lambda p: p.worst / p.allowed if p.allowed else np.inf
        )
        return (
            f"DISAGREE: {sum(not (p.close or p.by_design) for p in self.pairs)} of {len(self.pairs)} pairs; worst {bad.gradient}, {bad.left} against {bad.right}: "
            f"off by {number(bad.worst)}, rounding explains {number(bad.allowed)}"
        )

    def table(self, ascii: bool = False) -> str:
        """Every pair, a line each; with ``ascii`` everything is spelled out."""
        rows = []
        for p in self.pairs:
            verdict = "exact" if p.exact else "close" if p.close else "by design" if p.by_design else "WRONG"
            rows.append((p.gradient, f"{p.left} – {p.right}", verdict, number(p.max_abs), number(p.relative), number(p.ulps)))
        text = table(("", "pair", "", "max |Δ|", "relative", "ULPs"), rows, ascii=ascii)
        sampled = [f"{len(e)} of {self.inputs[n].size} entries of d{self.norm.symbol(n)}" for n, e in self.entries.items()]
        if any(len(e) < self.inputs[n].size for n, e in self.entries.items()):
            text += (
                f"\nThe oracles were asked at {', '.join(sampled)}, drawn at random; record – analytic is compared everywhere."
            )
        for way, by_name in self.gradients.items():
            unknown = {n: int(np.sum(~np.isfinite(g))) for n, g in by_name.items() if way in (COMPLEX, CENTRAL)}
            text += "".join(
                f"\n{way} found no answer for {u} entries of d{self.norm.symbol(n)}." for n, u in unknown.items() if u
            )
        return text

    def __str__(self) -> str:
        return f"{self.table()}\n{self.verdict}"

    def to_json(self, ascii: bool = False) -> str:
        """Everything but the arrays; what is not finite is null."""
        import json

        return to_json(
            {
                "norm": self.norm.name,
                "options": dict(self.options),
                "inputs": {n: {"shape": t.shape, "dtype": str(t.dtype)} for n, t in self.inputs.items()},
                "ok": self.ok,
                "verdict": self.verdict,
                "pairs": [{**asdict(p), "close": p.close} for p in self.pairs],
                "routes": json.loads(self.routes.to_json())["routes"],
                "energy": asdict(self.routes.energy) if self.norm.projects else None,
                "graph": json.loads(self.graph.to_json()),
            },
            ascii,
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle("a comparison", self.__str__, "text", self.__str__)


def compare(
    norm: str | Norm,
    input: Any = None,
    *,
    shape: tuple[int, ...] | None = None,
    parameters: Mapping[str, Any] | None = None,
    grad_output: Any = None,
    dtype: Any = None,
    seed: int = 0,
    **options: Any,
) -> Comparison:
    """Differentiate a normalization four ways and compare every pair.

    norm:         a registered name ("layer_norm") or a ``Norm``
    input:        the input's values; random of ``shape`` (or of the norm's own) when not given
    parameters:   γ, β, … by name ("weight", "bias"); random, never ones and zeros, when not given
    grad_output:  the cotangent; random when not given (ones would test almost nothing: the gradient of
                  a normalization's sum is zero)
    dtype:        float32 or float64; the input's own, or float64, when not given
    options:      the norm's own, such as ``eps``

    The record and the analytic node compute in that dtype, the oracles (complex step; central differences with
    a sweep of steps) in double precision from values alone. A pair is close when each entry differs by no more than twice what the
    rounding of every operation can do to it (a running error analysis of the recorded gradient) plus what the oracle itself may be off by.
    Raises ``ShapeError`` or ``DTypeError`` for inputs that do not fit.
    """
    norm = get(norm, "compare")
    settings = check_settings(norm, options)
    rng = np.random.default_rng(real("compare", "seed", seed, 0, whole=True))
    shape = norm.shape if shape is None else wholes("compare", "shape", shape, 0)
    data = draw(norm, "input", rng, shape) if input is None else as_numbers("input", input)
    usual = data.dtype.newbyteorder("=") if data.dtype.kind == "f" else np.float64
    wanted = as_dtype("compare", usual if dtype is None else dtype)
    if not isinstance(parameters, (Mapping, type(None))):
        raise InputError(f"compare: parameters={describe(parameters)}; it is a dict of arrays by name, such as weight.")
    if wanted not in (np.float32, np.float64):
        raise DTypeError(
            f"compare: dtype {wanted}; it is float32 or float64. Say in which to compute: dtype='float32', on the command line --dtype float32."
        )
    if data.ndim < norm.min_ndim or not data.size:
        raise ShapeError(
            f"compare: {norm.title} needs a non-empty input with at least {norm.min_ndim} axes, not one of shape {data.shape}."
        )
    values = {"input": data}
    for n, s in norm.parameters(data.shape, **settings).items():
        values[n] = draw(norm, n, rng, s) if parameters is None or n not in parameters else as_numbers(n, parameters[n])
        if values[n].shape != s:
            raise ShapeError(f"compare: {n} has shape {values[n].shape}; for an input of shape {data.shape} it must be {s}.")
    if unknown := set(parameters or ()) - set(values):
        raise ShapeError(
            f"compare: {norm.title} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(list(values)[1:])}."
        )
    _check_finite(values, norm)
    inputs = {
        n: tensor(v, name=norm.symbol(n))
        if is_a_choice(norm, n, v)
        else tensor(v.astype(wanted), requires_grad=True, name=norm.symbol(n))
        for n, v in values.items()
    }
    y = norm.apply(inputs, backward="recorded", **settings)
    ways = {RECORD: y} | ({ANALYTIC: norm.apply(inputs, backward="analytic", **settings)} if norm.analytic else {})
    dy = np.asarray(rng.normal(size=y.shape) if grad_output is None else as_numbers("grad_output", grad_output), dtype=wanted)
    if dy.shape != y.shape:
        raise ShapeError(f"compare: cotangent of shape {dy.shape} for output {describe(y)}; the shapes must be equal.")

    graph = Graph(y)
    variables = {n: t for n, t in inputs.items() if t.requires_grad}
    leaves = list(variables.values())
    found: dict[str, dict[str, Array]] = {
        way: dict(zip(variables, (g.numpy() for g in grad(out, leaves, dy)))) for way, out in ways.items()
    }
    bounds = {way: dict(zip(variables, _bounds(out, leaves, dy))) for way, out in ways.items()}
    estimates = _ask_oracles(graph, variables, dy, rng, found[RECORD], bounds[RECORD])
    entries = {n: estimates[CENTRAL][n].entries for n in variables}
    pairs = []
    for n in variables:
        answers = {way: found[way][n].reshape(-1) for way in found} | {way: e[n] for way, e in estimates.items()}
        for left, right in combinations(answers, 2):
            pair = _pair(f"d{norm.symbol(n)}", left, right, answers, entries[n], {w: b[n] for w, b in bounds.items()}, wanted)
            published = n in norm.by_design and ANALYTIC in (left, right)
            pairs.append(replace(pair, by_design=published))
    gradients = found | {way: {n: e.values for n, e in by_name.items()} for way, by_name in estimates.items()}
    return Comparison(norm, settings, inputs, dy, graph, gradients, entries, tuple(pairs))


def _recorded_again(norm: Norm, settings: Any, inputs: Any, dy: Array, *found: Any) -> Comparison:
    return Comparison(norm, settings, inputs, dy, Graph(norm.apply(inputs, backward="recorded", **settings)), *found)


def compare_all(dtype: Any = None, seed: int = 0) -> list[Comparison]:
    """Every registered normalization on its own small input and on each of its samples."""
    cases: list[tuple[str, Mapping[str, Any]]] = [(name, case) for name in names() for case in ({}, *get(name).samples)]
    return [compare(name, dtype=dtype, seed=seed, **case) for name, case in cases]


def overview(results: Sequence[Comparison], ascii: bool = False) -> str:
    """A line for each comparison: what was compared; record and formula in ULPs, everything and the oracles relative."""
    rows: list[tuple[str, ...]] = []
    last = ""
    for r in results:
        judged = [p for p in r.pairs if not p.by_design]
        formula = max((p.ulps for p in judged if (p.left, p.right) == (RECORD, ANALYTIC)), default=None)
        oracle = max((p.relative for p in judged if p.right in (COMPLEX, CENTRAL)), default=0.0)
        verdict = "agree" if r.ok and not r.norm.by_design else "by design" if r.ok else "DISAGREE"
        shape = "×".join(map(str, r.inputs["input"].shape))
        unusual = {n: v for n, v in r.options.items() if v != r.norm.options[n]}
        options = " ".join(f"{'ε' if n == 'eps' else n}={v}" for n, v in unusual.items())
        name = "" if rows and r.norm.name == last else r.norm.name
        last = r.norm.name
        rows.append((name, shape, verdict, "" if formula is None else number(formula), number(oracle), options))
    return table(("norm", "input", "", "ULPs", "oracles", ""), rows, ascii=ascii)


def _check_finite(values: Mapping[str, Array], norm: Norm) -> None:
    for n, v in values.items():
        if v.dtype.kind not in "fiub":
            raise DTypeError(f"compare: {norm.symbol(n)} has dtype {v.dtype}, which is not real numbers.")
        bad = np.argwhere(~np.isfinite(v))
        if len(bad):
            where = tuple(int(i) for i in bad[0])
            raise InputError(
                f"compare: {norm.symbol(n)} has {len(bad)} entries that are not finite, the first {v[where]} at {where}. "
                "Gradients can only be compared at finite numbers."
            )


def _bounds(y: Tensor, leaves: Sequence[Tensor], dy: Array) -> list[Array]:
    """How far each entry of each gradient may be off, per unit roundoff."""
    cotangent = tensor(dy, requires_grad=True)
    with np.errstate(all="ignore"):
        found = grad(y, leaves, cotangent, create_graph=True)
    least = float(np.finfo(dy.dtype).smallest_normal / (np.finfo(dy.dtype).eps / 2))
    return [roundings(g, least=least) for g in found]


def _ask_oracles(
    graph: Graph,
    inputs: Mapping[str, Tensor],
    dy: Array,
    rng: np.random.Generator,
    found: Mapping[str, Array],
    bounds: Mapping[str, Array],
) -> dict[str, dict[str, Estimate]]:
    """Complex step (where every op is smooth) and central differences for each input, from values alone."""
    leaves = list(inputs.values())
    weights = dy.astype(np.float64)

    def terms(arrays: Any) -> Array:
        with np.errstate(all="ignore"):  # a long step may leave the domain; then a shorter one answers
            out: Array = weights * replay(graph, dict(zip(leaves, arrays)))
        return out

    point = [t.numpy() for t in leaves]
    most = max(32, _WORK // max(1, graph.output.size))
    entries = [choose(t.size, most, rng) for t in leaves]
    noise = np.abs(weights) * (roundings(graph.output, dict.fromkeys(leaves, 2.0)) + np.abs(graph.output.numpy())) * _DOUBLE
    smooth = all(t.op is None or t.op.smooth for t in graph.tensors)
    answers: dict[str, dict[str, Estimate]] = {way: {} for way in ((COMPLEX, CENTRAL) if smooth else (CENTRAL,))}
    for k, (n, x) in enumerate(inputs.items()):
        mine, bound = found[n].reshape(-1)[entries[k]].astype(np.float64), bounds[n].reshape(-1)[entries[k]]

        def contradicted(e: Estimate, mine: Array = mine, bound: Array = bound, unit: float = _unit(x.dtype)) -> Array:
            return np.flatnonzero(~(np.abs(e.values - mine) <= _SLACK * bound * (unit + _DOUBLE) + 10 * e.error))

        if smooth:
            first = complex_step(terms, point, k, entries[k])
            bad = contradicted(first)  # asked again: what changes with the step is the oracle's own error
            if len(bad):
                first.error[bad] += np.abs(complex_step(terms, point, k, entries[k][bad], 2 * STEP).values - first.values[bad])
            answers[COMPLEX][n] = first
        first = central_difference(terms, point, k, entries[k], noise)
        bad = np.union1d(contradicted(first), np.flatnonzero(~(first.error <= _LITTLE * np.abs(first.values))))  # or knows little
        if len(bad):
            other = central_difference(terms, point, k, entries[k][bad], noise, SHORTER)
            better = other.error < first.error[bad]
            first.values[bad] = np.where(better, other.values, first.values[bad])
            first.error[bad] = np.where(better, other.error, first.error[bad])
        answers[CENTRAL][n] = first
    return answers


def as_numbers(what: str, value: Any, caller: str = "compare") -> Array:
    """What was given, as an array of numbers."""
    found = value if isinstance(value, np.ndarray) else tensor(value).numpy()
    if found.dtype.kind not in "fiubc":
        raise DTypeError(f"{caller}: {what} {describe(found)} is not of numbers. Give those.")
    return found


def _unit(dtype: Any) -> float:
    return float(np.finfo(dtype).eps) / 2


def _pair(
    name: str,
    left: str,
    right: str,
    answers: Mapping[str, Array | Estimate],
    entries: Array,
    bounds: Mapping[str, Array],
    dtype: Any,
) -> Pair:
    a, b = answers[left], answers[right]
    at = slice(None) if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) else entries
    u, v = (e.values if isinstance(e, Estimate) else e[at] for e in (a, b))
    allowed: Any = 0.0
    for way, e in ((left, a), (right, b)):
        bound = _SLACK * bounds.get(way, bounds[RECORD]).reshape(-1)[at]
        allowed = allowed + (bound * _DOUBLE + 10 * e.error if isinstance(e, Estimate) else bound * _unit(dtype))
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):  # where an oracle found no answer nothing is compared
        known = np.all([np.isfinite(e.error) for e in (a, b) if isinstance(e, Estimate)], axis=0)
        u, v, allowed = (w[known] for w in (u, v, allowed)) if np.any(known) else (u, v, allowed)
    largest = float(np.max(np.abs([u, v]), initial=0))
    exact = bool(np.array_equal(u, v))
    with np.errstate(all="ignore"):
        off = np.zeros(u.shape) if exact else np.abs(u.astype(np.float64) - v.astype(np.float64))
        excess = np.where(off > 0, off / allowed, 0.0)  # nan, where something is not finite, is the most
    max_abs = float(np.max(off, initial=0))
    worst = int(np.argmax(excess)) if excess.size else 0
    ulp = float(np.spacing(np.asarray(largest, dtype)))
    return Pair(
        name, left, right, exact, max_abs, max_abs / largest if largest else 0.0, max_abs / ulp,
        float(off[worst]) if off.size else 0.0, float(allowed[worst]) if off.size else 0.0,
    )  # fmt: skip
