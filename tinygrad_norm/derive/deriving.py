"""From the tape to the closed form, line by line, every line checked in numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..engine import TABLE, Tensor, TinygradNormError, grad, history, pull_back, tensor
from ..engine.arrays import Array
from ..graph import Graph, along
from ..graph.table import number
from ..norms import Norm, get
from .algebra import with_means
from .arguments import check_arguments
from .assumption import Assumption
from .derivation import Derivation, Step
from .drawing import read_lemma
from .errors import DerivationError, NotSymbolicError
from .lemmas import Lemma
from .letters import Letters, SymbolReading
from .marks import marks
from .other import gradient_on, off, tolerance
from .plain import Plain, Writing
from .precisions import said_of
from .questions import listen
from .record import Record, cotangent_of, second_of, sizes_of, target_of
from .recording import recorder, sized
from .rules import Rewriting
from .sizes import unlike
from .stages import Stages
from .symbols import Letter, Symbol, sigma
from .watching import listening
from .writer import Text

_ROUTES = 12  # more than these are not listed one by one
_MOST_ROUTES = {1: 40, 2: 400}  # beyond, nothing is written as one sum unless it is asked for
_SHORT = 60  # signs: a line that needs no stages


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
    form: str = "auto",
) -> Derivation:
    """``tn.derive``, with the algebra at hand."""
    check_arguments(wrt, inputs, shape, order, lemmas, seed, form)
    if isinstance(norm, (str, Norm)):
        usual = dict(get(norm).derived_with)
        lemmas = [*lemmas, *usual.pop("lemmas", ())]
        options = {**usual, **options}
    make = recorder(norm, inputs, shape, backward, seed, options, lemmas)
    with listening():
        record, heard = listen(make)
    said = said_of(heard, record.inputs, partial(_in_dtypes, make, record)) if callable(norm) else heard.said
    record = replace(record, notes=(*record.notes, *said), trees=heard.trees, makings=heard.makings)
    with listening():
        name = target_of(record, wrt)
        record = second_of(record, name) if order == 2 else record
    try:
        with listening():
            record = _followed(sized(record, name))
        return _derive(record, name, lemmas, form)
    except NotSymbolicError as error:
        from .lines import recorded_at

        raise NotSymbolicError(f"derive: {error}{recorded_at(make, str(error), error.place)}") from None


def _in_dtypes(make: Callable[..., Record], record: Record, dtypes: Mapping[str, Any]) -> tuple[Tensor, list[Tensor]]:
    made = make(on={n: t.data.astype(dtypes.get(n, t.dtype)) for n, t in record.inputs.items()})
    return made.output, list(made.inputs.values())


def _followed(record: Record) -> Record:
    """With a note where a number was computed by another formula of the sizes than it has on the records that were made."""
    if not record.trees:
        return record
    assert record.make is not None
    output, marked = record.output, record.marks
    if record.first is not None:
        output, several = record.first, [replace(record, output=record.first)]
        with suppress(TinygradNormError, ValueError, ArithmeticError):
            several += [record.make(k, True) for k in (1, 2)]
        marked = marks([r.output for r in several], [sizes_of(r) for r in several])[0]
    sizes = {n: v for n, v in sizes_of(replace(record, output=output)).items() if n not in record.numbers}
    notes = [
        Assumption(f"{v:g}, which depends on the sizes (the formula is for these)")
        for v in unlike(output, record.trees, marked, sizes)
    ]
    return replace(record, notes=tuple(dict.fromkeys((*record.notes, *notes))))


def _derive(record: Record, name: str, lemmas: Sequence[str], form: str) -> Derivation:
    y, x = record.output, record.inputs[name]
    graph = Graph(y)
    if x not in graph.ids:
        what = "the output" if record.order == 1 else y.name
        raise DerivationError(f"derive: {what} does not depend on {x.name}: its derivative is zero.")
    letters = Letters(graph, record.axes, record.numbers, record.marks)
    out, source = letters.of[y], letters.of[x].expr
    cotangent = cotangent_of(record)
    dy = Letter(letters.fresh("v" if record.order == 2 else f"d{graph.nodes[-1].label}"), out.expr.axes)
    letters.values[dy] = letters.spread(cotangent, out.dims)
    seed = Symbol(dy, out.dims, letters)
    exact, floor = gradient_on(record, name)
    truth = letters.spread(exact, letters.axes.dims[x])

    chain = _chain(letters, y, x, seed, cotangent, truth)
    count = graph.count_routes(x)
    total = None
    if form == "closed" or (form == "auto" and count <= _MOST_ROUTES[record.order]):
        total = pull_back({y: seed}, [x], SymbolReading(letters))[x].expr
        if any(t.op is not None and t.op.name not in TABLE for t in graph.tensors):  # a rule of its own, in no letters yet
            total = letters.finding(total)
    steps = _forward_steps(letters) + chain.steps
    if count <= _ROUTES and record.order == 1:
        steps += _route_steps(letters, graph, x, seed, cotangent)
    given = _given(letters, lemmas, {t.name for t in record.inputs.values()})
    symbol = x.name or name
    operations, passes = _tape_cost(record, x, cotangent)

    def rewriting() -> Rewriting:
        made = Rewriting(letters, dy, Writing(Plain(letters, [dy, *chain.lines]), Text), source, given)
        made.cotangents = {s.expr: s.left for s in chain.steps}
        return made

    def result(found: _Result) -> Derivation:
        write = Writing(Plain(letters, [dy]), Text)
        assumed = (
            tuple(f"{write(a)} {sign} {write(b)}" for a, sign, b in letters.assumptions) + tuple(letters.notes) + record.notes
        )
        made = Derivation(
            record.title, name, symbol, (*steps, *found.steps), found.expr, found.named, found.lemmas, tuple(given), assumed,
            (operations, 0), (passes, 0), letters, record, truth, dy, found.stages,
        )  # fmt: skip
        cost = made.formula.cost
        return replace(made, operations=(operations, cost[0]), passes=(passes, cost[1]))

    closed = None
    if total is not None:
        closed = result(_closed(rewriting(), letters, f"d{symbol}", total, count, truth, floor))
        if form == "closed" or (
            closed.operations[1] <= operations and (_length(closed) <= _SHORT or len(chain.lines) <= 1 or record.order == 2)
        ):
            return closed
    staged = result(_staged(rewriting(), letters, chain, f"d{symbol}", cotangent))
    if closed is None or form == "staged":
        return staged
    return min(closed, staged, key=lambda d: (max(d.operations[1], operations), _length(d)))


def _length(d: Derivation) -> int:
    """Of the formula in text, without spaces."""
    return len(str(d.formula).replace(" ", ""))


@dataclass(frozen=True)
class _Result:
    """What a form comes to. stages: its lines that are cotangents."""

    expr: Any
    named: dict[Any, Any]
    lemmas: tuple[Lemma, ...]
    steps: tuple[Step, ...]
    stages: frozenset[Letter] = frozenset()


def _closed(rewriting: Rewriting, letters: Letters, gradient: str, total: Any, count: int, truth: Array, floor: float) -> _Result:
    """One line: the sum over routes, rewritten."""
    before = letters.number(total)
    routes = {1: "the route", 2: "both routes"}.get(count, f"all {count} routes")
    steps = [Step("rewrite", gradient, total, f"the sum over {routes}", "nothing is simplified yet", off(before, truth, floor))]
    expr = total
    for rule, reason, expr in rewriting.steps(total):
        now = letters.number(expr)
        steps.append(Step("rewrite", gradient, expr, rule, reason, off(now, before, floor)))
        before = now
    return _Result(expr, dict(rewriting.named), tuple(rewriting.lemmas), tuple(steps))


def _staged(rewriting: Rewriting, letters: Letters, chain: _Chain, gradient: str, cotangent: Array) -> _Result:
    """The chain rule's lines, put into each other as long as that is shorter."""
    target = Letter(gradient)
    while target in chain.lines:
        target = Letter(target.name + "′")
    rewriting.named.update(chain.lines)
    rewriting.abbreviating = False
    write = Writing(Plain(letters, [*chain.lines]), Text)
    stages = Stages({**chain.lines, target: chain.found}, target, rewriting, write)
    steps, floor = [], 1e-3 * float(np.max(np.abs(cotangent), initial=0))
    before = {a: letters.number(e) for a, e in stages.lines.items()}
    for change in stages.settle():
        now = letters.number(change.expr)
        steps.append(Step("rewrite", change.of.name, change.expr, change.rule, change.reason, off(now, before[change.of], floor)))
        before[change.of] = now
    expr = stages.lines.pop(target)
    made = {a: e for a, e in rewriting.named.items() if a not in chain.lines}
    if not steps or steps[-1].expr != expr:
        gap = off(letters.number(expr), letters.number(chain.found), floor)
        steps.append(Step("rewrite", gradient, expr, "the line that is left for the input", "", gap))
    return _Result(expr, {**made, **stages.lines}, tuple(rewriting.lemmas), tuple(steps), frozenset(stages.lines))


