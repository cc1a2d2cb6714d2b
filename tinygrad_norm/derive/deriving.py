"""From the tape to the closed form, line by line, every line checked in numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine import Tensor, describe, grad, history, pull_back, tensor
from ..engine.arrays import Array
from ..graph import Graph
from ..graph.routes import along
from ..graph.table import number
from ..norms import Norm, get
from .derivation import Derivation, Step
from .equality import off
from .errors import DerivationError, NotSymbolicError
from .letters import Letters, SymbolReading
from .plain import Plain, Writing
from .recording import Record, read_lemma, recorder, second_of, sized, target_of
from .rules import Lemma, Rewriting, with_means
from .source import Program
from .symbols import Letter, Symbol, sigma
from .writer import Text

_ROUTES = 12  # more than these are not listed one by one


def derive_now(
    norm: str | Norm | Callable[..., Tensor],
    wrt: str | None,
    inputs: Mapping[str, Any] | None,
    shape: tuple[int, ...] | None,
    order: int,
    backward: str,
    lemmas: Sequence[str],
    seed: int,
    options: Mapping[str, Any],
) -> Derivation:
    """``tn.derive``, with the algebra at hand."""
    if order not in (1, 2):
        raise DerivationError(f"derive: order={order!r}; it is 1 or 2.")
    if not isinstance(lemmas, (tuple, list)) or not all(isinstance(text, str) for text in lemmas):
        raise DerivationError(f'derive: lemmas={describe(lemmas)}; it is a list of texts, such as ["Σ_N(q) = 1"].')
    if inputs is not None and not isinstance(inputs, Mapping):
        raise DerivationError(f'derive: inputs={describe(inputs)}; name the axes of each, such as {{"x": ("B", "N")}}.')
    if isinstance(norm, (str, Norm)):
        usual = dict(get(norm).derived_with)
        lemmas = [*lemmas, *usual.pop("lemmas", ())]
        options = {**usual, **options}
    make = recorder(norm, inputs, shape, backward, seed, options, lemmas)
    record = make()
    name = target_of(record, wrt)
    try:
        return _derive(sized(make, second_of(record, name) if order == 2 else record, name), name, lemmas)
    except NotSymbolicError as error:
        from .lines import recorded_at

        raise NotSymbolicError(f"derive: {error}{recorded_at(make, str(error), error.place)}") from None


def _derive(record: Record, name: str, lemmas: Sequence[str]) -> Derivation:
    y, x = record.output, record.inputs[name]
    graph = Graph(y)
    if x not in graph.ids:
        raise DerivationError(f"derive: the output does not depend on {x.name}.")
    letters = Letters(graph, record.axes, record.numbers, record.sized)
    out, source = letters.of[y], letters.of[x].expr
    cotangent = np.random.default_rng(y.size).normal(size=y.shape) if record.order == 2 else record.dy.data
    dy = Letter(letters.fresh("v" if record.order == 2 else f"d{graph.nodes[-1].label}"), out.expr.axes)
    letters.values[dy] = letters.spread(cotangent, out.dims)
    seed = Symbol(dy, out.dims, letters)
    truth = letters.spread(np.broadcast_to(pull_back({y: cotangent}, [x])[x], x.shape), letters.axes.dims[x])

    total = pull_back({y: seed}, [x], SymbolReading(letters))[x].expr
    steps = _forward_steps(letters) + _chain_steps(letters, y, x, seed, cotangent, truth)
    count = graph.count_routes(x)
    if count <= _ROUTES and record.order == 1:
        steps += _route_steps(letters, graph, x, seed, cotangent)
    given = _given(letters, lemmas, {t.name for t in record.inputs.values()})
    rewriting = Rewriting(letters, dy, Writing(Plain(letters, [dy]), Text), source, given)
    rewriting.cotangents = {s.expr: s.left for s in steps if s.kind == "chain"}
    symbol = x.name or name
    gradient = f"d{symbol}"
    before = letters.number(total)
    steps.append(
        Step(
            "rewrite",
            gradient,
            total,
            f"the sum over {({1: 'the route', 2: 'both routes'}).get(count, f'all {count} routes')}",
            "nothing is simplified yet",
            off(before, truth),
        )
    )
    expr = total
    for rule, reason, expr in rewriting.steps(total):
        now = letters.number(expr)
        steps.append(Step("rewrite", gradient, expr, rule, reason, off(now, before)))
        before = now
    write = Writing(Plain(letters, [dy]), Text)
    assumed = tuple(f"{write(a)} {sign} {write(b)}" for a, sign, b in letters.assumptions) + tuple(letters.notes)
    operations, passes = _tape_cost(record, x, cotangent)
    program = Program(letters, expr, rewriting.named, gradient)
    return Derivation(
        record.title, name, symbol, tuple(steps), expr, dict(rewriting.named), tuple(rewriting.lemmas), tuple(given), assumed,
        (operations, program.cost[0]), (passes, program.cost[1]), letters, record, truth, dy,
    )  # fmt: skip


def _forward_steps(letters: Letters) -> list[Step]:
    known = {a: float(np.max(np.abs(v), initial=0)) for a, v in letters.values.items()}
    return [
        Step("forward", a.name, with_means(e), off=off(letters.number(e), letters.values[a], _floor(known, e)))
        for a, e in letters.definitions.items()
    ]


def _floor(known: Mapping[Any, float], e: Any) -> float:
    """What a difference is held against where the value itself is next to nothing: the numbers it is made of."""
    return 1e-3 * max((known[a] for a in e.atoms(Letter) if a in known), default=0.0)


def _chain_steps(letters: Letters, y: Tensor, x: Tensor, seed: Symbol, cotangent: Array, truth: Array) -> list[Step]:
    """Each named node's cotangent in terms of those nearer the output."""
    reading = SymbolReading(letters, names=True)
    found = pull_back({y: seed}, [x], reading)[x].expr
    numbers = pull_back({y: cotangent}, [x], keep=True)
    values: dict[Any, Any] = {}
    steps = []
    floor = 1e-3 * float(np.max(np.abs(cotangent), initial=0))
    for letter, (expr, node) in reading.cotangents.items():
        values[letter] = letters.spread(np.broadcast_to(numbers[node], node.shape), letters.axes.dims[node])
        steps.append(Step("chain", letter.name, expr, off=off(letters.number(expr, values), values[letter], floor)))
    steps.append(Step("chain", f"d{letters.of[x].expr.name}", found, off=off(letters.number(found, values), truth, floor)))
    return steps


