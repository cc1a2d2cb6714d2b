"""What is handed in wrongly is refused by name: the operation, what it got, what it takes."""

import copy
import operator
import re
import warnings

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.engine import describe
from tinygrad_norm.engine import primitives as op

x = tn.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, name="x")
c = tn.tensor(np.array([1 + 1j], np.complex64), name="c")


class Stubborn:
    """Says nothing of itself."""

    def __getattr__(self, name):
        raise ValueError(name)

    def __repr__(self):
        raise ValueError("repr")


DESCRIBED = [
    (3, "3"),
    ("mean", "'mean'"),
    (None, "None"),
    ([1, 2], "[1, 2]"),
    (x, "x (2, 2) float64"),
    (np.ones(3, np.float32), "(3,) float32"),
    (np.float64, "type float64"),
    (tn.nn.Linear, "type Linear"),
    (np, "module numpy"),
    (len, "builtin_function_or_method len"),
    (lambda a: a, "function <lambda>"),
    (object(), "‹object›"),
    ([object(), 1], "[‹object›, 1]"),
    ((tn.tensor(np.ones((2, 9))), 1), "((2, 9) float64, 1)"),
    ([tn.tensor(np.ones((2, 9)))] * 50, "‹list of 50›"),
    ({"a": tn.tensor(np.ones((9, 9)))}, "‹dict of 1›"),
    (tn.nn.Sequential(tn.nn.Linear(2, 2)), "‹Sequential›"),
    (10**6000, "‹int›"),
    (Stubborn(), "‹Stubborn›"),
]


@pytest.mark.parametrize(("value", "said"), DESCRIBED, ids=[said for _, said in DESCRIBED])
def test_anything_is_described_in_one_short_line(value, said):
    assert describe(value) == said


@pytest.mark.parametrize("value", ["a" * 500, "a\nb" * 90, [[1] * 99] * 99, tn.tensor([1.0], name="n\n" * 99), re], ids=repr)
def test_a_description_is_short_whatever_it_is_of(value):
    assert len(describe(value)) <= 100
    assert "\n" not in describe(value)


def test_a_list_that_holds_itself_is_described():
    own = [object()]
    own.append(own)
    assert describe(own).startswith("[‹object›, ")


