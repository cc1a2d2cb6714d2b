"""What is handed in wrongly is refused by name: the operation, what it got, what it takes."""

import copy
import operator
import re
import warnings
from decimal import Decimal

import numpy as np
import pytest

import tinygrad_norm as tn
import tinygrad_norm.functional as F
from tinygrad_norm.derive import DerivationError
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
    (np.dtype("float32"), "float32"),
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
    (lambda: tn.exp("a"), tn.DTypeError, r"exp: input \(str\): data of dtype .* is not numeric. Convert it"),
    (lambda: tn.exp(None), tn.DTypeError, r"exp: input \(NoneType\)"),
    (lambda: tn.relu(Decimal("0.1")), tn.DTypeError, r"relu: input \(Decimal\)"),
    (lambda: op.relu({}), tn.DTypeError, r"relu: an operand is {} \(dict\)"),
    (lambda: op.erf(np), tn.DTypeError, "erf: an operand is module numpy"),
    (lambda: op.sqrt(tn.Tensor), tn.DTypeError, "sqrt: an operand is type Tensor"),
    (lambda: tn.exp([[1.0], [1.0, 2.0]]), tn.DTypeError, r"exp: input \(list\): cannot make one array of .* lists of equal lengths"),
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
    # complex numbers have no order
    *[
        (lambda f=f: f(c), tn.DTypeError, rf"{name}: .*\) complex64 is complex, and of two such numbers none is larger")
        for name, f in {
            "relu": tn.relu, "relu6": F.relu6, "hardtanh": F.hardtanh, "leaky_relu": F.leaky_relu, "elu": F.elu, "celu": F.celu,
            "selu": F.selu, "softplus": F.softplus, "amax": F.amax, "amin": F.amin, "max": lambda c: c.max(), "min": lambda c: c.min(),
            "argmax": F.argmax, "argmin": F.argmin, "sort": F.sort, "topk": lambda c: F.topk(c, 1), "clamp": lambda c: F.clip(c, 1),
            "maximum": lambda c: tn.maximum(c, x), "minimum": lambda c: tn.minimum(1.0, c),
            "max_pool1d": lambda c: F.max_pool1d(c.reshape(1, 1, 1), 1),
            "adaptive_max_pool1d": lambda c: F.adaptive_max_pool1d(c.reshape(1, 1, 1), 1),
        }.items()
    ],
    (lambda: F.clip(x, 1j), tn.DTypeError, "clamp: .* is complex"),
    (lambda: F.mse_loss(x, x.data * 1j), tn.DTypeError, r"mse_loss: target \(2, 2\) complex128 is complex"),
    # a tensor is no dtype, no flag and no truth value a size
    (lambda: tn.zeros(2, dtype=x), tn.DTypeError, r"zeros: dtype=x \(2, 2\) float64; it is a dtype"),
    (lambda: x.astype(np.ones(2, "f4")), tn.DTypeError, r"astype: dtype=\(2,\) float32"),
    (lambda: tn.randn_like(x, dtype=np.ones(2)), tn.DTypeError, "randn_like: dtype="),
    (lambda: tn.ones(2, requires_grad=tn.tensor(1)), tn.OptionError, r"ones: requires_grad=\(\) int64; it is True or False"),
    (lambda: x.min(keepdim=np.array(1)), tn.OptionError, r"min: keepdim=\(\) int64; it is True"),
    (lambda: x.any(0, keepdim="no"), tn.OptionError, "any: keepdim='no'"),
    (lambda: F.argmax(x, tn.tensor(True)), tn.ShapeError, r"argmax: axis \(\) bool is not an axis"),
    (lambda: x.tile(tn.tensor([True])), tn.ShapeError, r"tile: dims=\(1,\) bool"),
    # methods speak by their own name
    (lambda: tn.tensor(1j).double(), tn.DTypeError, r"double: \(\) complex128 is complex"),
    (lambda: tn.tensor(1j).half(), tn.DTypeError, "half: "),
    (lambda: tn.tensor(1j).type_as(x), tn.DTypeError, "type_as: "),
    (lambda: tn.tensor(1j).to(x), tn.DTypeError, "to: .* complex"),
    (lambda: x.type_as(3), tn.DTypeError, "type_as: other is 3; it is a tensor"),
    (lambda: x.view_as(2), tn.DTypeError, "view_as: other is 2; it is a tensor"),
    (lambda: x.view_as(c), tn.ShapeError, "view_as: x .* one may be -1"),
    (lambda: x.reshape_as([]), tn.DTypeError, "reshape_as: other is"),
    (lambda: x.expand_as(c), tn.ShapeError, "expand_as: x .* counted from the last axis"),
    (lambda: x.expand_as(None), tn.DTypeError, "expand_as: other is None"),
    (lambda: x.swapdims(3, 0), tn.ShapeError, "swapdims: axis 3 does not exist"),
    (lambda: x.tile(10**30), tn.ShapeError, "tile: .* Maximum allowed dimension"),
    (lambda: x.reshape(-(2**63)), tn.ShapeError, r"reshape: x \(2, 2\) float64 to .* one may be -1"),
    (lambda: x.min(5), tn.ShapeError, "min: axis 5 does not exist"),
    (lambda: x.ne(np), tn.DTypeError, "not_equal: an operand is module numpy"),
    (lambda: x.zero_(), tn.InPlaceError, "zero_: x .* under tn.no_grad"),
    (lambda: (x * 2).div_(2), tn.InPlaceError, "div_: .* was computed by mul; .* Compute a new tensor"),
    (lambda: tn.tensor(1.0).sub_(x), tn.InPlaceError, r"sub_: \(\) float64 is a leaf, and would keep no record of x .* Write x = x − y"),
    (lambda: tn.tensor([1.0]).copy_(x), tn.ShapeError, "copy_: x .* counted from the last axis"),
    (lambda: tn.tensor([1]).requires_grad_(), tn.DTypeError, "requires_grad_: .* Cast first"),
    # tensors made from nothing, random numbers, files
    (lambda: tn.arange(2, requires_grad=True), tn.DTypeError, r"arange: \(2,\) int64 requires no gradient; .* dtype='float64'"),
    (lambda: tn.ones(-1), tn.ShapeError, r"ones: the sizes \(-1,\): each must be"),
    (lambda: tn.full(2, tn.tensor(1.0, requires_grad=True)), tn.GradientError, "full: fill_value .* none flows to it"),
    (lambda: tn.full_like(x, 1j), tn.DTypeError, r"full_like: .* is complex; as float64"),
    (lambda: tn.zeros_like(np.array(["2020"], "M8[s]")), tn.DTypeError, "zeros_like: input"),
    (lambda: tn.full(2, 300, dtype="uint8"), tn.DTypeError, "full: 300 … 300 does not fit into uint8"),
    (lambda: tn.linspace(1, 1e300, 2, dtype="int64"), tn.DTypeError, "linspace: 1.0 … 1e.300 does not fit into int64"),
    (lambda: tn.rand_like(np.ones(2, int)), tn.DTypeError, r"rand_like: dtype=int64; it is a floating-point dtype"),
    (lambda: tn.randn(2, dtype="int64"), tn.DTypeError, "randn: dtype='int64'; .* randint gives integers"),
    (lambda: tn.tensor(np.zeros(2, [("a", "f4")]), "int64"), tn.DTypeError, "tensor: data of dtype .* is not numeric"),
    (lambda: np.pad(x, -1), tn.ShapeError, "pad: pad_width=-1 for x .* F.pad crops"),
    (lambda: F.l1_loss(x, x, weight=c), tn.DTypeError, "l1_loss: weight c .* is complex"),
    (lambda: F.einsum("f3", x), tn.ShapeError, "einsum: .* should hold letters"),
    (lambda: F.cross_entropy(x, np.ones(3), weight=tn.tensor([1.0, 2.0], requires_grad=True)), tn.ShapeError, "cross_entropy: target"),
    (lambda: tn.rand_like(x, generator=3), tn.DTypeError, "rand_like: generator is int"),
    (lambda: tn.Generator(3.5), tn.DTypeError, "Generator: seed=3.5"),
    (lambda: tn.load(np.inf), tn.DTypeError, "load: path=inf; it is text"),
    (lambda: tn.save(x, x), tn.DTypeError, r"save: path=x \(2, 2\) float64; it is text"),
    (lambda: tn.load("no such file"), tn.FileError, "load: there is no file .* folder"),
    (lambda: tn.derive("layer_norm", lemmas=3), DerivationError, "derive: lemmas=3; it is a list of texts"),
    (lambda: tn.derive(tn.exp, inputs=np.ones(2)), DerivationError, r"derive: inputs=\(2,\) float64; name the axes"),
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
    with pytest.warns(RuntimeWarning, match="Mean of empty slice") as caught:
        np.nanmean(tn.tensor([np.nan]))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tn.tensor([1.0]).sum()  # nothing of this is heard where nothing is wrong
        with pytest.raises(tn.DTypeError, match="dtype=b'a'"):
            x.astype(b"a")


