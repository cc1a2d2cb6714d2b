"""PyTorch's methods on tensors: each is the function of its name; axes, casts, questions, scopes, numbers."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.engine import functions

RNG = np.random.default_rng(5)
X = RNG.normal(size=(2, 3, 4))


def leaf(dtype="float64"):
    return tn.tensor(X.astype(dtype), requires_grad=True, name="x")


SAME = {  # the same call here and in PyTorch
    "view": lambda x: x.view(6, 4),
    "view with -1": lambda x: x.view(-1),
    "reshape": lambda x: x.reshape(4, 6),
    "view_as": lambda x: x.view_as(x.reshape(24)),
    "expand_as": lambda x: x[:1].expand_as(x),
    "transpose": lambda x: x.transpose(0, 1),
    "transpose of the last two": lambda x: x.transpose(-1, -2),
    "transpose with itself": lambda x: x.transpose(1, 1),
    "permute": lambda x: x.permute(2, 0, 1),
    "permute of a tuple": lambda x: x.permute((2, 0, 1)),
    "swapaxes": lambda x: x.swapaxes(0, 2),
    "mT": lambda x: x.mT,
    "movedim": lambda x: x.movedim(0, 2),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "flatten": lambda x: x.flatten(1),
    "repeat": lambda x: x.repeat(2, 1, 1),
    "expand": lambda x: x[:, :, :1].expand(2, 3, 5),
    "split": lambda x: x.split(2, 1)[1],
    "chunk": lambda x: x.chunk(2, -1)[0],
    "unbind": lambda x: x.unbind(1)[2],
    "flip": lambda x: x.flip(0),
    "roll": lambda x: x.roll(1, 2),
    "tril": lambda x: x.tril(),
    "triu": lambda x: x.triu(1),
    "clone": lambda x: x.clone(),
    "contiguous": lambda x: x.contiguous(),
    "square": lambda x: x.square(),
    "pow": lambda x: x.pow(3),
    "power of a tensor": lambda x: (x * x + 0.5) ** x,
    "a number to the power": lambda x: 2.0**x,
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "masked_fill": lambda x: x.masked_fill(x > 0.3, 2.0),
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(1),
    "logsumexp": lambda x: x.logsumexp(0),
    "prod": lambda x: x.prod(-1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(-1),
    "var": lambda x: x.var(-1),
    "std": lambda x: x.std(1, keepdim=True),
    "norm": lambda x: x.norm(),
    "amax": lambda x: x.amax(1),
    "amin": lambda x: x.amin(0),
    "min": lambda x: x.min(),
    "max": lambda x: x.max(),
    "max along an axis": lambda x: x.max(1)[0],
    "max along an axis, kept": lambda x: x.max(-1, True).values,
    "min along an axis": lambda x: x.min(dim=0).values,
    "remainder": lambda x: x % 0.4 + x.remainder(x * x + 1.0),
    "sum over none is over all": lambda x: x.sum(()) + x.mean(()),
    "t": lambda x: x[0].t(),
    "t of a vector": lambda x: x[0, 0].t(),
    "var, by the older word": lambda x: x.var(1, unbiased=False) + x.std(dim=1, unbiased=True),
    "mean": lambda x: x.mean(-1, True),
    "sum": lambda x: x.sum((0, 2)),
    "sort": lambda x: x.sort(-1, True)[0],
    "topk": lambda x: x.topk(2)[0],
    "add": lambda x: x.add(2.0),
    "sub": lambda x: x.sub(x.mean()),
    "mul": lambda x: x.mul(x),
    "div": lambda x: x.div(3.0),
    "matmul": lambda x: x.matmul(x.mT),
    "exp": lambda x: x.exp(),
    "sin": lambda x: x.sin() + x.cos(),
    "double": lambda x: x.double(),
}


@pytest.mark.parametrize("name", SAME)
def test_as_pytorch(name):
    torch = pytest.importorskip("torch")
    mine, theirs = leaf(), torch.tensor(X, requires_grad=True)
    y, other = SAME[name](mine), SAME[name](theirs)
    assert y.shape == tuple(other.shape)
    np.testing.assert_allclose(y.data, other.detach().numpy(), rtol=1e-13, atol=1e-13)
    dy = RNG.normal(size=y.shape)
    (found,) = tn.grad(y, mine, dy) if y is not mine else (tn.tensor(dy),)
    (expected,) = torch.autograd.grad(other, theirs, torch.tensor(dy))
    np.testing.assert_allclose(found.data, expected.numpy(), rtol=1e-12, atol=1e-12)


def test_methods_are_the_functions():
    for name in ("softmax", "clamp", "var", "gather", "split", "expand", "argmax", "norm", "tril", "clone", "flatten"):
        assert getattr(tn.Tensor, name) is getattr(functions, name)


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda x: x.argmax(-1).data, X.argmax(-1)),
        (lambda x: x.max(1).indices.data, X.argmax(1)),
        (lambda x: x.min(1, keepdim=True).indices.data, X.argmin(1)[:, None]),
        (lambda x: (x // 0.4).data, np.floor(X / 0.4)),
        (lambda x: (2.0 // x).data, np.floor(2.0 / X)),
        (lambda x: (x > 9).any(()).data, False),
        (lambda x: x.argmin().data, X.argmin()),
        (lambda x: (x > 0).any(1).data, (X > 0).any(1)),
        (lambda x: (x > 0).all().data, (X > 0).all()),
        (lambda x: (~(x > 0) | (x > 1)).data, (X <= 0) | (X > 1)),
        (lambda x: ((x > 0) & (x < 1)).data, (X > 0) & (X < 1)),
        (lambda x: ((x > 0) ^ (x < 1)).data, (X > 0) ^ (X < 1)),
        (lambda x: np.array(x.tolist()), X),
        (lambda x: np.array([x.dim(), x.numel()]), [3, 24]),
        (lambda x: np.array([X[0, 0, 0] in x, 77.0 in x]), [True, False]),
    ],
)
def test_questions(ask, expected):
    np.testing.assert_array_equal(ask(leaf()), expected)


def test_casts():
    x = leaf("float32")
    assert [getattr(x, c)().dtype for c in ("half", "float", "double", "int", "long", "bool")] == [
        *("float16", "float32", "float64", "int32", "int64", "bool")
    ]
    assert x.float() is x
    assert x.to("float32") is x
    assert x.to("cpu") is x
    assert x.to(np.float64).dtype == np.float64
    assert x.type_as(leaf()).dtype == np.float64
    (g,) = tn.grad((x.double() * 2.0).sum(), x)
    assert g.dtype == np.float32
    with pytest.raises(tn.DTypeError, match="to: dtype='cuda'"):
        x.to("cuda")


def test_transpose_is_both_hands():
    x = leaf()
    assert x.transpose().shape == (4, 3, 2)
    assert x.transpose((1, 0, 2)).shape == x.transpose(1, 0, 2).shape == x.permute(1, 0, 2).shape == (3, 2, 4)
    assert x.transpose(0, -1).shape == (4, 3, 2)
    assert x.T.shape == (4, 3, 2)
    with pytest.raises(tn.ShapeError, match="transpose"):
        x.transpose(0, 1, 1)
    with pytest.raises(tn.ShapeError, match="transpose"):
        x.transpose((0, 1))
    with pytest.raises(tn.ShapeError, match=r"mT: \(3,\) float64 has 1 axes"):
        _ = tn.tensor([1.0, 2.0, 3.0]).mT


def test_a_number_that_leaves_the_record_warns():
    t = tn.tensor([2.0], requires_grad=True, name="t")
    for leave in (float, int, math.exp, complex):
        with pytest.warns(
            tn.HistoryLostWarning, match=r"t \(1,\) float64 requires a gradient, and its history ends here"
        ) as seen:
            leave(t)
        assert seen[0].filename == __file__
        assert "\n" not in str(seen[0].message)
    assert f"{t.detach().item():.2f} {float(t.detach())}" == "2.00 2.0"
    assert float(tn.tensor(2.0)) == 2.0


def test_grad_is_of_its_tensors_shape_and_dtype():
    x = leaf("float32")
    with pytest.raises(tn.ShapeError, match=r"grad: \(2,\) float32 for x \(2, 3, 4\) float32"):
        x.grad = np.zeros(2, "float32")
    with pytest.raises(tn.DTypeError, match=r"grad: .*float64 for x .*float32.*Cast it"):
        x.grad = np.zeros(X.shape)
    x.grad = np.ones(X.shape, "float32")
    assert isinstance(x.grad, tn.Tensor)
    x.grad = None
    assert x.grad is None


def test_requires_grad_():
    x = tn.tensor([1.0, 2.0])
    assert x.requires_grad_() is x
    assert x.requires_grad
    assert not x.requires_grad_(False).requires_grad
    with pytest.raises(tn.DTypeError, match=r"requires_grad_.*floating"):
        tn.tensor([1]).requires_grad_()
    with pytest.raises(tn.GradientError, match=r"requires_grad_: .*computed by mul.*detach"):
        (leaf() * 2.0).requires_grad_(False)


# Contexts -----------------------------------------------------------------------------------------------------


def test_scopes_inside_themselves_and_again():
    s, x = tn.scope("a"), leaf()
    with s, s:
        inner = x * 1.0
    with s:
        again = x * 1.0
    assert (inner.scope, again.scope, (x * 1.0).scope) == (("a", "a"), ("a",), ())
    with pytest.raises(KeyError), s:
        raise KeyError
    assert (x * 1.0).scope == ()

    @s
    def f(n):
        return f(n - 1) if n else x * 1.0

    assert f(2).scope == ("a", "a", "a")
    assert (x * 1.0).scope == ()


def test_no_grad_inside_itself_again_and_as_a_decorator():
    off, x = tn.no_grad(), leaf()
    with off:
        with off:
            assert not tn.is_grad_enabled()
        assert not tn.is_grad_enabled()
        with tn.enable_grad():
            assert (x * 1.0).requires_grad
    assert tn.is_grad_enabled()
    with off:
        assert not (x * 1.0).requires_grad

    @off
    def f(n):
        return f(n - 1) if n else x * 1.0

    assert not f(2).requires_grad
    with pytest.raises(KeyError), off:
        raise KeyError
    assert tn.is_grad_enabled()
    seen = []
    with off:
        thread = threading.Thread(target=lambda: seen.append(tn.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_generators_and_bare_decorators():
    x = leaf()

    @tn.no_grad
    def plain():
        return x * 1.0

    @tn.no_grad()
    def stretches():
        received = yield x * 1.0
        yield (received, x * 1.0)
        return 5

    assert not plain().requires_grad
    inner = stretches()
    assert not next(inner).requires_grad
    assert (x * 1.0).requires_grad  # between its values nothing has changed
    received, y = inner.send(3)
    assert (received, y.requires_grad) == (3, False)
    with pytest.raises(StopIteration) as end:
        next(inner)
    assert end.value.value == 5

    @tn.scope("s")
    def scoped():
        yield x * 1.0

    assert next(scoped()).scope == ("s",)
    assert (x * 1.0).scope == ()


# Shared memory ------------------------------------------------------------------------------------------------


def test_a_view_is_not_shared():
    a = np.ones((2, 3))
    x = tn.from_numpy(a[0], requires_grad=True)
    y = (x * x).sum()
    a[0] = 7.0
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [2.0] * 3)
    own = np.ones(3)
    shared = tn.from_numpy(own)
    assert np.shares_memory(shared.numpy(), own)
    assert not own.flags.writeable
    frozen = np.ones((2, 3))
    frozen.flags.writeable = False
    assert np.shares_memory(tn.from_numpy(frozen[0]).numpy(), frozen)
    buffer = bytearray(24)
    z = tn.from_numpy(np.frombuffer(buffer), requires_grad=True)
    buffer[:8] = b"\x01" * 8
    assert z.data[0] == 0.0


def test_max_and_min_give_what_the_hand_that_asks_expects():
    """PyTorch's pair along a dim; NumPy's values over an axis. Two rows must not be taken for a pair."""
    logits = tn.tensor([[1.0, 5.0, 2.0], [7.0, 3.0, 7.0]], requires_grad=True)
    values, predicted = logits.max(1)
    np.testing.assert_array_equal(predicted.data, [1, 0])
    np.testing.assert_array_equal(tn.grad(values.sum(), logits)[0].data, [[0, 1, 0], [1, 0, 0]])  # the first of equal ones
    for m in (logits.max(axis=1), logits.max(1, keepdims=False), logits.max((1,)), logits.max(dim=(1,)), np.max(logits, 1)):
        np.testing.assert_array_equal(m.data, [5, 7])
        np.testing.assert_array_equal(tn.grad(m.sum(), logits)[0].data, [[0, 1, 0], [0.5, 0, 0.5]])  # shared
    np.testing.assert_array_equal(logits.min(0).indices.data, [0, 1, 0])
    with pytest.raises(tn.DTypeError, match=r"sub: an operand is .*Extreme"):
        logits - logits.max(1)
    for call, error, words in [
        (lambda: logits.max(2), tn.ShapeError, "max: axis 2 does not exist"),
        (lambda: logits.min(1, axis=1), tn.OptionError, "min: axis=1 and dim=1 are two names"),
        (lambda: tn.tensor(np.zeros((2, 0))).min(1), tn.ShapeError, "min: .* has no entries along dim 1"),
    ]:
        with pytest.raises(error, match=words):
            call()


def test_whole_numbers_divide_as_pythons():
    a, b = np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2])
    np.testing.assert_array_equal((tn.tensor(a) // b).data, [3, -4, -4, 3])
    np.testing.assert_array_equal((tn.tensor(a) % b).data, [1, 1, -1, -1])
    with pytest.raises(tn.DTypeError, match=r"remainder: .* whole numbers cannot be divided by 0"):
        tn.tensor(a) % 0


def test_clamp_in_place():
    x = tn.tensor([-2.0, 0.5, 2.0])
    assert x.clamp_(-1, max=1.0) is x
    np.testing.assert_array_equal(x.data, [-1, 0.5, 1])
    with pytest.raises(tn.InPlaceError, match=r"clamp_: .* is a leaf that requires a gradient"):
        leaf().clamp_(0)
    with pytest.raises(tn.DTypeError, match=r"clamp_: .* without a bound"):
        x.clamp_()


def test_what_t_and_var_refuse():
    with pytest.raises(tn.ShapeError, match=r"t: x \(2, 3, 4\) float64 has 3 axes.*mT"):
        leaf().t()
    with pytest.raises(tn.OptionError, match="std: correction=1 and unbiased=True; give one"):
        leaf().std(correction=1, unbiased=True)


def test_set_grad_enabled_is_a_call_a_context_and_a_decorator():
    x = leaf()
    records = lambda: (x * x).requires_grad  # noqa: E731
    off = tn.set_grad_enabled(False)
    assert not records()
    with off, off:
        assert not records()
    assert records()
    with tn.set_grad_enabled(False), tn.set_grad_enabled(True):
        assert records()
    assert records()
    never = tn.set_grad_enabled(False)(records)
    assert records()
    assert not never()
    assert records()
    with pytest.raises(tn.OptionError, match="set_grad_enabled: mode='no'; it is True or False"):
        tn.set_grad_enabled("no")


def test_functional_is_found_where_pytorch_has_it():
    import tinygrad_norm.nn.functional as F

    assert tn.nn.functional is F
    assert all(getattr(F, name) is getattr(tn.functional, name) for name in tn.functional.__all__)


def test_set_grad_enabled_may_be_entered_again():
    off = tn.set_grad_enabled(False)
    for _ in range(2):
        with off:
            assert not tn.is_grad_enabled()
        assert tn.is_grad_enabled()
    asked = off(tn.is_grad_enabled)
    with tn.no_grad():
        assert not asked()
        assert not tn.is_grad_enabled(), "a decorated call ends where it began"


def test_all_and_any_over_no_axis_leave_every_entry_to_itself():
    x = tn.tensor([[0.0, 2.0], [1.0, 0.0]])
    for asked in (x.all([]), x.any(dim=())):
        np.testing.assert_array_equal(asked.data, x.data != 0)


def test_copy_says_what_it_cannot_copy():
    with pytest.raises(tn.DTypeError, match=r"copy_: source \(object\): data of dtype 'object'"):
        tn.zeros(2).copy_(object())


def test_probabilities_are_not_complex():
    with pytest.raises(tn.DTypeError, match=r"binary_cross_entropy: .* is complex"):
        tn.functional.binary_cross_entropy(np.array([0.5 + 0j]), np.array([1.0]))


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_is_not_finite_is_no_whole_number(value):
    with pytest.raises(tn.DTypeError, match=rf"int: \(\) float64 is {value}"):
        int(tn.tensor(value))


@pytest.mark.parametrize("name", ["var", "std"])
def test_in_numpys_words_a_deviation_is_numpys(name):
    mine, theirs = getattr(leaf(), name), getattr(X, name)
    for how in ({"axis": -1, "keepdims": True}, {"axis": 0}, {"keepdims": True}, {"axis": -1, "ddof": 1}, {"axis": (0, 1)}):
        np.testing.assert_allclose(mine(**how).data, theirs(**how), rtol=1e-13)
    np.testing.assert_allclose(mine(-1, keepdims=True).data, theirs(-1, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(mine(-1).data, theirs(-1, ddof=1), rtol=1e-13)
    with pytest.raises(tn.OptionError, match=f"{name}: dim=0 and axis=1 are two names of one argument"):
        mine(dim=0, axis=1)
