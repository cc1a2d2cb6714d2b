"""PyTorch's own sample inputs: values and gradients of every function that both have, in float64.

``op_db`` is the table PyTorch tests itself with. An entry is ours when its name, or what ``SPELLED`` says about
it, is found in our package; what is not there yet is picked up when it appears. A sample is skipped only for a
reason that is stated, and an entry of which every sample is skipped fails. The summary at the end of the run
(conftest.py) has one line per entry.
"""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.referees.conftest import no_array_is_small
from tinygrad_norm.engine import TABLE, Op, Tensor, from_numpy, grad, history

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its sample inputs are not tried")
pytest.importorskip("expecttest", reason="expecttest is not installed, and PyTorch's table of samples needs it")
from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402


class Skip(Exception):
    """Not tried, and why."""


ZERO_D = "an axis of a tensor that has none"
RANDOM = "drawn at random"

# Where a function of ours may live; the first that has the name wins ----------------------------------------


def _modules() -> list[Any]:
    found = [tn.functional, tn]
    for name in ("functions", "layers"):
        try:
            found.append(importlib.import_module(f"tinygrad_norm.engine.{name}"))
        except ModuleNotFoundError:
            continue
    return [*found, Tensor]


MODULES = _modules()


def find(name: str) -> Callable[..., Any] | None:
    """Our function of that name: in a module, as a method of tensors, or as an elementwise op of the table."""
    if name == "to" or (name.endswith("_") and not name.startswith("__")):
        return None  # devices, which there are none of; in place, for leaves only (tests/engine/test_in_place.py)
    for module in MODULES:
        f = vars(module).get(name)
        if inspect.isfunction(f) or (isinstance(f, Op) and f.elementwise):
            return f
    operation = TABLE.get(name)
    return operation if operation is not None and operation.elementwise else None


class Spelled:
    """What an entry is called here. ``call`` says how, where the arguments differ; ``pick`` takes what we
    return out of what PyTorch returns."""

    def __init__(self, name: str, call: Callable[..., Any] | None = None, pick: Callable[[Any], Any] = lambda out: out) -> None:
        self.name, self.call, self.pick = name, call, pick

    def find(self) -> Callable[..., Any] | None:
        there = find(self.name)
        if self.call is None:
            return there
        return self.call if there or hasattr(Tensor, self.name) or self.name == "unbroadcast" else None


def _swap(x: Any, a: int, b: int) -> Any:
    axes = list(range(x.ndim))
    if axes:
        axes[a], axes[b] = axes[b], axes[a]
    return x.permute(axes)


def _take_rows(x: Any, dim: int, index: Any) -> Any:
    if not x.ndim:
        raise Skip(ZERO_D)
    return x[(slice(None),) * (dim % x.ndim) + (index,)]


def _cat(tensors: Any, dim: int = 0) -> Any:
    if any(t.shape == (0,) for t in tensors) and any(t.ndim > 1 for t in tensors):
        raise Skip("a part of shape (0,) beside larger ones, which PyTorch overlooks")
    return tn.concatenate(tensors, dim)


def _dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    if training and 0 < p < 1:
        raise Skip(RANDOM)
    return tn.functional.dropout(x, p, training)


def _attention(*args: Any, dropout_p: float = 0.0, **how: Any) -> Any:
    if dropout_p:
        raise Skip(RANDOM)
    return tn.functional.scaled_dot_product_attention(*args, **how)


