"""Named axes: which axis is which, what a formula calls them, and what cannot be named."""

from __future__ import annotations

import gc
import linecache

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import DerivationError, NotSymbolicError, derive
from tinygrad_norm.derive.axes import Axes
from tinygrad_norm.engine import OptionError

from .running import relative, run

X = {"x": ("B", "N")}


def right(d):
    """The derivation agrees with the record, and so does its NumPy source."""
    want = tn.grad(d.record.output, d.record.inputs[d.of], d.record.dy.data)[0].data
    return d.ok and relative(run(d), want) < 1e-12


def test_broadcasting_makes_aligned_axes_one():
    x = tn.tensor(np.ones((4, 1, 8)), requires_grad=True, name="x")
    w = tn.tensor(np.ones((3, 8)), name="w")
    axes = Axes(tn.graph(x * w))
    assert [tuple(map(str, dim)) for dim in axes.dims[x]] == [("B",), (), ("N",)]
    assert axes.dims[w][-1] == axes.dims[x][-1]
    assert sorted(axes.sizes.values()) == [3, 4, 8]
    assert len(axes.order) == len(set(map(str, axes.order))) == 3


def test_a_reshape_that_splits_is_a_renaming():
    d = derive(lambda x: (x.reshape(7, 3, 2) - x.reshape(7, 3, 2).mean(-1, True)).reshape(7, 6), inputs={"x": np.random.default_rng(0).normal(size=(7, 6))})  # fmt: skip
    assert len(d.letters.order) == 3
    assert str(d.formula).count("mean") == 1
    assert right(d)


def test_a_reshape_that_merges_is_a_renaming():
    def f(x):
        flat = x.reshape(x.shape[0], -1)
        return (flat - flat.mean(-1, True)).reshape(x.shape)

    d = derive(f, inputs={"x": ("B", "C", "N")})
    assert str(d.formula) == "dx = dy − mean_CN(dy)"
    assert right(d)


def test_transposes_leave_the_formula_and_the_source_turns_them():
    for f in (
        lambda x: x.T * 2.5,
        lambda x: (x.T - x.T.mean(0, True)).tanh(),
        lambda x: (x.T - x.T.mean(0, True)).tanh().T,
    ):
        d = derive(f, inputs=X)
        assert [str(a) for a in d.letters.order] == ["B", "N"]
        assert right(d)
    d = derive(lambda x, w: x * w.T, "w", inputs={"x": ("B", "N"), "w": ("N", "B")})
    assert right(d)
    d = derive(lambda x, w: (x * w.T).sum(0), "w", inputs={"x": ("B", "N"), "w": ("N", "B")})
    assert right(d)


def test_an_answer_in_the_other_order_is_another_answer():
    d = derive(lambda x: x * 2.5, inputs={"x": np.random.default_rng(0).normal(size=(5, 5))})
    assert d.equals(lambda dy: dy * 2.5).proved
    assert not d.equals(lambda dy: dy.T * 2.5)


def test_the_users_names_are_the_formulas():
    d = derive(lambda q, k: (q * k).sum(-1, True) * q, inputs={"q": ("rows", "width"), "k": ("width",)})
    assert {str(a) for a in d.letters.order} == {"rows", "width"}
    assert d.gradient == "dq"
    d = derive(lambda q, k: (q * k).sum(-1, True) * q, "k", inputs={"q": ("rows", "width"), "k": ("width",)})
    assert "Σ_rows" in str(d.formula)
    assert right(d)


def test_axes_of_one_name_are_one_even_where_they_never_meet():
    inputs = {"x": ("B", "N"), "w": ("N",)}
    d = derive(lambda x, w: x.sum(-1, True) * w.sum(-1, True), inputs=inputs)
    assert [str(a) for a in d.letters.order] == ["B", "N"]
    apart = derive(lambda x, w: x.sum(-1, True) * w.sum(-1, True), inputs={"x": ("B", "N"), "w": ("M",)})
    assert {str(a) for a in apart.letters.order} == {"B", "N", "M"}
    assert right(d)
    assert right(apart)


def test_axes_that_meet_take_the_first_name():
    d = derive(lambda x, w: x * w, "w", inputs={"x": np.ones((3, 4)), "w": np.ones((1, 4))})
    assert str(d.formula) == "dw = Σ_B(dy·x)"
    assert right(d)