FIRST = [
    (lambda t: F.l1_loss(0.5, t[0])),
    (lambda t: F.l1_loss([0.5, 1], t)),
    (lambda t: F.mse_loss([1, 2], t)),
    (lambda t: F.kl_div([0.5, 1.0], t)),
    (lambda t: F.clip(0.5, max=t)),
    (lambda t: F.clip([0.5, 2], t)),
    (lambda t: F.clip(range(2), max=t)),
    (lambda t: tn.maximum(0.5, t)),
]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("f", FIRST, ids=range(len(FIRST)))
def test_numbers_that_stand_first_take_the_dtype_of_the_tensor(f, dtype):
    t = tn.tensor([0.5, 0.25], dtype, requires_grad=True)
    y = f(t)
    assert y.dtype == dtype
    assert y.requires_grad


def test_what_a_checkpointed_function_raises_comes_through():
    def inner(a):
        raise ValueError("mine")

    def f(a):
        return tn.checkpoint(inner)(a)

    for given in (x, x.data):
        with pytest.raises(ValueError, match=r"^mine$") as caught:
            tn.checkpoint(f)(given)
        assert type(caught.value) is ValueError
        assert caught.value.__cause__ is caught.value.__context__ is None
        assert caught.traceback[-1].name == "inner"  # where it was raised