# fmt: off
RENAMED = {
    "__radd__": "__radd__", "__rmul__": "__rmul__", "__rsub__": "__rsub__", "__rdiv__": "__rtruediv__",
    "__rmatmul__": "__rmatmul__", "__getitem__": "__getitem__", "div:no_rounding_mode": "div",
    "true_divide": "div", "positive": "__pos__", "sgn": "sign", "gt": "greater", "ge": "greater_equal",
    "lt": "less", "le": "less_equal", "eq": "equal", "ne": "not_equal", "fmax": "maximum", "fmin": "minimum",
    "max:binary": "maximum", "min:binary": "minimum", "mm": "matmul", "bmm": "matmul", "mv": "matmul", "dot": "matmul",
    "view": "reshape",
}  # fmax and fmin are maximum and minimum where nothing is NaN
SPELLED: dict[str, Spelled] = {
    **{theirs: Spelled(ours) for theirs, ours in RENAMED.items()},
    "rsub": Spelled("sub", lambda a, b: b - a),
    "__rpow__": Spelled("pow", lambda x, base: tn.functional.pow(base, x)),
    "reciprocal": Spelled("pow", lambda x: np.reciprocal(x)),
    "where": Spelled("where", lambda x, condition, other: tn.where(condition, x, other)),  # OpInfo's own order
    "max:reduction_no_dim": Spelled("max", lambda x: x.max()),
    "max:reduction_with_dim": Spelled("max", lambda x, dim, keepdim=False: x.max(dim, keepdim)),
    "min:reduction_no_dim": Spelled("min", lambda x: x.min()),
    "min:reduction_with_dim": Spelled("min", lambda x, dim, keepdim=False: x.min(dim, keepdim)),
    "reshape_as": Spelled("reshape", lambda x, other: x.reshape(other.shape)),
    "view_as": Spelled("reshape", lambda x, other: x.reshape(other.shape)),
    "transpose": Spelled("transpose", _swap),
    "T": Spelled("transpose", lambda x: x.T),
    "expand_as": Spelled("broadcast_to", lambda x, other: x.broadcast_to(other.shape)),
    "sum_to_size": Spelled("unbroadcast", lambda x, *size: TABLE["unbroadcast"](x, shape=tuple(int(n) for n in np.ravel(size)))),
    "cat": Spelled("concatenate", _cat),
    "index_select": Spelled("__getitem__", _take_rows),
    "select": Spelled("__getitem__", _take_rows),
    "narrow": Spelled("__getitem__", lambda x, dim, start, n: _take_rows(x, dim, np.arange(int(start), int(start) + n))),
    "take": Spelled("__getitem__", lambda x, index: x.reshape(-1)[index]),
    "double": Spelled("astype", lambda x: x.astype(np.float64)),
    "float": Spelled("astype", lambda x: x.astype(np.float32)),
    "var:unbiased": Spelled("var", lambda x, unbiased: tn.functional.var(x, correction=int(unbiased))),
    "std:unbiased": Spelled("std", lambda x, unbiased: tn.functional.std(x, correction=int(unbiased))),
    "nn.functional.embedding": Spelled("embedding", lambda weight, i, **more: tn.functional.embedding(i, weight, **more)),
    "nn.functional.dropout": Spelled("dropout", _dropout),
    "nn.functional.scaled_dot_product_attention": Spelled("scaled_dot_product_attention", _attention),
    "float_power": Spelled("pow", lambda x, n: tn.functional.pow(x, n)),
    "einsum": Spelled("einsum", lambda tensors, equation: find("einsum")(equation, *tensors)),  # type: ignore[misc]
}
# fmt: on

ELSEWHERE = {
    "item": "a number, not a tensor",
    "equal": "one answer for all entries",
    "scatter": "PyTorch's scatter overwrites; ours adds up",
    "div:floor_rounding": "rounds",
    "div:trunc_rounding": "rounds",
    "norm:nuc": "of singular values",
}
"""Entries whose name we have and whose meaning we do not."""