@pytest.mark.parametrize(
    ("f", "inputs"),
    [
        (lambda x: x / (x * x).sum().sqrt(), {"x": ("N",)}),
        (lambda x: x * x.tanh(), {"x": ()}),
        (lambda x: x * x.tanh(), {"x": np.array(0.3)}),
        (lambda x, w: x * w.tanh(), {"x": ("B", "N"), "w": ()}),
        (lambda x: x - x.mean(-1, True), {"x": np.ones((1, 8)) * np.arange(8)}),
        (lambda x: x * x.mean(0, True), {"x": np.arange(8.0).reshape(8, 1) + 1}),
        (lambda x, w: x * w.tanh(), {"x": np.ones((3, 4)), "w": np.ones((3, 1))}),
        (lambda x: x * x - x.sum(), {"x": np.arange(6).reshape(2, 3)}),
        (lambda x: x * x - x.sum(), {"x": [1.0, 1.0, 2.0]}),
        (lambda x: (x / x) + x**0 + x**-1 * x**2, {"x": ("B", "N")}),
        (lambda x: x * x * x + 0.5 * x, {"x": ("N",)}),
        (lambda x: x * 0.0 + x.sum(), {"x": ("B", "N")}),
        (lambda x: (x.sum(-1) * x.sum(-1)).sum(), {"x": ("B", "N")}),
        (lambda dy: dy * dy, {"dy": ("B", "N")}),
        (lambda N: N * N.sum(-1, True), {"N": ("B", "N")}),
        (lambda np, math: tn.erf(np) * math.tanh(), {"np": ("B", "N"), "math": ("N",)}),
        (lambda **k: k["</script>"] * k["lambda"], {"</script>": ("B", "N"), "lambda": ("B", "N")}),
    ],
)
def test_odd_shapes_and_odd_names(f, inputs):
    for wrt in inputs:
        assert right(derive(f, wrt, inputs=inputs)), wrt


@pytest.mark.parametrize("number", [7, 11, 6, 10, 12, 77, 1 / 7, 7**0.5, 1.0, 2.0, 3])
def test_a_number_that_happens_to_be_a_size_is_a_number(number):
    """The record has 7 rows of 11; the formula must hold for other sizes, too."""
    for f in (lambda x: x * number, lambda x: x / number, lambda x: x**2 + x * number, lambda x: x * x.sum(-1, True) * number):
        d = derive(f, inputs=X)
        assert right(d)
        assert not {"B", "N"} & set(str(d.formula).replace("Σ_BN", "").replace("_N", ""))
    assert str(derive(lambda x: x**7, inputs=X).formula) == "dx = 7·dy·x⁶"
    assert str(derive(lambda x: x**8, inputs=X).formula) == "dx = 8·dy·x⁷"


def test_a_size_is_a_size():
    assert str(derive(lambda x: x.sum(-1, True) / x.shape[-1] + 0.0 * x, inputs=X).formula) == "dx = mean(dy)"
    d = derive(lambda x: x.sum(-1, True) / (x.shape[-1] - 1) * x, inputs=X)
    assert "N − 1" in str(d.formula)
    mixed = derive(lambda x: x.sum(-1, True) / x.shape[-1] * x * 10.0, inputs=X)  # 10 = 11 − 1
    assert "N − 1" not in str(mixed.formula)


def test_the_size_of_it_all():
    assert str(derive(lambda x: x.sum(-1, True) / x.size * x, inputs=X).formula) == "dx = (s·dy/N + mean(dy·x))/B"


@pytest.mark.parametrize("n", [lambda x: 2 * x.shape[-1] + 1, lambda x: x.shape[-1] + x.shape[0]])
def test_other_numbers_that_come_from_sizes_are_said(n):
    d = derive(lambda x: x.sum(-1, True) / n(x) * x, inputs=X)
    assert "depends on the sizes (the formula is for these)" in d.assumptions[0]
    assert d.assumptions[0] in d.text()


def test_a_branch_is_a_condition_in_the_formula():
    d = derive(lambda x: tn.where(x > -100.0, x * 2.5, x * x), inputs=X)
    assert d.assumptions == ()
    assert str(d.formula) == "dx = dy·(5/2·[x > −100] + 2·x·[x ≤ −100])"
    assert right(d)


@pytest.mark.parametrize(
    "ask", [lambda: tn.derive("layer_norm", shape=(0, 3)), lambda: derive(lambda x: x * float("inf"), inputs=X)]
)
def test_no_entries_and_no_numbers(ask):
    with pytest.raises(tn.TinygradNormError, match="derive: "):
        ask()


# What cannot be derived ------------------------------------------------------------------------------------------


def not_symbolic(f, inputs=X):
    with pytest.raises(NotSymbolicError) as stop:
        derive(f, inputs=inputs)
    return str(stop.value)


def product(x, w):
    return (x @ w).tanh()  # the line


def indexed(x):
    return x[0] * 2.0  # the line


