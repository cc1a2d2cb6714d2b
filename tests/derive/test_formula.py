"""``Formula``: the plain tree gives the record's gradient, and a few lines alter it."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import DerivationError, derive
from tinygrad_norm.derive.formula import (
    Formula,
    Letter,
    Number,
    Power,
    Product,
    Sum,
    Total,
    letters,
    places,
    product_of,
    put,
    replace,
    sum_of,
    varies,
    walk,
)

from .running import relative
from .test_derive import every_case


def arrays(d):
    """What the record was made of, by letters' names."""
    found = {a.expr.name: t.data for t, a in reversed(d.letters.of.items()) if a.expr in d.letters.leaves}
    shape = d.record.output.shape
    return found | {d.dy.name: np.asarray(d.record.dy.data).reshape(shape)}


@every_case
def test_it_evaluates_to_the_records_gradient(name, options, of):
    d = tn.derive(name, of, **options)
    want = tn.grad(d.record.output, d.record.inputs[of], d.record.dy.data)[0].data
    assert relative(d.formula.evaluate(arrays(d)), want) < 1e-12
    assert {a.name for a in d.formula.inputs} <= set(arrays(d))


@pytest.fixture(scope="module")
def ln():
    return tn.derive("layer_norm")


def test_layer_norm_as_a_tree(ln):
    f = ln.formula
    rstd, g, xhat = (
        Letter("rstd", ("B",), "statistic"),
        Letter("g", ("B", "N"), "cotangent"),
        Letter("x̂", ("B", "N"), "statistic"),
    )
    mean = lambda node: Total(node, ("N",), "mean")  # noqa: E731
    assert f.result == Product(
        (rstd, Sum((g, Product((Number(-1), mean(g))), Product((Number(-1), xhat, mean(Product((g, xhat))))))))
    )
    assert [line.letter.name for line in f.lines] == ["μ", "c", "σ²", "rstd", "x̂", "g"]
    assert [line.kind for line in f.lines] == ["statistic"] * 5 + ["abbreviation"]
    assert dict(f.numbers) == {"ε": 1e-5}
    assert [a.name for a in f.inputs] == ["x", "dy", "γ"]
    assert [a.kind for a in f.inputs] == ["input", "cotangent", "parameter"]
    assert f.lines[3].expression.exponent == Number(Fraction(-1, 2))
    assert str(f) == "dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ"


def test_at_another_shape_in_another_precision_and_with_another_epsilon(ln):
    rng = np.random.default_rng(0)
    x, dy, w = (rng.normal(size=s).astype(np.float32) for s in ((4, 9), (4, 9), (9,)))
    found = ln.formula.evaluate({"x": x, "dy": dy, "γ": w, "ε": 0.1})
    t = tn.tensor(x.astype(float), requires_grad=True)
    want = tn.grad(tn.functional.layer_norm(t, (9,), tn.tensor(w.astype(float)), eps=0.1), t, dy.astype(float))[0].data
    assert found.dtype == np.float32
    assert relative(found, want) < 1e-5


def test_it_can_be_compared_kept_and_copied(ln):
    again = tn.derive("layer_norm").formula
    assert again == ln.formula
    assert hash(again) == hash(ln.formula)
    assert again != tn.derive("rms_norm").formula
    assert pickle.loads(pickle.dumps(again)) == again


def test_a_few_lines_alter_it(ln):
    result = ln.formula.result
    g, xhat = letters(result)["g"], letters(result)["x̂"]
    (terms,) = [(path, n) for path, n in places(result) if isinstance(n, Sum)]
    assert put(result, (*terms[0], 1), None) == product_of(letters(result)["rstd"], sum_of(terms[1].terms[0], terms[1].terms[2]))
    doubled = replace(result, {g: product_of(Number(2), g)})
    assert sum(n == Number(2) for n in walk(doubled)) == 3
    other = replace(result, lambda n: Total(n.inside, ("B",), n.function) if isinstance(n, Total) else None)
    assert {n.axes for n in walk(other) if isinstance(n, Total)} == {("B",)}
    assert varies(other) == varies(result) == {"B", "N"}
    (mean,) = [n for n in walk(result) if isinstance(n, Total) and n.inside != g]
    assert replace(result, {mean: Number(0)}) == put(result, (*terms[0], 2), None)
    assert replace(xhat, {}) is xhat
    assert Power(g, Number(2)) != Power(g, Number(3))


def test_what_is_missing_or_does_not_fit_is_said(ln):
    given = arrays(ln)
    with pytest.raises(DerivationError, match=r"dx: nothing is given for x, γ"):
        ln.formula.evaluate({"dy": given["dy"]})
    with pytest.raises(DerivationError, match=r"dx: γ has shape \(5,\); expected the axes N = 11"):
        ln.formula.evaluate({**given, "γ": np.ones(5)})


def test_no_sympy_is_needed_to_read_it(ln):
    import subprocess
    import sys

    kept = pickle.dumps(ln.formula)
    code = f"import pickle, sys; f = pickle.loads({kept!r}); f.inputs; f.latex(); str(f); assert 'sympy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert isinstance(ln.formula, Formula)
    assert derive("softmax").formula.of == "x"