REFUSED = [
    (r"with 0 axes", ZERO_D),
    (r'pad: mode=.*only "constant" is known', "a padding mode not offered"),
    (r"norm: p=\S+ for .*p is a number above 0|normalize: p=\S+; it is a number above 0", "p is not above 0"),
    (r"batch_norm: input .* has 1 axes", "PyTorch takes an empty vector"),
    (r"var: .*entr(y|ies) over .*divides by", "nothing left to divide by"),
    (r"(var|std): correction=None; it is a number", "correction=None"),
    (r"(arange|linspace): (start|end|step)=(False|True); it is a number", "a truth value for a number"),
    (r"linspace: (start|end)=\(\) \w+; it is a number", "a tensor for a number"),
    (r"gather: index .*0\) \w+ for", "an empty index of another number of axes"),
    (r"take_along_dim: indices .* has -\d+; an index must be between", "a negative index"),
    (r"cross_entropy: the mean over .*of which none counts", "the mean over nothing"),
]
"""Messages by which we refuse on purpose what PyTorch takes, and the reason as the summary states it."""

MAY_SKIP_ALL = ("nn.functional.pad:",)
"""Padding has an entry for each mode."""

DRAWN = ("randn", "randn_like", "rand_like", "randint")
"""Of what is drawn at random, shape and dtype are compared."""

DEFAULTS: dict[str, list[Any]] = {
    "alpha": [1],
    "ceil_mode": [False],
    "correction": [None, 1],
    "count_include_pad": [True],
    "device": ["cpu"],
    "dilation": [1],
    "divisor_override": [None],
    "dtype": [None, torch.float64],
    "max_norm": [None],
    "memory_format": [torch.contiguous_format, torch.preserve_format],
    "norm_type": [2.0],
    "padding_idx": [None],
    "return_indices": [False],
    "scale_grad_by_freq": [False],
    "sparse": [False],
    "stable": [None, False, True],  # ours is, and no sample has ties
    "unbiased": [True],
}
"""Values that ask for nothing: where we do not offer the argument, such a sample is tried without it."""


# Arguments ------------------------------------------------------------------------------------------------