CALLS = [
    (lambda: op.exp("a"), tn.DTypeError, r"exp: an operand is 'a' \(str\), which is neither a tensor, an array nor a number"),
    (lambda: op.exp(None), tn.DTypeError, r"exp: an operand is None \(NoneType\)"),
    (lambda: op.relu({}), tn.DTypeError, r"relu: an operand is {} \(dict\)"),
    (lambda: op.erf(np), tn.DTypeError, "erf: an operand is module numpy"),
    (lambda: op.sqrt(tn.Tensor), tn.DTypeError, "sqrt: an operand is type Tensor"),
    (lambda: op.exp([[1.0], [1.0, 2.0]]), tn.DTypeError, "exp: an operand is .* Wrap it"),
    (lambda: op.relu(10**30), tn.DTypeError, "relu: 1000+: "),
    (lambda: op.add(np.ones(2), np.ones(3)), tn.ShapeError, r"add: \(2,\) float64 and \(3,\) float64: .* Sizes must be equal or 1"),
    (lambda: op.exp(np.array(["a"])), tn.DTypeError, r"exp: \(1,\) <U1: "),
    (lambda: op.exp(x, bogus=1), tn.OptionError, "exp: it has no option bogus; leave it out"),
    (lambda: op.relu(np.ones(2), bogus=1), tn.OptionError, "relu: it has no option bogus"),
    (lambda: op.exp(), tn.DTypeError, "exp: 0 operands; it takes 1"),
    (lambda: op.relu(x, x), tn.DTypeError, "relu: 2 operands; it takes 1"),
    (lambda: tn.jacobian(op.exp, x, x), tn.DTypeError, "exp: 2 operands; it takes 1"),
    # the functions lift arrays and lists, and say which of their arguments it was
    (lambda: tn.exp("a"), tn.DTypeError, r"exp: input \(str\): data of dtype '<U1' is not numeric"),
    (lambda: tn.exp(None), tn.DTypeError, r"exp: input \(NoneType\): data of dtype 'object' is not numeric"),
    (lambda: tn.erf(np), tn.DTypeError, r"erf: input \(module\): data of dtype 'object' is not numeric"),
    (lambda: tn.sqrt(tn.Tensor), tn.DTypeError, r"sqrt: input \(type\): data of dtype 'object'"),
    (lambda: tn.exp([[1.0], [1.0, 2.0]]), tn.DTypeError, r"exp: input \(list\): cannot make one array of .* lists of equal lengths"),
    (lambda: tn.exp(np.array(["a"])), tn.DTypeError, r"exp: input \(ndarray\): data of dtype '<U1'"),
    (lambda: tn.maximum(x, {}), tn.DTypeError, r"maximum: other \(dict\): data of dtype 'object'"),
    (lambda: tn.maximum(x, np.ones(3)), tn.ShapeError, r"maximum: x \(2, 2\) float64 and \(3,\) float64 do not broadcast"),
    (lambda: x + {}, tn.DTypeError, r"add: an operand is {} \(dict\)"),
    (lambda: x * 1j, tn.DTypeError, "mul: an operand is 1j .* nor a real number"),
    (lambda: x + np.array(["a"]), tn.DTypeError, "add: data of dtype .* is not numeric"),
    (lambda: tn.Op(3, "{0}", np.exp), tn.DTypeError, "Op: name=3"),
    (lambda: tn.Op("a", "{0}", 0.5), tn.DTypeError, "of a are functions of arrays, not 0.5"),
    (lambda: tn.Op("a", "{0}", np.exp, 0.5), tn.DTypeError, "Op: pullbacks=0.5; give a tuple"),
    (lambda: tn.Op("a", "{0}", np.exp, {}), tn.DTypeError, "Op: pullbacks={}; give a tuple"),
    (lambda: tn.Op("a", "{0}", np.exp, (3,)), tn.DTypeError, "of a are functions of arrays, not 3"),
    (lambda: tn.Op("a", "{0}", np.exp, kernel="k"), tn.DTypeError, "of a are functions of arrays, not 'k'"),
    # flags, words and names of tensors
    (lambda: tn.tensor([1.0], requires_grad="no"), tn.OptionError, "tensor: requires_grad='no'; it is True or False"),
    (lambda: setattr(x, "requires_grad", {}), tn.OptionError, "requires_grad={}; it is True or False"),
    (lambda: setattr(x * 2, "requires_grad", False), tn.GradientError, "was computed by mul; .* x.detach"),
    (lambda: setattr(tn.tensor([1]), "requires_grad", True), tn.DTypeError, "only floating-point tensors"),
    (lambda: tn.tensor([1.0], name=3), tn.DTypeError, "name: 3 is no text"),
    (lambda: x.named(3), tn.DTypeError, "name: 3 is no text"),
    (lambda: setattr(tn.tensor(1.0), "name", []), tn.DTypeError, r"name: \[\] is no text"),
    (lambda: tn.Tensor([1.0]), tn.DTypeError, r"tensor: \[1.0\] is no array. Wrap it"),
    (lambda: setattr(tn.tensor([1.0]), "data", [[1.0], [1.0, 2.0]]), tn.DTypeError, "data: cannot make one array of"),
    (lambda: setattr(tn.tensor([1.0]), "grad", "a"), tn.DTypeError, "grad: data of dtype .* is not numeric"),
    (lambda: x.sum(0, keepdim=len), tn.OptionError, "sum: keepdim=builtin.* len; it is True or False"),
    (lambda: x.max(keepdims=np.array([1, 0])), tn.OptionError, r"max: keepdims=\(2,\) int64; it is True or False"),
    (lambda: x.sum(0, dim=x), tn.OptionError, r"sum: axis=0 and dim=x \(2, 2\) float64 are two names"),
    (lambda: tn.scope(x), tn.DTypeError, r"scope: the name x \(2, 2\) float64 is no text"),
    # complex numbers are not made real, and have no order
    (lambda: c.astype("float32"), tn.DTypeError, r"astype: c \(1,\) complex64 is complex; as float32 .* x.data.real"),
    (lambda: tn.tensor(c, dtype="float32"), tn.DTypeError, "tensor: .* is complex; as float32"),
    (lambda: c > 2, tn.DTypeError, r"greater: c \(1,\) complex64 is complex, .* Compare abs"),
    (lambda: x <= 1j, tn.DTypeError, "less_equal: 1j is complex"),
    (lambda: float(tn.tensor(1j)), tn.ShapeError, "float: .* is not one real number"),
    (lambda: x.astype("foo"), tn.DTypeError, "astype: dtype='foo'; it is a dtype of numbers"),
    (lambda: x.astype(object()), tn.DTypeError, "astype: dtype=‹object›; it is a dtype of numbers"),
    (lambda: tn.tensor([1.0], dtype=">f4"), tn.DTypeError, "tensor: dtype='>f4'"),
    # what else Python and NumPy ask
    (lambda: format(tn.tensor(1.5), "float32"), tn.OptionError, r"format: \(\) float64: Invalid format"),
    (lambda: x[0, 0, 0], tn.ShapeError, "getitem: .* An index is a whole number, a slice"),
    (lambda: x.reshape(3), tn.ShapeError, "reshape: .* must have the product"),
    (lambda: x.broadcast_to("a"), tn.ShapeError, "broadcast_to: the sizes"),
    (lambda: np.ones((3, 3)) in x, tn.ShapeError, r"in: x \(2, 2\) float64 and \(3, 3\) float64"),
    (lambda: operator.iadd(tn.tensor(np.uint8([3])), -7), tn.DTypeError, "add: .*out of bounds.* Cast first"),
    (lambda: np.amax(np.ones(2), out=tn.tensor([0.0])), tn.InPlaceError, "np.a?max: out= would write into a tensor"),
    (lambda: np.pad(x, [1, 2, 3]), tn.ShapeError, r"pad: pad_width=\[1, 2, 3\] for x \(2, 2\)"),
    (lambda: np.pad(x, 0.5), tn.ShapeError, "pad: pad_width=0.5 .* a whole number"),
    # transforms
    (lambda: tn.vjp(3, x), tn.DTypeError, "vjp: f=3 cannot be called; give a function"),
    (lambda: tn.jvp(None, x, x), tn.DTypeError, "jvp: f=None cannot be called"),
    (lambda: tn.hvp("f", x, x), tn.DTypeError, "hvp: f='f' cannot be called"),
    (lambda: tn.jacobian(3, x), tn.DTypeError, "jacobian: f=3 cannot be called"),
    (lambda: tn.hessian(3, x), tn.DTypeError, "hessian: f=3 cannot be called"),
    (lambda: tn.checkpoint(3), tn.DTypeError, "checkpoint: f=3 cannot be called"),
    (lambda: tn.jvp(tn.exp, x, x, create_graph=np.array([0, 1])), tn.OptionError, r"jvp: create_graph=\(2,\) int64; it is True"),
    (lambda: tn.jvp(tn.exp, x, [[1.0], [1.0, 2.0]]), tn.GradientError, "jvp: 2 tangents"),
    (lambda: tn.vjp(tn.exp, x)[1]("a"), tn.DTypeError, r"vjp: cotangent 'a' for \(2, 2\) float64"),
    (lambda: tn.jacobian(tn.exp, x, argnums=int), tn.GradientError, "jacobian: argnums=type int, but f has 1 arguments"),
    (lambda: tn.jacobian(tn.exp, x, argnums=True), tn.GradientError, "jacobian: argnums=True"),
    (lambda: x.backward([[1.0], [1.0, 2.0]]), tn.DTypeError, "backward: cotangent .* give one array or tensor of its shape"),
    (lambda: tn.grad(x.sum(), x, np.float32([1])), tn.ShapeError, r"grad: cotangent \(1,\) float32"),
    (lambda: tn.grad(x.sum(), 3), tn.GradientError, "grad: inputs must be tensors, not 3"),
    (lambda: tn.grad(x.sum(), x, create_graph="no"), tn.OptionError, "grad: create_graph='no'; it is True or False"),
    (lambda: x.sum().backward(create_graph=x), tn.OptionError, r"backward: create_graph=x \(2, 2\) float64; it is True"),
    (lambda: tn.Op("a", "{0}", np.exp, kernel=np.ones(2)), tn.DTypeError, r"functions of arrays, not \(2,\) float64"),
    (lambda: [0, 5] in x, tn.DTypeError, r"in: an operand is \[0, 5\]"),
    (lambda: x.sum().backward(inputs=3), tn.GradientError, "backward: inputs must be tensors, not 3"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "words"), CALLS, ids=[words for *_, words in CALLS])