def cut(x):
    a = x * 2.0
    return a * a.reshape(6, 4).mean(-1, True).sum()  # the line


@pytest.mark.parametrize(
    ("f", "op", "inputs"),
    [
        (product, "matmul", {"x": ("B", "N"), "w": ("N", "M")}),
        (indexed, "getitem", X),
        (cut, "reshape", {"x": np.arange(24.0).reshape(4, 6)}),
    ],
)
def test_what_cannot_be_derived_names_the_op_and_its_line(f, op, inputs):
    said = not_symbolic(f, inputs)
    first = f.__code__.co_firstlineno
    line = next(k for k in range(first, first + 4) if "# the line" in linecache.getline(__file__, k))
    assert said.startswith(f"derive: {op}")
    assert f"Recorded at test_axes.py:{line}: " in said
    assert linecache.getline(__file__, line).strip() in said


def test_lines_that_a_garbage_collection_runs_are_nobodys():
    """As hypothesis does, and profilers: a callback at each collection, and there may be one between any two lines."""

    def called_back(phase, info):
        return None

    before = gc.get_threshold()
    gc.callbacks.append(called_back)
    gc.set_threshold(1)
    try:
        said = not_symbolic(cut, {"x": np.arange(24.0).reshape(4, 6)})
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(called_back)
    assert "return a * a.reshape(6, 4)" in said


def twice(x):
    a = (x * x + 1.0).cumsum(-1)
    return a * x[0]


def test_of_two_ops_of_one_name_the_right_line_is_named():
    assert "return a * x[0]" in not_symbolic(twice)


@pytest.mark.parametrize(
    ("name", "op", "file"),
    [("local_response_norm", "windows", "local_response_norm.py"), ("spectral_norm", "matmul", "spectral_norm.py")],
)
def test_norms_that_cannot_be_derived_name_theirs(name, op, file):
    with pytest.raises(NotSymbolicError, match=rf"derive: {op}: .* Recorded at {file}:\d+: \w+"):
        tn.derive(name)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: tn.derive("layer_norm", "z"), DerivationError, "there is no input 'z'.*weight \\(γ\\)"),
        (lambda: tn.derive("layer_norm", order=3), DerivationError, "order=3; it is 1 or 2"),
        (lambda: tn.derive("layer_norm", order=0), DerivationError, "it is 1 or 2"),
        (lambda: derive(lambda x: x), DerivationError, "name the axes of its inputs"),
        (lambda: derive(3, inputs=X), DerivationError, "name the axes"),
        (lambda: derive(lambda x: x * 2.0, inputs=X, eps=1.0), DerivationError, "unexpected keyword argument 'eps'"),
        (lambda: derive(lambda x: x * 2.0, inputs={"z": ("B",)}), DerivationError, "inputs= names z"),
        (lambda: derive(lambda x, w: x * x, "w", inputs={"x": ("B",), "w": ("B",)}), DerivationError, "does not depend on w"),
        (lambda: derive(lambda x: x * x, inputs={"x": ("N", "N")}), DerivationError, "each once"),
        (lambda: derive(lambda x: x * x, inputs={"x": "BN"}), DerivationError, "names of its axes"),
        (lambda: tn.derive("layer_norm", lemmas=["Σ_N(zzz) = 1"]), DerivationError, "speaks of zzz, which is not on the record"),
        (lambda: derive(lambda x: x * 2, inputs=X, shape=(3, 4)), DerivationError, "arrays of your sizes"),
        (lambda: derive(lambda x: x * 2, inputs=X).equals(lambda *a: a[0]), DerivationError, "takes \\*arguments"),
        (
            lambda: derive(lambda x: x * 2, inputs=X).equals(lambda a, b: a, {"a": "x", "b": "x"}),
            DerivationError,
            "two of theirs",
        ),
        (lambda: derive(lambda x: 3, inputs=X), tn.GradientError, "must compute one tensor"),
        (lambda: tn.derive("layer_norm", foo=1), tn.TinygradNormError, "no option foo"),
        (lambda: tn.derive("nope"), KeyError, "no 'nope'"),
        (lambda: tn.derive("layer_norm", backward="guess"), OptionError, '"recorded", "analytic" or "compiled"'),
        (lambda: tn.derive("layer_norm").equals(3), DerivationError, "expected a derivation or a function"),
        (lambda: tn.derive("layer_norm").equals(lambda a: a), DerivationError, "asks for a"),
        (lambda: tn.derive("layer_norm").equals(lambda dy: dy.data), DerivationError, "must compute one tensor"),
    ],
)
def test_questions_that_cannot_be_answered(ask, error, words):
    with pytest.raises(error, match=words):
        ask()
