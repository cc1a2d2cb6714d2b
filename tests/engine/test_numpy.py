"""NumPy's functions on tensors: recorded where an op of ours means the same, refused where history would end."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_norm.engine import HistoryLostError, InPlaceError, Tensor, TinygradNormError, grad, tensor

DATA = np.array([[0.5, 1.0, 2.0], [3.0, 0.25, 1.5]])
A = np.array([2.0, 4.0, 8.0])


def fresh() -> Tensor:
    return tensor(DATA, requires_grad=True, name="t")


RECORDED = {
    "array * t": lambda t: A * t,
    "array + t": lambda t: A + t,
    "array - t": lambda t: A - t,
    "array / t": lambda t: A / t,
    "array @ t": lambda t: np.ones((2, 2)) @ t,
    "t @ array": lambda t: t @ A,
    "np.float64 * t": lambda t: np.float64(3) * t,
    "np.float32 - t": lambda t: np.float32(3) - t,
    "np.int64 / t": lambda t: np.int64(3) / t,
    "number - t": lambda t: 3 - t,
    "add": lambda t: np.add(A, t),
    "subtract": lambda t: np.subtract(t, A),
    "multiply": lambda t: np.multiply(A, t),
    "divide": lambda t: np.divide(1.0, t),
    "negative": lambda t: np.negative(t),
    "exp": lambda t: np.exp(t),
    "log": lambda t: np.log(t),
    "sqrt": lambda t: np.sqrt(t),
    "tanh": lambda t: np.tanh(t),
    "square": lambda t: np.square(t),
    "reciprocal": lambda t: np.reciprocal(t),
    "power": lambda t: np.power(t, 3),
    "abs": lambda t: np.abs(t - 1.2),
    "builtin abs": lambda t: abs(t - 1.2),
    "maximum": lambda t: np.maximum(t, 0.75),
    "minimum": lambda t: np.minimum(A / 4, t),
    "matmul": lambda t: np.matmul(t, A),
    "mean": lambda t: np.mean(t),
    "mean axis": lambda t: np.mean(t, axis=-1, keepdims=True),
    "sum": lambda t: np.sum(t),
    "sum axis": lambda t: np.sum(t, axis=0),
    "sum axis by place": lambda t: np.sum(t, 1),
    "max": lambda t: np.max(t, axis=1),
    "min": lambda t: np.min(t, axis=1),
    "remainder": lambda t: np.remainder(t, 0.37),
    "reshape": lambda t: np.reshape(t, (3, 2)),
    "transpose": lambda t: np.transpose(t),
    "transpose axes": lambda t: np.transpose(t, (1, 0)),
    "broadcast_to": lambda t: np.broadcast_to(t, (2, 2, 3)),
    "concatenate": lambda t: np.concatenate([t, DATA, t]),
    "concatenate axis": lambda t: np.concatenate((t, t), axis=1),
    "log1p": lambda t: np.log1p(t),
    "expm1": lambda t: np.expm1(t),
    "sin": lambda t: np.sin(t),
    "cos": lambda t: np.cos(t),
    "prod": lambda t: np.prod(t),
    "prod axis": lambda t: np.prod(t, axis=1, keepdims=True),
    "var": lambda t: np.var(t),
    "var ddof": lambda t: np.var(t, axis=1, ddof=1),
    "std": lambda t: np.std(t, axis=0, keepdims=True),
    "norm": lambda t: np.linalg.norm(t),
    "norm axis": lambda t: np.linalg.norm(t, axis=1),
    "cumsum": lambda t: np.cumsum(t, axis=1),
    "cumsum flat": lambda t: np.cumsum(t),
    "clip": lambda t: np.clip(t, 0.75, 1.75),
    "clip one side": lambda t: np.clip(t, None, A / 4 + 0.1),
    "sort": lambda t: np.sort(t),
    "sort flat": lambda t: np.sort(t, axis=None),
    "flip": lambda t: np.flip(t, 1),
    "flip all": lambda t: np.flip(t),
    "stack": lambda t: np.stack([t, DATA, t], axis=1),
    "take_along_axis": lambda t: np.take_along_axis(t, np.array([[2, 2, 0], [1, 0, 1]]), axis=1),
    "einsum": lambda t: np.einsum("ij,j->i", t, A),
    "pad": lambda t: np.pad(t, ((1, 0), (0, 2))),
    "pad evenly": lambda t: np.pad(t, 1),
    "where": lambda t: np.where(DATA > 1, t, 0.0),
    "where over a question": lambda t: np.where(t > 1.2, A, t),
}


@pytest.mark.parametrize("compute", RECORDED.values(), ids=RECORDED)
def test_means_the_same_and_is_recorded(compute):
    t = fresh()
    y = compute(t)
    assert type(y) is Tensor
    assert y.requires_grad
    np.testing.assert_allclose(y.data, compute(DATA), rtol=1e-14)
    rng = np.random.default_rng(4)
    dy, v = rng.standard_normal(y.shape), rng.standard_normal(DATA.shape)
    h = 1e-4
    expected = np.sum(dy * (compute(DATA + h * v) - compute(DATA - h * v))) / (2 * h)
    np.testing.assert_allclose(np.sum(grad(y, t, dy)[0].data * v), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "question",
    [
        np.sign,
        lambda t: np.greater(t, A),
        lambda t: np.less_equal(A, t),
        lambda t: t == A,
        lambda t: t != 1.0,
        lambda t: t < A,
        lambda t: t >= 1,
    ],
)
def test_questions_are_answered_by_constants(question):
    answer = question(fresh())
    assert type(answer) is Tensor
    assert not answer.requires_grad
    np.testing.assert_array_equal(answer.data, question(DATA))


def test_facts_about_shape():
    t = fresh()
    assert (np.shape(t), np.ndim(t), np.size(t), len(t)) == ((2, 3), 2, 6, 2)


# Into arrays -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["__iadd__", "__isub__", "__imul__", "__itruediv__"])
def test_an_array_does_not_swallow_a_tensor(operator):
    a = np.ones((2, 3))
    with pytest.raises(InPlaceError, match=r"out=.*history.*a = a \+ t"):
        getattr(a, operator)(fresh())
    np.testing.assert_array_equal(a, 1.0)


def test_out_is_refused():
    with pytest.raises(InPlaceError, match=r"np\.exp: out="):
        np.exp(fresh(), out=np.empty((2, 3)))


def test_a_computed_tensor_plus_equals_is_a_new_one():
    leaf = fresh()
    t = before = leaf * 2.0
    t += A
    assert t is not before
    np.testing.assert_array_equal(before.data, 2 * DATA)
    np.testing.assert_array_equal(grad(t.sum(), leaf)[0].data, np.full((2, 3), 2.0))


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        lambda t: np.array([t, t]),
        lambda t: np.asarray(t, dtype="float32"),
        lambda t: list(map(np.asarray, t)),
    ],
)
def test_a_tensor_with_history_is_no_array(convert):
    with pytest.raises(HistoryLostError, match=r"np\.asarray.*requires a gradient.*x\.data"):
        convert(fresh())
    with pytest.raises(HistoryLostError):
        convert(fresh() * 2.0)


def test_a_constant_is_an_array():
    c = tensor(DATA)
    assert type(np.asarray(c)) is np.ndarray
    np.testing.assert_array_equal(np.asarray(c), DATA)
    assert np.asarray(c, dtype="float32").dtype == "float32"
    copy = np.array(c, copy=True)
    copy[0, 0] = 9.0
    np.testing.assert_array_equal(c.data, DATA)


# Outside the record ------------------------------------------------------------------------------------------

LOST = {
    "np.median": np.median,
    "np.isnan": np.isnan,
    "np.arctan": np.arctan,
    "np.cumprod": np.cumprod,
    "np.linalg.det": lambda t: np.linalg.det(t[:, :2]),
    "np.add.reduce": np.add.reduce,
    "np.add.accumulate": np.add.accumulate,
    "np.multiply.outer": lambda t: np.multiply.outer(A, t),
    "np.copyto": lambda t: np.copyto(np.ones((2, 3)), t),
    "np.zeros_like": np.zeros_like,
}


@pytest.mark.parametrize(("name", "call"), LOST.items(), ids=LOST)
def test_what_has_no_op_is_refused_and_the_way_out_named(name, call):
    with pytest.raises(HistoryLostError) as caught:
        call(fresh())
    message = str(caught.value)
    assert message.startswith((f"{name}:", f"np.{name.rsplit('.', 1)[-1]}:"))
    assert "x.data" in message
    assert "methods and operators" in message


@pytest.mark.parametrize(("name", "call"), LOST.items(), ids=LOST)
def test_and_on_constants_it_simply_computes(name, call):
    found, expected = call(tensor(DATA)), call(DATA)
    if expected is not None:
        np.testing.assert_array_equal(found, expected)


ARGUMENTS = {
    "exp dtype": lambda t: np.exp(t, dtype="float64"),
    "exp where": lambda t: np.exp(t, where=DATA > 1),
    "add where": lambda t: np.add(t, A, where=DATA > 1),
    "add casting": lambda t: np.add(t, A, casting="no"),
    "sum dtype": lambda t: np.sum(t, dtype="float32"),
    "sum dtype by place": lambda t: np.sum(t, 0, np.float32),
    "mean dtype by place": lambda t: np.mean(t, 0, np.float32),
    "sum where": lambda t: np.sum(t, where=DATA > 1),
    "sum initial": lambda t: np.sum(t, initial=5.0),
    "sum out": lambda t: np.sum(t, out=np.empty(())),
    "mean dtype": lambda t: np.mean(t, dtype="float32"),
    "mean where": lambda t: np.mean(t, where=DATA > 1),
    "max initial": lambda t: np.max(t, initial=100.0),
    "reshape order": lambda t: np.reshape(t, (3, 2), order="F"),
    "reshape order by place": lambda t: np.reshape(t, (3, 2), "F"),
    "concatenate dtype": lambda t: np.concatenate([t, t], dtype="float32"),
    "concatenate flat": lambda t: np.concatenate([t, t], axis=None),
    "var dtype": lambda t: np.var(t, dtype="float32"),
    "var ddof by place": lambda t: np.var(t, 0, None, None, 1),
    "var where": lambda t: np.var(t, where=DATA > 0.4),
    "std mean": lambda t: np.std(t, axis=1, mean=np.ones((2, 1))),
    "prod dtype": lambda t: np.prod(t, dtype="float32"),
    "prod initial": lambda t: np.prod(t, initial=2.0),
    "cumsum dtype": lambda t: np.cumsum(t, 0, np.float32),
    "clip dtype": lambda t: np.clip(t, 0.0, 1.0, dtype="float32"),
    "norm order": lambda t: np.linalg.norm(t, 1),
    "norm of matrices": lambda t: np.linalg.norm(t, axis=(0, 1)),
    "sort kind": lambda t: np.sort(t, kind="stable"),
    "pad mode": lambda t: np.pad(t, 1, mode="edge"),
    "pad value": lambda t: np.pad(t, 1, constant_values=3.0),
    "einsum optimize": lambda t: np.einsum("ij->i", t, optimize=True),
    "stack dtype": lambda t: np.stack([t, t], dtype="float32"),
    "broadcast_to subok": lambda t: np.broadcast_to(t, (2, 2, 3), subok=True),
}


@pytest.mark.parametrize("call", ARGUMENTS.values(), ids=ARGUMENTS)
def test_an_argument_we_do_not_know_is_not_dropped(call):
    """Either the call means what NumPy means by it, or it says that it does not."""
    try:
        y = call(fresh())
    except TinygradNormError:
        return
    expected = call(DATA)
    assert y.shape == expected.shape
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y.data, expected)


CONSTANT_ARGUMENTS = {
    **{k: v for k, v in ARGUMENTS.items() if k not in ("exp where", "add where", "add casting", "concatenate flat")},
    "where alone": lambda t: np.where(t > 1)[0],
    "size along an axis": lambda t: np.size(t, 0),
}


@pytest.mark.parametrize("call", CONSTANT_ARGUMENTS.values(), ids=CONSTANT_ARGUMENTS)
def test_on_constants_numpy_takes_them_all(call):
    found, expected = call(tensor(DATA)), call(DATA)
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_array_equal(found.data if isinstance(found, Tensor) else found, expected)


def test_power_with_a_tensor_for_an_exponent():
    x = fresh()
    y = np.power(2.0, x)
    np.testing.assert_array_equal(y.data, 2.0**DATA)
    np.testing.assert_allclose(grad(y.sum(), x)[0].data, 2.0**DATA * np.log(2), rtol=1e-15)
