"""Every error: its class, and a message with the operation, the operands and the fix."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm.engine as tn
from tinygrad_norm.engine import (
    TABLE,
    DTypeError,
    GradientError,
    HistoryLostError,
    InPlaceError,
    MissingPullbackError,
    Op,
    OptionError,
    ShapeError,
    TinygradNormError,
    UnreachableError,
    grad,
    tensor,
)

x = tensor([1.0, 2.0, 3.0], requires_grad=True, name="x")
X = tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True, name="X")
scalar = tensor(2.0, name="s")


def fails(error: type[Exception], words: str, action) -> None:
    """``action`` raises exactly this class, and its message holds all of the words, in that order."""
    with pytest.raises(error) as caught:
        action()
    assert type(caught.value) is error
    message, start = str(caught.value), 0
    for word in words.split("|"):
        place = message.find(word, start)
        assert place >= 0, f"{word!r} missing (or out of order) in: {message}"
        start = place + len(word)


def test_the_family():
    for error in (ShapeError, DTypeError, GradientError, UnreachableError, MissingPullbackError, InPlaceError, HistoryLostError):
        assert issubclass(error, TinygradNormError)
    assert issubclass(ShapeError, ValueError)  # who catches NumPy's classes catches ours
    assert issubclass(DTypeError, TypeError)
    assert issubclass(HistoryLostError, TypeError)
    assert issubclass(GradientError, RuntimeError)
    for error in (UnreachableError, MissingPullbackError, InPlaceError):
        assert issubclass(error, GradientError)


SHAPES = {
    "broadcast add": ("add|x (3,) float64|y (2,) float64|do not broadcast|keepdim", lambda: x + tensor([1.0, 2.0], name="y")),
    "broadcast an array": ("mul|x (3,) float64|(2,) int64|do not broadcast", lambda: x * np.array([1, 2])),
    "broadcast maximum": ("maximum|X (2, 3)|(2, 1, 2)", lambda: TABLE["maximum"](X, np.ones((2, 1, 2)))),
    "broadcast where": (
        "where|(2,) bool|x (3,) float64|0.0|do not broadcast",
        lambda: TABLE["where"](np.array([True, False]), x, 0.0),
    ),
    "bad axis": ("sum|axis 2|does not exist|2 axes|-2 and 1", lambda: X.sum(2)),
    "bad negative axis": ("mean|axis -3|does not exist", lambda: X.mean((0, -3))),
    "bad axis of a 0-d tensor": ("max|axis 0|does not exist|0 axes", lambda: scalar.max(0)),
    "axis is a word": ("sum|'rows'|int or a tuple", lambda: X.sum("rows")),
    "axis is a float": ("sum|1.0|int or a tuple", lambda: X.sum(1.0)),
    "axis twice": ("sum|axes (0, 0)|twice", lambda: X.sum((0, 0))),
    "axis twice in two spellings": ("mean|twice", lambda: X.mean((1, -1))),
    "transpose too few": ("transpose|axes (0,)|X (2, 3) float64|every axis", lambda: X.transpose(0)),
    "transpose twice": ("transpose|twice", lambda: X.transpose((0, 0))),
    "transpose bad axis": ("transpose|axis 2|does not exist", lambda: X.transpose(0, 2)),
    "matmul mismatch": ("matmul|X (2, 3) float64|X (2, 3) float64|last axis|Transpose", lambda: X @ X),
    "matmul batches": ("matmul|(2, 2, 3)|(3, 3, 2)", lambda: tensor(np.ones((2, 2, 3))) @ tensor(np.ones((3, 3, 2)))),
    "matmul with a number": ("matmul|X (2, 3) float64|2|Use *", lambda: X @ 2),
    "number matmul": ("matmul|2.0|x (3,) float64|Use *", lambda: 2.0 @ x),
    "matmul with a scalar tensor": ("matmul|x (3,) float64|s () float64|Use *", lambda: x @ scalar),
    "reshape": ("reshape|x (3,) float64|(2, 2)", lambda: x.reshape(2, 2)),
    "broadcast_to": ("broadcast_to|x (3,) float64|(2, 2)", lambda: x.broadcast_to(2, 2)),
    "index out of range": ("getitem|x (3,) float64|5|out of bounds", lambda: x[5]),
    "too many indices": ("getitem|x (3,) float64|too many indices", lambda: x[0, 0]),
    "mask of another length": ("getitem|x (3,) float64|boolean", lambda: x[np.array([True, False])]),
    "concatenate nothing": ("concatenate|nothing to join|at least one", lambda: tn.concatenate([])),
    "concatenate ranks": ("concatenate|x (3,) float64|X (2, 3) float64|axis=0|dimension", lambda: tn.concatenate([x, X])),
    "concatenate sizes": ("concatenate|X (2, 3) float64|(3, 2) float64|axis=0", lambda: tn.concatenate([X, X.T])),
    "concatenate axis": ("concatenate|axis 1|does not exist", lambda: tn.concatenate([x, x], axis=1)),
    "concatenate without an axis": ("concatenate|axis", lambda: tn.concatenate([X, X], axis=None)),
    "truth of many": ("bool|x (3,) float64|3 truth values|.all()|where", lambda: bool(x)),
    "truth of none": ("bool|0 truth values", lambda: bool(tensor([]))),
    "item of many": ("item|x (3,) float64|3 elements|.numpy()", lambda: x.item()),
    "float of many": ("float|x (3,) float64|.item()", lambda: float(x)),
    "max of nothing": ("max|(0, 3) float64|no entries along dim 0", lambda: tensor(np.zeros((0, 3))).max(0)),
}


@pytest.mark.parametrize(("words", "action"), SHAPES.values(), ids=SHAPES)
def test_shapes(words, action):
    fails(ShapeError, words, action)


DTYPES = {
    "integers with gradients": (
        "tensor|k|(2,)|int64|floating-point|astype('float64')",
        lambda: tensor([1, 2], requires_grad=True, name="k"),
    ),
    "booleans with gradients": ("tensor|bool|floating-point", lambda: tensor([True], requires_grad=True)),
    "complex with gradients": ("tensor|complex128|floating-point", lambda: tensor([1j], requires_grad=True)),
    "integers shared with gradients": ("int64|floating-point", lambda: tn.from_numpy(np.arange(2), requires_grad=True)),
    "object array": ("tensor|object|not numeric", lambda: tensor(np.array([None]))),
    "words": ("tensor|not numeric", lambda: tensor("abc")),
    "ragged lists": ("tensor|cannot make one array", lambda: tensor([[1.0], [1.0, 2.0]])),
    "object array as operand": ("object|not numeric", lambda: x + np.array([None] * 3)),
    "from_numpy of a list": ("from_numpy|list|tn.tensor", lambda: tn.from_numpy([1.0])),
    "list operand": ("sub|list|tn.tensor", lambda: x - [1.0, 2.0, 3.0]),
    "list on the left": ("mul|list|tn.tensor", lambda: [1.0, 2.0, 3.0] * x),
    "None as operand": ("sub|NoneType|tn.tensor", lambda: x - None),
    "string operand": ("div|str|tn.tensor", lambda: x / "2"),
    "list in maximum": ("maximum|list|tn.tensor", lambda: TABLE["maximum"](x, [1.0, 2.0, 3.0])),
    "pow of complex": ("pow|x (3,) float64|complex128|only real numbers", lambda: x ** (1 + 2j)),
    "gradient of a question": ("grad|(3,) bool|not floating", lambda: grad(x > 1.0, x, np.ones(3))),
    "cotangent float32 for float64": (
        "cotangent|float32|x (3,) float64|must be equal|dy.astype('float64')",
        lambda: x.backward(np.ones(3, "float32")),
    ),
    "cotangent float64 for float32": (
        "float64|(2,) float32|astype('float32')",
        lambda: grad(tensor(np.ones(2, "float32"), requires_grad=True) * 2.0, x, np.ones(2)),
    ),
    "complex cotangent": ("cotangent|complex128|x (3,) float64", lambda: x.backward(np.ones(3) * 1j)),
    "tensor cotangent": ("cotangent|float32|x (3,)", lambda: grad(x, x, tensor(np.ones(3, "float32")))),
}


@pytest.mark.parametrize(("words", "action"), DTYPES.values(), ids=DTYPES)
def test_dtypes(words, action):
    fails(DTypeError, words, action)


no_rule = Op("round", "round({0})", np.round)
GRADIENTS = {
    "no cotangent": (GradientError, "X (2, 3) float64|not a scalar|cotangent|y.backward(dy)|grad_outputs", lambda: X.backward()),
    "no cotangent in grad": (GradientError, "x (3,) float64|not a scalar", lambda: grad(x, x)),
    "cotangent's shape": (ShapeError, "cotangent (2,) float64|x (3,) float64|equal", lambda: x.backward(np.ones(2))),
    "cotangent that would broadcast": (ShapeError, "cotangent (1, 3) float64|x (3,)", lambda: x.backward(np.ones((1, 3)))),
    "cotangent for a scalar": (ShapeError, "cotangent (1,) float64|() float64", lambda: x.sum().backward(np.ones(1))),
    "cotangent tensor's shape": (ShapeError, "cotangent dy (2,)|x (3,)", lambda: x.backward(tensor([1.0, 2.0], name="dy"))),
    "how many cotangents": (GradientError, "grad|1 outputs|2 grad_outputs|one per output", lambda: grad(x.sum(), x, [1.0, 2.0])),
    "input is no tensor": (
        GradientError,
        "grad|inputs must be tensors|ndarray|requires_grad=True",
        lambda: grad(x.sum(), [np.ones(3)]),
    ),
    "output is no tensor": (GradientError, "grad|expected a tensor|ndarray", lambda: grad([np.ones(())], x)),
    "nothing recorded": (
        GradientError,
        "backward|() float64|not recorded|requires_grad=True|no_grad",
        lambda: x.detach().sum().backward(),
    ),
    "unreachable": (
        UnreachableError,
        "() float64|does not depend on|X (2, 3) float64|requires_grad|allow_unused",
        lambda: grad(x.sum(), X),
    ),
    "unreachable among others": (UnreachableError, "does not depend on|X (2, 3)", lambda: grad(x.sum(), [x, X])),
    "detached": (UnreachableError, "does not depend on|x (3,)|detached", lambda: grad(x.detach().sum(), x)),
    "no pullback": (MissingPullbackError, "round|no pullback|rule per input|detach", lambda: no_rule(x).sum().backward()),
    "no pullback in grad": (MissingPullbackError, "round|no pullback", lambda: grad(no_rule(x).sum(), x, create_graph=True)),
}


@pytest.mark.parametrize(("error", "words", "action"), GRADIENTS.values(), ids=GRADIENTS)
def test_gradients(error, words, action):
    fails(error, words, action)


def test_integer_cotangents_and_numbers_are_understood():
    assert grad(x.sum(), x, 2)[0].data.tolist() == [2.0] * 3
    assert grad(x, x, np.array([1, 2, 3]))[0].data.tolist() == [1.0, 2.0, 3.0]
    assert grad([x], [x], [[1.0, 2.0, 3.0]])[0].data.tolist() == [1.0, 2.0, 3.0]


def test_an_op_without_pullback_is_fine_where_nothing_flows():
    assert grad((no_rule(x.detach()) * x).sum(), x)[0].data.tolist() == [1.0, 2.0, 3.0]


def test_a_failed_backward_leaves_grad_alone():
    a = tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(MissingPullbackError):
        (no_rule(a * 2.0) + a).sum().backward()
    assert a.grad is None


def test_shapes_that_fit_are_not_blamed_for_another_complaint():
    """NumPy has no minus for booleans: equal shapes, so the message must not speak of broadcasting."""
    with pytest.raises(TinygradNormError) as caught:
        (x > 1.0) - (x > 2.0)
    assert "sub" in str(caught.value)
    assert "broadcast" not in str(caught.value)


def test_axis_and_dim_together():
    with pytest.raises(OptionError, match="axis=0 and dim=0 are two names"):
        X.sum(axis=0, dim=0)


def test_the_length_of_a_scalar():
    with pytest.raises(ShapeError, match=r"len: .*\(\) float64 is one number and has no length"):
        len(scalar)
    with pytest.raises(ShapeError, match=r"iter: .* is one number"):
        list(scalar)