class Translation:
    """PyTorch's arguments as ours. A tensor that occurs twice is one tensor here too."""

    def __init__(self) -> None:
        self.pairs: dict[int, tuple[Tensor, Any]] = {}

    def __call__(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if id(value) not in self.pairs:
                self.pairs[id(value)] = (self.tensor(value), value)
            return self.pairs[id(value)][0]
        if isinstance(value, (list, tuple)):
            return (tuple if isinstance(value, tuple) else list)(self(v) for v in value)
        if isinstance(value, dict):
            return {k: self(v) for k, v in value.items()}
        if isinstance(value, complex):
            raise Skip("complex numbers")
        return np.dtype(str(value).removeprefix("torch.")) if isinstance(value, torch.dtype) else value

    def tensor(self, value: Any) -> Tensor:
        if value.layout != torch.strided or value.is_complex():
            raise Skip("sparse tensors" if value.layout != torch.strided else "complex numbers")
        return from_numpy(value.detach().numpy(), requires_grad=value.requires_grad)  # strides and all

    @property
    def leaves(self) -> list[tuple[Tensor, Any]]:
        return [(mine, other) for mine, other in self.pairs.values() if other.requires_grad]


def without_defaults(f: Callable[..., Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    known = {} if isinstance(f, Op) else inspect.signature(f).parameters
    if any(p.kind is p.VAR_KEYWORD for p in known.values()):
        return kwargs
    return {k: v for k, v in kwargs.items() if k in known or v not in DEFAULTS.get(k, ())}


def check_offered(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Skip where our function has no such argument. What it has, it must also take."""
    if isinstance(f, Op):
        if kwargs or len(args) != len(f.pullbacks):
            raise Skip(f"argument not offered: {', '.join(kwargs) or 'one more position'}")
        return
    try:
        inspect.signature(f).bind(*args, **kwargs)
    except TypeError as error:
        name = re.search(r"unexpected keyword argument '(\w+)'|missing a required argument: '(\w+)'", str(error))
        if name and name[2]:
            raise Skip(f"without {name[2]}, which we require") from None
        raise Skip(f"argument not offered: {name[1] if name else 'one more position'}") from None


def many(out: Any) -> list[Any]:
    return list(out) if isinstance(out, (list, tuple)) else [out]


# One sample -----------------------------------------------------------------------------------------------


def close(mine: np.ndarray, other: np.ndarray, what: str) -> None:
    assert mine.shape == other.shape, f"{what}: shape {mine.shape}, PyTorch {other.shape}"
    if other.dtype.kind in "fb":
        assert mine.dtype == other.dtype, f"{what}: dtype {mine.dtype}, PyTorch {other.dtype}"
    finite = np.abs(other[np.isfinite(other)])
    fine = 1e-10 if other.dtype == np.float64 else 1e-6
    np.testing.assert_allclose(mine, other, rtol=10 * fine, atol=fine * max(1.0, finite.max(initial=0.0)), err_msg=what)


def run(entry: Any, spelled: Spelled, sample: Any) -> set[str]:
    """Both sides on one sample, compared; the names of the ops that ours recorded."""
    f, translate = spelled.find(), Translation()
    assert f is not None
    args, kwargs = (translate(sample.input), *translate(sample.args)), translate(without_defaults(f, sample.kwargs))
    check_offered(f, args, kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, about its own padding
        try:
            torch.set_default_dtype(torch.float64)  # as ours is
            theirs = many(spelled.pick(entry.op(sample.input, *sample.args, **sample.kwargs)))
        finally:
            torch.set_default_dtype(torch.float32)
    try:
        ours = many(f(*args, **kwargs))
    except (tn.TinygradNormError, TypeError, ValueError) as error:
        for message, reason in REFUSED:
            if re.search(message, str(error)):
                raise Skip(reason) from None
        raise
    assert len(ours) == len(theirs), f"{len(ours)} outputs, PyTorch {len(theirs)}"
    for k, (y, t) in enumerate(zip(ours, theirs)):
        mine, other = y.numpy() if isinstance(y, Tensor) else np.asarray(y), t.detach().numpy(force=True)
        if entry.name in DRAWN:
            assert (mine.shape, mine.dtype) == (other.shape, other.dtype)
        else:
            close(mine, other, f"output {k}")

    rng = np.random.default_rng(1)
    wanted = [(y, t, rng.standard_normal(t.shape)) for y, t in zip(ours, theirs) if t.requires_grad]
    leaves = translate.leaves
    if wanted and leaves:
        seeds = [torch.tensor(dy, dtype=t.dtype) for _, t, dy in wanted]
        slopes = torch.autograd.grad([t for _, t, _ in wanted], [t for _, t in leaves], seeds, allow_unused=True)
        mine = [(y, dy.astype(y.dtype)) for y, _, dy in wanted if y.requires_grad]
        ys, seeds, xs = [y for y, _ in mine], [dy for _, dy in mine], [x for x, _ in leaves]
        for size in (nullcontext, no_array_is_small):
            with size():
                found = grad(ys, xs, seeds, allow_unused=True) if ys else (None,) * len(xs)
            for i, (x, g, h) in enumerate(zip(xs, found, slopes)):
                zero = np.zeros(x.shape, x.dtype)
                close(zero if g is None else g.numpy(), zero if h is None else h.numpy(force=True), f"gradient of tensor {i}")
    return {node.op.name for y in ours if isinstance(y, Tensor) for node in history(y) if node.op is not None}


# The entries --------------------------------------------------------------------------------------------------


def label(entry: Any) -> str:
    return entry.name + (f":{entry.variant_test_name}" if entry.variant_test_name else "")


def spell(entry: Any) -> Spelled:
    """By the table; else by its own name, for torch.* and torch.nn.functional.*."""
    short = entry.name.removeprefix("nn.functional.")
    return SPELLED.get(label(entry)) or SPELLED.get(entry.name) or Spelled(short)


ENTRIES = {label(e): e for e in op_db if torch.float64 in e.supported_dtypes("cpu")}
OURS = [name for name, e in ENTRIES.items() if name not in ELSEWHERE and spell(e).find() is not None]


FLOWING = sorted(name for name, operation in TABLE.items() if not operation.constant)


@pytest.mark.filterwarnings("ignore:invalid value encountered in (power|log)")  # powers of negative numbers
@pytest.mark.parametrize("name", OURS)
@pytest.mark.costly(60)
def test_opinfo(name, record_property):
    entry, ran, skipped, ops = ENTRIES[name], 0, Counter[str](), set[str]()
    torch.manual_seed(0)
    for i, sample in enumerate(entry.sample_inputs("cpu", torch.float64, requires_grad=entry.supports_autograd)):
        try:
            ops |= run(entry, spell(entry), sample)
            ran += 1
        except Skip as reason:
            skipped[str(reason)] += 1
        except Exception as error:
            error.args = (f"{name}, sample {i}: {sample.summary()}\n{error}",)
            raise
    record_property("opinfo", [name, ran, dict(skipped), sorted(ops), FLOWING, len(ENTRIES)])
    assert ran or name.startswith(MAY_SKIP_ALL), f"{name}: we have it, and every sample was skipped: {dict(skipped)}"


ERRING = [name for name in OURS if ENTRIES[name].error_inputs_func and spell(ENTRIES[name]).call is None]
TAKEN = {
    "nn.functional.max_pool1d": (r"optional 0 dim batch size", "no channels: an empty result"),
    "mean": (r"could not infer output dtype", "the mean of integers is a float, as NumPy has it"),
    **dict.fromkeys(("fmax", "fmin", "maximum", "minimum", "max:binary", "min:binary"), (r"^$", "a number beside a tensor")),
}
"""What PyTorch says of calls that we answer on purpose, and why we do."""


@pytest.mark.filterwarnings("ignore")  # PyTorch's
@pytest.mark.parametrize("name", ERRING)
@pytest.mark.costly(20)
def test_what_pytorch_refuses(name):
    """Each of PyTorch's own error inputs is an error of ours too, one with a name; or ``TAKEN`` says why it is none."""
    entry, f = ENTRIES[name], spell(ENTRIES[name]).find()
    assert f is not None
    for wrong in entry.error_inputs("cpu"):
        sample, translate = wrong.sample_input, Translation()
        tensors = [t for t in many(sample.input) if isinstance(t, torch.Tensor)]
        if not tensors or any(t.ndim > 64 for t in tensors):  # numbers become tensors here; NumPy has 64 axes at most
            continue
        try:
            args, kwargs = (translate(sample.input), *translate(sample.args)), translate(without_defaults(f, sample.kwargs))
            check_offered(f, args, kwargs)
        except Skip:
            continue
        if name in TAKEN and re.search(TAKEN[name][0], wrong.error_regex):
            with suppress(tn.TinygradNormError):  # they say the same of some that are wrong in another way too
                f(*args, **kwargs)
            continue
        with pytest.raises(tn.TinygradNormError) as caught:
            f(*args, **kwargs)
        assert re.match(r"[a-z_0-9]+: ", str(caught.value)), sample.summary()


def test_what_the_table_spells_is_an_entry_of_theirs():
    known = set(ENTRIES) | {e.name for e in ENTRIES.values()}
    assert set(SPELLED) | set(ELSEWHERE) <= known, (set(SPELLED) | set(ELSEWHERE)) - known


def test_the_basic_ones_are_found():
    assert {"add", "mul", "exp", "tanh", "sum", "mean", "matmul", "reshape", "cat", "where", "__getitem__"} <= set(OURS)
    assert len(OURS) >= 60, OURS


@pytest.mark.parametrize("axis", [True, False, 1.7, (1.0,), (True, 0)])
def test_what_is_no_axis_is_refused(axis):
    """PyTorch's var(x, True) means the unbiased variance. Read as the axis 1 it would be a wrong number in silence."""
    x = tn.tensor([[1.0, 2.0, 4.0], [0.0, 1.0, 5.0]])
    for reduction in filter(None, map(find, ("sum", "mean", "max", "var", "logsumexp"))):
        with pytest.raises((tn.TinygradNormError, TypeError)):
            reduction(x, axis)