def test_a_reduction_over_no_axes_is_over_all_as_pytorch_has_it():
    for f in (F.amax, F.amin, F.logsumexp, F.var, F.std, F.prod):
        np.testing.assert_allclose(f(x, dim=()).data, f(x, dim=(0, 1)).data)
    assert F.norm(x, dim=()).item() == F.norm(x).item()


def test_sigmoid_takes_whatever_exp_takes():
    for dtype, to in (("uint8", "float16"), ("bool", "float16"), ("int32", "float64")):
        y = tn.sigmoid(np.array([0, 1], dtype))
        assert y.dtype == np.exp(np.ones(1, dtype)).dtype == to
        np.testing.assert_allclose(y.data, [0.5, 0.7310585786], rtol=1e-3)


def test_drawing_from_may_be_used_again_inside_itself_and_as_a_decorator():
    source = tn.Generator(3)
    inside = tn.drawing_from(source)
    default = tn.default_generator()
    with inside as a, inside as b:
        assert a is b is source is tn.default_generator()
    assert tn.default_generator() is default
    assert inside(tn.default_generator)() is source
    assert tn.default_generator() is default
    with tn.drawing_from(None):
        assert tn.default_generator() is default


def test_the_slope_of_a_power_in_half_precision():
    """b − 1 rounds to another whole number there, and a power of a negative base would come to be where there is none."""
    a, b = tn.tensor([-0.5586], "float16", requires_grad=True), tn.tensor([-0.9995], "float16")
    with np.errstate(invalid="ignore"):
        assert np.isnan(tn.grad(tn.pow(a, b), a, np.ones(1, "float16"))[0].data).all()
