"""Tools for expressions over named axes: multiplying out, sums and means, what it costs to compute them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sympy as sp

from .symbols import Letter, Mean, Sigma


def multiplied_out(expr: Any) -> Any:
    """Products and whole powers of sums multiplied out; what stands under a fraction or a root stays as it is."""
    if not expr.has(sp.Add):
        return expr
    kept = {p: sp.Dummy() for p in expr.atoms(sp.Pow) if p.base.is_Add and not (p.exp.is_Integer and p.exp > 0)}
    free = expr.xreplace(kept)
    for _ in range(len(kept)):  # one may stand within another's sum
        free = free.xreplace(kept)
    free = sp.expand_mul(sp.expand_multinomial(free))
    back = {d: p for p, d in kept.items()}
    for _ in range(len(kept)):
        free = free.xreplace(back)
    return free


def each_sum(expr: Any, change: Callable[[Any], Any]) -> Any:
    """The expression with every Σ replaced, the innermost first."""
    if isinstance(expr, Letter) or not expr.args or not expr.has(Sigma):
        return expr
    args = [each_sum(a, change) for a in expr.args]
    new = expr.func(*args)
    return change(new) if isinstance(new, Sigma) else new


def with_means(expr: Any) -> Any:
    """Σ with one over its sizes beside it is a mean."""
    if isinstance(expr, Letter) or not expr.args or not expr.has(Sigma):
        return expr
    if expr.is_Mul or isinstance(expr, Sigma) or (expr.is_Pow and isinstance(expr.base, Sigma)):
        factors = list(sp.Mul.make_args(expr))
        powers = dict(f.as_base_exp() for f in factors)
        for f in list(powers):
            if isinstance(f, Sigma) and powers[f].is_Integer and powers[f] > 0:
                k, axes = powers[f], f.args[1:]
                if all(powers.get(a, sp.Integer(0)) <= -k for a in axes):
                    for a in axes:
                        powers[a] += k
                    powers[Mean(with_means(f.args[0]), *axes)] = powers.pop(f)
        return sp.Mul(*(inner_means(b) ** n for b, n in powers.items()))
    return expr.func(*(with_means(a) for a in expr.args))


def with_sums(expr: Any) -> Any:
    """A mean is a sum divided by how many there are."""
    if isinstance(expr, Letter) or not expr.args or not expr.has(Mean):
        return expr
    args = [with_sums(a) for a in expr.args]
    return Sigma(*args) / sp.Mul(*args[1:]) if isinstance(expr, Mean) else expr.func(*args)


def inner_means(b: Any) -> Any:
    if isinstance(b, Sigma):
        return Sigma(with_means(b.args[0]), *b.args[1:])
    return b if isinstance(b, (Mean, Letter)) else with_means(b)


def products(expr: Any) -> Iterator[Any]:
    """Every product in the expression, those inside sums too."""
    for t in sp.Add.make_args(expr):
        yield t
        for s in t.atoms(Sigma, Mean):
            yield from sp.Add.make_args(s.args[0])


def each_product(expr: Any, change: Callable[[Any], Any]) -> Any:
    def inside(e: Any) -> Any:
        if isinstance(e, Letter) or not e.args:
            return e
        if isinstance(e, (Sigma, Mean)):
            return e.func(each_product(e.args[0], change), *e.args[1:])
        return e.func(*(inside(a) for a in e.args))

    return sp.Add(*(change(inside(t)) for t in sp.Add.make_args(expr)))


def has_new_inverse(new: Any, old: Any, factor: Any) -> bool:
    """Whether what a letter was written for left its inverse behind."""
    inverses = {1 / f for f in sp.Mul.make_args(factor)}
    before, after = ({f for t in products(e) for f in sp.Mul.make_args(t)} for e in (old, new))
    return bool(inverses & (after - before))


def leaves_the_sum(names: list[str], over: str) -> str:
    """``rstd and Σ(c·dy·γ) do not vary along N, so they leave the sum``."""
    if len(names) == 1:
        return f"{names[0]} does not vary along {over}, so it leaves the sum"
    return f"{', '.join(names[:-1])} and {names[-1]} do not vary along {over}, so they leave the sum"


def shared_factor(a: Any, b: Any) -> Any:
    """The letters and their powers that are in both products."""
    mine, theirs = ({f.as_base_exp()[0]: f.as_base_exp()[1] for f in sp.Mul.make_args(t.as_coeff_Mul()[1])} for t in (a, b))
    return sp.Mul(
        *(base ** min(n, theirs[base]) for base, n in mine.items() if base in theirs and base.atoms(Letter) and n.is_Integer
          and theirs[base].is_Integer and n > 0 and theirs[base] > 0)
    )  # fmt: skip


def operations(exprs: Sequence[Any]) -> int:
    """What it takes to compute all of these, each part once."""
    done: set[Any] = set()
    total = 0
    for expr in exprs:
        for p in sp.preorder_traversal(expr):
            if p in done or isinstance(p, Letter) or not p.atoms(Letter):
                continue
            done.add(p)
            if p.is_Add:
                total += len(p.args) - 1
            elif p.is_Mul:
                inverses = [a for a in p.args if a.is_Pow and a.exp == -1]
                done.update(inverses)
                letters = [a for a in p.args if a.atoms(Letter)]
                total += len(letters) - 1 + (abs(p.as_coeff_Mul()[0]) != 1 or len(letters) == len(inverses))
            else:
                total += 1
    return total


def length(expr: Any) -> int:
    return sum(int(abs(p.exp)) if isinstance(p, sp.Pow) and p.exp.is_Integer else 1 for p in sp.preorder_traversal(expr))