def test_the_operation_says_what_it_was_handed(call, kind, words):
    with pytest.raises(kind, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_op_writes_into_none_of_its_operands():
    """NumPy's functions take a place to write to as one more operand."""
    a, out = np.ones(2), np.zeros(2)
    for call in (lambda: op.exp(a, out), lambda: op.maximum(a, a, out), lambda: op.exp(tn.tensor(a), tn.tensor(out))):
        with pytest.raises(tn.DTypeError, match="operands; it takes"):
            call()
    assert not out.any()


def test_a_function_behind_an_op_fails_with_its_own_error():
    def f(a):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        tn.Op("mine", "{0}", f)(np.ones(2))


def test_comparison_with_what_holds_no_values_is_pythons():
    others = [None, "a", {}, object(), len, tn.nn.Linear(1, 1)]
    for other in others:
        assert (x == other) is False
        assert (other == x) is False
        assert (x != other) is True
    assert None not in [x]
    assert hash(x) == hash(x) == object.__hash__(x)
    assert (x == np.float32(1)).data.sum() == (x == 1).data.sum() == (x == tn.tensor(1)).data.sum() == 1


@pytest.mark.parametrize(
    ("value", "there"), [(2.0, True), (2, True), (7, False), (np.float32(3), True), (None, False), ("a", False)]
)
def test_in_asks_for_a_value(value, there):
    assert (value in x) is there
    assert 2 in tn.tensor(2.0)


def test_a_flag_may_be_a_number():
    assert tn.tensor([1.0], requires_grad=1).requires_grad is True
    assert x.sum(0, keepdim=1).shape == (1, 2)
    t = tn.tensor([1.0])
    t.requires_grad = np.True_
    assert t.requires_grad is True
    assert copy.deepcopy(t).requires_grad is True
    t.name = None
    assert t.name is None


def test_numpys_own_warnings_point_at_the_caller():
    with pytest.warns(UserWarning, match="'where' used without 'out'") as caught:
        np.sin(tn.tensor([1.5]), where=False)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tn.tensor([1.0]).sum()  # nothing of this is heard where nothing is wrong
        with pytest.raises(tn.DTypeError, match="dtype=b'a'"):
            x.astype(b"a")
