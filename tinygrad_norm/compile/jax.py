"""Functions of tn as functions of JAX: recorded once for each set of shapes, and computed again with ``jax.numpy``.

    loss = tn.to_jax(lambda params, x, t: F.cross_entropy(nn.functional_call(net, params, x), t))
    jax.jit(jax.value_and_grad(loss))(params, x, t)

The table of meanings is at the end, a line for each op.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache, partial, wraps
from inspect import signature
from typing import Any

import numpy as np

from ..engine import DTypeError, Tensor, TinygradNormError
from ..engine.bell import GELU_TANH
from ..engine.errors import describe
from ..graph import replay_all
from .following import RecordError
from .recording import Operand, Recorded, numbers, record, same


class MissingJaxError(TinygradNormError, ImportError):
    """JAX is needed, and not installed."""


def _jax() -> Any:
    try:
        import jax
    except ImportError:
        raise MissingJaxError(
            "to_jax: JAX is not installed. Install it: pip install 'tinygrad_norm[jax]', or pip install jax."
        ) from None
    return jax


def to_jax(function: Callable[..., Any], *, name: str | None = None) -> Callable[..., Any]:
    """``function``, written with tn, as a function of JAX's arrays: for ``jax.jit``, ``vmap``, ``grad``, any sharding.

    function:  takes arrays as tensors, in any nest of dicts, lists and tuples, returns such a nest. Python's own numbers, words
               and None go through as they are, and belong to what is recorded
    Returns    a function of JAX's (or NumPy's) arrays in the same nest. dtypes are JAX's: without ``jax_enable_x64``, float64 is
               float32. With ``key=jax.random.key(…)`` dropout draws its masks from that key; without, they are refused

    For each set of shapes and dtypes it is run twice, on numbers that have nothing in common, and what it computed is played
    again under the table of meanings below, which JAX then compiles, differentiates and spreads over devices. Tensors taken from outside, such as the
    parameters of a network that are no arguments, are constants with the values of that moment.

    Buffers that a network updates, such as running statistics, are passed as arguments (``nn.functional_call(net, (parameters,
    buffers), x)``), and returned where the new values are wanted: the tensors given are then the updated ones.

    Where a function reads values (a branch, ``float(x)``), makes constants of them in a way that no op stands for, draws random
    numbers, or changes what is no argument, ``RecordError`` says so: nothing of one call's data stays in the record in silence.
    What the engine does only at the ends of a dtype's range (a norm of entries above 10¹⁹ in float32) is not on it either.
    """
    if not callable(function):
        raise DTypeError(f"to_jax: {describe(function)} cannot be called; give a function of tensors.")
    called = str(name or getattr(function, "__name__", type(function).__name__))
    known: dict[Hashable, tuple[Recorded, Any, list[Any]]] = {}

    try:
        has_key = "key" in signature(function).parameters
    except (TypeError, ValueError):  # of something that has none
        has_key = False

    @wraps(function)
    def in_jax(*args: Any, **kwargs: Any) -> Any:
        jax = _jax()
        key = None if has_key else kwargs.pop("key", None)
        leaves, nest = jax.tree.flatten((args, kwargs), is_leaf=lambda x: isinstance(x, Tensor))
        leaves = [x.numpy() if isinstance(x, Tensor) else x for x in leaves]
        are = [hasattr(x, "shape") and hasattr(x, "dtype") for x in leaves]
        arrays = [_array(jax, called, x) for x, is_one in zip(leaves, are) if is_one]
        fixed = [None if is_one else x for x, is_one in zip(leaves, are)]
        form = tuple((x.shape, str(x.dtype)) for x in arrays)
        try:
            kind: Hashable = (nest, form, tuple(are), tuple((type(x), x) for x in fixed))
            found = known.get(kind)
        except TypeError:
            other = next(x for x in fixed if getattr(type(x), "__hash__", None) is None)
            raise DTypeError(
                f"to_jax: {called}: an argument is {describe(other)}, neither an array nor a number or a word. Make it an array, or part "
                "of the function."
            ) from None
        if found is None:
            found = known[kind] = _recorded(called, function, nest, fixed, are, form)
        record_, out_nest, others = found
        given: dict[Tensor, Any] = dict(zip(record_.arguments, arrays))
        if record_.drawn:
            given |= _masks(record_, key)
        values = replay_all(record_.tensors, given, lambda t: partial(_computed, t, meanings()[t.op.name]))  # type: ignore[union-attr]
        outputs = iter(jax.numpy.asarray(values[t]) for t in record_.outputs)
        return jax.tree.unflatten(out_nest, [next(outputs) if x is _HERE else x for x in others])

    return in_jax


def _array(jax: Any, name: str, x: Any) -> Any:
    try:
        found = jax.numpy.asarray(x)
    except TypeError:
        found = x
    if getattr(found.dtype, "kind", "V") not in "fiubc":
        raise DTypeError(
            f"to_jax: {name}: an argument of dtype {found.dtype}, which tn does not know. Cast it: x.astype('float32')."
        )
    return found


_HERE = object()


def _recorded(
    name: str, function: Callable[..., Any], nest: Any, fixed: Sequence[Any], are: Sequence[bool], form: Any
) -> tuple[Recorded, Any, list[Any]]:
    jax = _jax()
    out: list[Any] = []

    def call(tensors: Sequence[Tensor]) -> list[Any]:
        given = iter(tensors)
        args, kwargs = jax.tree.unflatten(nest, [next(given) if is_one else x for x, is_one in zip(fixed, are)])
        leaves, out_nest = jax.tree.flatten(function(*args, **kwargs))
        out[:] = [out_nest, [_HERE if _is_array(x) else x for x in leaves]]
        return [x for x in leaves if _is_array(x)]

    failure: TinygradNormError | None = None
    for first, second in numbers(form):
        try:
            one, results = record(f"to_jax: {name}", call, first), list(out)
            other = record(f"to_jax: {name}", call, second, seed=1)
        except RecordError:
            raise
        except TinygradNormError as error:  # of numbers that it does not take
            failure = failure or error
            continue
        if results != out:
            raise RecordError(f"to_jax: {name}: it returns another nest, or another number, with other data. Return tensors.")
        same(one, other)
        _let_go(one)
        return one, results[0], results[1]
    assert failure is not None
    raise failure


def _is_array(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray, np.generic))


def _let_go(record_: Recorded) -> None:
    """The numbers it was recorded on are of no use any more."""
    start, used = min((t.birth for t in record_.arguments), default=0), set(record_.arguments)
    for t in record_.tensors:
        if t.birth >= start and (t.op is not None or t in used):
            t._data = np.broadcast_to(np.zeros((), t.dtype), t.shape)


def _masks(record_: Recorded, key: Any) -> dict[Tensor, Any]:
    jax = _jax()
    if key is None:
        raise RecordError(
            f"{record_.name}: it draws {len(record_.drawn)} dropout masks. Give it a key, f(…, key=jax.random.key(0)), another for each step; or call "
            "the module in inference: net.eval()."
        )
    keys = jax.random.split(key, len(record_.drawn))
    return {
        t: jax.numpy.where(jax.random.bernoulli(k, 1 - d.p, t.shape), 1 / (1 - d.p) if d.p < 1 else 0.0, 0.0).astype(t.dtype)
        for k, (t, d) in zip(keys, record_.drawn.items())
    }


def _computed(t: Tensor, means: Callable[..., Any], *inputs: Any, **params: Any) -> Any:
    """In the dtypes of the record, whatever JAX makes of two of them; as fine as JAX computes."""
    jax = _jax()
    if t.op is not None and t.op.elementwise and t.op.name not in ("where", "astype"):
        real = [x.dtype for x in t.inputs if isinstance(x, Tensor)]
        common = jax.dtypes.canonicalize_dtype(np.result_type(*real)) if len(set(real)) > 1 else None
        inputs = tuple(x if common is None or isinstance(x, (int, float)) else jax.numpy.asarray(x, common) for x in inputs)
    inputs = tuple(jax.numpy.asarray(x) if isinstance(x, np.ndarray) else x for x in inputs)
    out = means(*inputs, **params)
    dtype = jax.dtypes.canonicalize_dtype(t.dtype)
    out = out if out.dtype == dtype else out.astype(dtype)
    return out if t.requires_grad else jax.lax.stop_gradient(out)  # detached, inside of no_grad, made of .data


# The meanings -------------------------------------------------------------------------------------------------


def _sum_to(jnp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    lead = x.ndim - len(shape)
    axes = (*range(lead), *(lead + i for i, n in enumerate(shape) if n == 1 != x.shape[lead + i]))
    return jnp.sum(x, axes, keepdims=True).reshape(shape) if axes else x.reshape(shape)


def _index(index: Any, x: Sequence[Any], before: int) -> Any:
    """An index with what was computed in its places."""
    if isinstance(index, tuple):
        return tuple(_index(i, x, before) for i in index)
    found = x[index.position - before] if isinstance(index, Operand) else index
    if isinstance(index, Operand) and found.dtype == bool:
        raise RecordError(
            "getitem: a mask that is computed picks a number of entries that depends on the data. Select with tn.where."
        )
    return found


def _windows(jnp: Any, x: Any, size: Any, stride: Any, dilation: Any) -> Any:
    """One axis after the other: the places that its windows see, as a table."""
    k = len(size)
    first = x.ndim - k
    for a, (n, s, d) in enumerate(zip(size, stride, dilation)):
        axis = first + a
        places = np.arange((x.shape[axis] - d * (n - 1) - 1) // s + 1)[:, None] * s + np.arange(n) * d
        x = jnp.moveaxis(jnp.take(x, places, axis=axis), axis + 1, x.ndim)
    return x


def _einsum(jnp: Any, *xs: Any, equation: str) -> Any:
    """With axes of size 1 spread to the others' size."""
    terms = equation.split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, x in zip(terms, xs):
        for c, n in zip(term, x.shape):
            sizes[c] = n if sizes.get(c, 1) == 1 else sizes[c]
    xs = tuple(jnp.broadcast_to(x, tuple(sizes[c] for c in term)) for term, x in zip(terms, xs))
    return jnp.einsum(equation, *xs, precision="highest")