def _forward_steps(letters: Letters) -> list[Step]:
    known = {a: float(np.max(np.abs(v), initial=0)) for a, v in letters.values.items()}
    write = Writing(Plain(letters), Text)
    recognised = {v: f"{write(with_means(letters.opened(e)))} is {v}" for e, v in letters.finding.notes}
    return [
        Step(
            "forward",
            a.name,
            with_means(e),
            rule=recognised.get(a, ""),
            off=off(letters.number(e), letters.values[a], _floor(known, e)),
        )
        for a, e in letters.definitions.items()
    ]


def _floor(known: Mapping[Any, float], e: Any) -> float:
    """What a difference is held against where the value itself is next to nothing: the numbers it is made of."""
    return 1e-3 * max((known[a] for a in e.atoms(Letter) if a in known), default=0.0)


@dataclass(frozen=True)
class _Chain:
    """Each letter's cotangent in terms of those nearer the output, ``found`` that of the input."""

    lines: dict[Letter, Any]
    found: Any
    steps: list[Step]


def _chain(letters: Letters, y: Tensor, x: Tensor, seed: Symbol, cotangent: Array, truth: Array) -> _Chain:
    reading = SymbolReading(letters, names=True)
    found = pull_back({y: seed}, [x], reading)[x].expr
    numbers = pull_back({y: cotangent}, [x], keep=True)
    steps = []
    floor = 1e-3 * float(np.max(np.abs(cotangent), initial=0))
    for letter, (expr, node) in reading.cotangents.items():
        letters.values[letter] = letters.spread(np.broadcast_to(numbers[node], node.shape), letters.axes.dims[node])
        steps.append(Step("chain", letter.name, expr, off=off(letters.number(expr), letters.values[letter], floor)))
    steps.append(Step("chain", f"d{letters.of[x].expr.name}", found, off=off(letters.number(found), truth, floor)))
    return _Chain({a: e for a, (e, _) in reading.cotangents.items()}, found, steps)


def _route_steps(letters: Letters, graph: Graph, x: Tensor, seed: Symbol, cotangent: Array) -> list[Step]:
    steps = []
    for r in graph.routes(x, cotangent):
        share = along(graph, r.edges, seed, SymbolReading(letters)).expr
        scale = float(np.max(np.abs(r.graph.cotangent(cotangent)), initial=0))
        exact = letters.spread(r.share, letters.axes.dims[x])
        steps.append(
            Step("route", r.letter, share, _title(letters, graph, r.title), r.passes, off(letters.number(share), exact, scale))
        )
    return steps


def _title(letters: Letters, graph: Graph, title: str) -> str:
    """A route's title in the letters that the formulas use."""
    write = Writing(Plain(letters), Text)
    known: dict[str, str] = {}
    for node in graph.nodes:
        expr = letters.of[node.tensor].expr
        base = expr.as_base_exp()[0]
        known |= dict.fromkeys((node.label, node.operand), write(base if isinstance(base, Letter) else expr))
    names = sorted((n for n in known if n), key=len, reverse=True)
    return re.sub(rf"(?<!\w)({'|'.join(map(re.escape, names))})(?!\w)", lambda m: known[m[0]], title)


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
        if not gap <= tolerance(letters.graph.output.dtype):
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