def _route_steps(letters: Letters, graph: Graph, x: Tensor, seed: Symbol, cotangent: Array) -> list[Step]:
    steps = []
    for r in graph.routes(x, cotangent):
        share = along(graph, r.edges, seed, SymbolReading(letters)).expr
        scale = float(np.max(np.abs(r.graph.cotangent(cotangent)), initial=0))
        exact = letters.spread(r.share, letters.axes.dims[x])
        steps.append(Step("route", r.letter, share, r.title, r.passes, off(letters.number(share), exact, scale)))
    return steps


def _given(letters: Letters, lemmas: Sequence[str], inputs: Collection[str | None]) -> list[Lemma]:
    """The lemmas as sums over the record's axes; each must hold for its numbers."""
    known = []
    for text in lemmas:
        over, name, value = read_lemma(text)
        letter = next((s.expr for s in letters.of.values() if isinstance(s.expr, Letter) and s.expr.name == name), None)
        if letter is None and name not in inputs:
            raise DerivationError(f"derive: the lemma {text!r} speaks of {name}, which is not on the record.")
        if letter is None:
            continue  # this gradient does not need it
        last = letters.axes.dims[letters.graph.main_input][-1]
        axes = [a for a in letters.order if str(a) in over] if over else last
        total = sigma(letter, axes)
        gap = off(letters.number(total), np.asarray(value))
        if gap > 1e-9:
            raise DerivationError(f"derive: the lemma {text!r} does not hold on the record: it is off by {number(gap)}.")
        known.append(Lemma(total, letters.literal(value), f"{text.strip()}, which is given"))
    return known


def _tape_cost(record: Record, x: Tensor, cotangent: Array) -> tuple[int, int]:
    """Operations of the recorded forward and its automatic backward, and those over arrays of the main input's size."""
    (g,) = grad(record.output, x, tensor(cotangent), create_graph=True)
    free = ("reshape", "broadcast_to")
    nodes = [t for t in set(history(g)) | set(history(record.output)) if t.op is not None and t.op.name not in free]
    full = Graph(record.output).main_input.size
    return len(nodes), sum(max([t.size, *(i.size for i in t.inputs if isinstance(i, Tensor))]) >= full for t in nodes)