@cache
def meanings() -> Mapping[str, Callable[..., Any]]:
    """What each op of the table, and of ``following.MORE``, is in JAX: of the same operands and options."""
    jax = _jax()
    jnp, lax, special = jax.numpy, jax.lax, jax.scipy.special

    def conv(x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
        how = {"dimension_numbers": ("NCHW", "OIHW", "NCHW"), "precision": "highest"}
        return lax.conv_general_dilated(x, w, stride, padding, rhs_dilation=dilation, feature_group_count=groups, **how)

    def adjoint(linear: Callable[[Any], Any], shape: Any, y: Any) -> Any:
        return jax.linear_transpose(linear, jax.ShapeDtypeStruct(shape, y.dtype))(y)[0]

    def wide(f: Callable[..., Any]) -> Callable[..., Any]:
        """float16 in float32, rounded once."""
        return lambda x, **how: f(x.astype(np.float32), **how).astype(x.dtype) if x.dtype == np.float16 else f(x, **how)

    # fmt: off
    return {
        "add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.true_divide, "neg": jnp.negative,
        "remainder": jnp.remainder, "floor_divide": jnp.floor_divide, "power": jnp.power,
        "pow": lambda x, n: x ** (int(n) if n % 1 == 0 and x.dtype.kind == "f" else n),
        "exp": jnp.exp, "log": jnp.log, "sqrt": jnp.sqrt, "rsqrt": lambda x: 1 / jnp.sqrt(x), "tanh": jnp.tanh,
        "sin": jnp.sin, "cos": jnp.cos, "log1p": jnp.log1p, "expm1": jnp.expm1,
        "sigmoid": jax.nn.sigmoid, "softplus": wide(jax.nn.softplus), "erf": special.erf, "ndtr": wide(special.ndtr),
        "gelu": wide(lambda x: x * special.ndtr(x)),
        "gelu_tanh": wide(lambda x: x * jax.nn.sigmoid(x * (GELU_TANH[0] + GELU_TANH[1] * (x * x)))),
        "relu": jax.nn.relu, "abs": jnp.abs, "sign": jnp.sign, "maximum": jnp.maximum, "minimum": jnp.minimum, "where": jnp.where,
        "greater": jnp.greater, "greater_equal": jnp.greater_equal, "less": jnp.less, "less_equal": jnp.less_equal,
        "equal": jnp.equal, "not_equal": jnp.not_equal,
        "sum": lambda x, axis: jnp.sum(x, axis, keepdims=True),
        "mean": lambda x, axis: jnp.mean(x, axis, keepdims=True),
        "max": lambda x, axis: jnp.max(x, axis, keepdims=True),
        "prod": lambda x, axis: jnp.prod(x, axis, keepdims=True),
        "softmax": wide(lambda x, axis: jax.nn.softmax(x, axis)),
        "log_softmax": wide(lambda x, axis: jax.nn.log_softmax(x, axis)),
        "logsumexp": wide(lambda x, axis: special.logsumexp(x, axis, keepdims=True)),
        "cumsum": lambda x, axis, reverse: lax.cumsum(x, axis, reverse),
        "matmul": lambda a, b: jnp.matmul(a, b, precision="highest"),
        "einsum": partial(_einsum, jnp),
        "conv2d": conv,
        "conv2d_input": lambda y, w, shape, **how: adjoint(lambda x: conv(x, w, **how), (y.shape[0], w.shape[1] * how["groups"], *shape), y),
        "conv2d_weight": lambda y, x, size, **how: adjoint(lambda w: conv(x, w, **how), (y.shape[1], x.shape[1] // how["groups"], *size), y),
        "reshape": lambda x, shape: x.reshape(shape),
        "transpose": lambda x, axes: jnp.transpose(x, axes),
        "broadcast_to": lambda x, shape: jnp.broadcast_to(x, shape),
        "getitem": lambda x, *more, index: x[_index(index, more, 1)],
        "scatter": lambda g, *more, index, shape: jnp.zeros(shape, g.dtype).at[_index(index, more, 1)].add(g),
        "concatenate": lambda *xs, axis: jnp.concatenate(xs, axis),
        "astype": lambda x, dtype: x.astype(jax.dtypes.canonicalize_dtype(dtype)),
        "pad": lambda x, width, value: jnp.pad(x, tuple(width), constant_values=value) if x.ndim else x,
        "windows": partial(_windows, jnp),
        "fold": lambda g, size, shape, **how: adjoint(lambda x: _windows(jnp, x, size, **how), (*g.shape[: g.ndim - 2 * len(size)], *shape), g),
        "unbroadcast": partial(_sum_to, jnp),
        "argmax": lambda x, axis, keepdims: jnp.argmax(x, axis, keepdims=keepdims),
        "argmin": lambda x, axis, keepdims: jnp.argmin(x, axis, keepdims=keepdims),
        "argsort": lambda x, axis: jnp.argsort(x, axis, stable=True),
        "min": lambda x, axis: jnp.min(x, axis, keepdims=True),
        "any": lambda x, axis: jnp.any(x, axis, keepdims=True),
        "all": lambda x, axis: jnp.all(x, axis, keepdims=True),
        "isfinite": jnp.isfinite, "isnan": jnp.isnan,
        "and": jnp.bitwise_and, "or": jnp.bitwise_or, "xor": jnp.bitwise_xor, "not": jnp.invert,
    }
    # fmt: on
