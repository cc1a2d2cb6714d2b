"""The third reading: what flows through the rules is a SymPy expression whose letters carry named axes.

``c`` varies along B and N, ``rstd`` along B only; ``Sigma(c·g, N)`` is the sum over N, and does not vary along it. No
letter needs an index: in all that is derived here, an axis has one running index at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy as sp

from ..engine.bell import GELU_TANH
from .axes import Dims
from .errors import NotSymbolicError
from .views import indices, places

ONE = sp.Integer(1)


class Letter(sp.Symbol):  # type: ignore[misc]
    """A tensor in a formula: a name, and the axes it varies along."""

    __slots__ = ("_content", "axes")

    def __new__(cls, name: str, axes: Iterable[Any] = ()) -> Letter:
        self: Letter = sp.Symbol.__xnew__(cls, name)
        self.axes = frozenset(axes)
        self._content = (*sp.Symbol._hashable_content(self), *sorted(map(str, self.axes)))
        return self

    def _hashable_content(self) -> tuple[Any, ...]:
        return self._content  # type: ignore[no-any-return]

    def __getnewargs_ex__(self) -> tuple[Any, Any]:
        return (self.name, self.axes), {}


class Sigma(sp.Function):  # type: ignore[misc]
    """``Sigma(expr, N, …)``: the sum over these axes."""


class Mean(sp.Function):  # type: ignore[misc]
    """``Mean(expr, N, …)``: the sum over these axes, divided by their sizes."""


class Highest(sp.Function):  # type: ignore[misc]
    """``Highest(expr, N, …)``: the largest entry along these axes."""


def sigma(expr: Any, axes: Iterable[Any]) -> Any:
    axes = sorted(axes, key=str)
    return Sigma(expr, *axes) if axes and expr != 0 else expr


@lru_cache(maxsize=100_000)
def varies(expr: Any) -> frozenset[Any]:
    """The axes an expression varies along."""
    if isinstance(expr, Letter):
        return frozenset(expr.axes)
    if isinstance(expr, (Sigma, Mean, Highest)):
        return varies(expr.args[0]) - frozenset(expr.args[1:])
    found: frozenset[Any] = frozenset().union(*(varies(a) for a in expr.args))
    return found


_ORDER: dict[Any, tuple[Any, ...]] = {}


def size(dim: tuple[Any, ...]) -> Any:
    """The size of one axis of an array, which may be several named ones merged."""
    total = sp.Mul(*dim)
    _ORDER[total] = dim
    return total


class Home:
    """What the symbols of one derivation share.

    literals:     options that have a name, such as ε, by value: how a formula's letters are told apart from those of tensors
    assumptions:  the questions that were answered so: (left, sign, right)
    answer:       a question's answer: 1, 0, or what is 1 where it is yes
    """

    def __init__(self) -> None:
        self.literals: dict[float, Any] = {}
        self.assumptions: dict[tuple[Any, str, Any], None] = {}

    def answer(self, expr: Any, sign: str, other: Any) -> Any:
        raise NotSymbolicError("a comparison has no formula.")

    def complement(self, condition: Any) -> Any:
        """What is 1 where a condition does not hold."""
        return 1 - condition

    def literal(self, value: Any) -> Any:
        """A number as it stands: what is a size or has a name is known by its place, not by its value."""
        if isinstance(value, sp.Basic):
            expr = sp.sympify(value)
            return expr.xreplace({n: rational(float(n)) for n in expr.atoms(sp.Float)})
        number = float(value)
        if not math.isfinite(number):
            raise NotSymbolicError(f"{number} is no number to calculate with.")
        return rational(number)


@lru_cache(maxsize=10_000)
def rational(number: float) -> Any:
    """A third is a third, 1e-05 is 1/100000, and 0.7978845608028654 is √(2/π): where a number is to rounding."""
    near = Fraction(number).limit_denominator(60)
    one = min(1.5 * math.ulp(number), abs(number) / 2**51)  # the float beside it, and not the one after that
    if abs(near - Fraction(number)) <= one:
        return sp.Rational(near.numerator, near.denominator)
    text = repr(number)
    if len(text.replace("-", "").replace(".", "").strip("0").split("e")[0]) > 14:
        for value, exact in _constants().items():
            short = float(f"{number / value:.7g}")
            part = Fraction(number / value).limit_denominator(24)
            for times, shown in ((short, sp.Rational(repr(short))), (float(part), sp.Rational(part.numerator, part.denominator))):
                if times and abs(times * value - number) <= one:
                    return shown * exact
    return sp.Rational(text)


@lru_cache(maxsize=1)
def _constants() -> dict[float, Any]:
    """Numbers that have a name, and are written into programs as decimals."""
    two, pi = sp.sqrt(2), sp.sqrt(sp.pi)
    many = [
        two,
        pi,
        1 / pi,
        two * pi,
        two / pi,
        1 / (two * pi),
        sp.pi,
        1 / sp.pi,
        two / sp.pi,
        sp.log(2),
        1 / sp.log(2),
        sp.log(10),
        1 / sp.log(10),
        sp.sqrt(3),
    ]
    return {float(c): c for c in many}


class Symbol:
    """A SymPy expression and the array axes it stands on."""

    dtype = None

    def __init__(self, expr: Any, dims: Dims = (), home: Home | None = None) -> None:
        self.expr, self.dims, self.home = expr, dims, home or Home()

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple(size(dim) for dim in self.dims)

    @property
    def size(self) -> Any:
        return sp.Mul(*self.shape)

    @property
    def ndim(self) -> int:
        return len(self.dims)

    def __mul__(self, other: Any) -> Symbol:
        return elementwise(lambda a, b: a * b, self, other)

    def __add__(self, other: Any) -> Symbol:
        return elementwise(lambda a, b: a + b, self, other)

    def __sub__(self, other: Any) -> Symbol:
        return elementwise(lambda a, b: a - b, self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return elementwise(lambda a, b: b - a, self, other)

    def __truediv__(self, other: Any) -> Symbol:
        return elementwise(lambda a, b: a / b, self, other)

    def __rtruediv__(self, other: Any) -> Symbol:
        return elementwise(lambda a, b: b / a, self, other)

    def __pow__(self, n: Any) -> Symbol:
        return elementwise(lambda a: a ** (n.expr if isinstance(n, Symbol) else rational(float(n))), self)  # no size, no ε

    def __neg__(self) -> Symbol:
        return elementwise(lambda a: -a, self)

    __radd__, __rmul__ = __add__, __mul__

    def _ask(self, sign: str, other: Any) -> Symbol:
        meant = other.expr if isinstance(other, Symbol) else self.home.literal(other)
        dims = elementwise(lambda a, b: a, self, other).dims if isinstance(other, Symbol) else self.dims
        return Symbol(self.home.answer(self.expr, sign, meant), dims, self.home)

    def __lt__(self, other: Any) -> Symbol:
        return self._ask("<", other)

    def __le__(self, other: Any) -> Symbol:
        return self._ask("≤", other)

    def __gt__(self, other: Any) -> Symbol:
        return self._ask(">", other)

    def __ge__(self, other: Any) -> Symbol:
        return self._ask("≥", other)

    def __eq__(self, other: object) -> Symbol:  # type: ignore[override]
        return self._ask("=", other)

    __hash__ = object.__hash__

    def apply_op(self, op: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> Symbol:
        """An op over symbols: its meaning in the table below."""
        if op.name not in MEANINGS:
            raise NotSymbolicError(f"{op.name}: this op has no formula over named axes.")
        home = self.home
        try:
            return MEANINGS[op.name](
                *(x if isinstance(x, Symbol) else Symbol(home.literal(x), (), home) for x in inputs), **params
            )
        except NotSymbolicError as error:
            raise NotSymbolicError(str(error) if str(error).startswith(op.name) else f"{op.name}: {error}") from None


def elementwise(f: Callable[..., Any], *operands: Any) -> Symbol:
    home = next(a.home for a in operands if isinstance(a, Symbol))
    symbols = [a if isinstance(a, Symbol) else Symbol(home.literal(a), (), home) for a in operands]
    ndim = max(s.ndim for s in symbols)
    spread = [((),) * (ndim - s.ndim) + s.dims for s in symbols]
    dims = tuple(next((dim for dim in several if dim), ()) for several in zip(*spread))
    expr = f(*(s.expr for s in symbols))
    if expr.has(sp.zoo, sp.nan, sp.oo, -sp.oo):
        raise NotSymbolicError("it is no number, such as 0/0, whatever the inputs are.")
    return Symbol(expr, dims, home)


def _reduced(x: Symbol, axis: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(a for k in axis for a in x.dims[k])


def _sum(x: Symbol, axis: tuple[int, ...]) -> Symbol:
    dims = tuple(() if k in axis else dim for k, dim in enumerate(x.dims))
    return Symbol(sigma(x.expr, _reduced(x, axis)), dims, x.home)


def _mean(x: Symbol, axis: tuple[int, ...]) -> Symbol:
    found = _sum(x, axis)
    return Symbol(found.expr / sp.Mul(*_reduced(x, axis)), found.dims, x.home)


def _softmax(x: Symbol, axis: tuple[int, ...]) -> Symbol:
    e = _function(sp.exp)(x)
    return e / _sum(e, axis)


def _logsumexp(x: Symbol, axis: tuple[int, ...]) -> Symbol:
    return _function(sp.log)(_sum(_function(sp.exp)(x), axis))


def _dims(shape: tuple[Any, ...]) -> Dims:
    for n in shape:
        if n != 1 and n not in _ORDER:
            raise NotSymbolicError(f"a size of {n} belongs to no named axis.")
    return tuple(() if n == 1 else _ORDER[n] for n in shape)


def _reshape(x: Symbol, shape: tuple[Any, ...]) -> Symbol:
    dims = _dims(shape)
    if [a for dim in dims for a in dim] != [a for dim in x.dims for a in dim]:
        raise NotSymbolicError("reshape: it does more than splitting and merging axes.")
    return Symbol(x.expr, dims, x.home)


def _unbroadcast(x: Symbol, shape: tuple[Any, ...]) -> Symbol:
    lead = len(x.dims) - len(shape)
    spread = (*range(lead), *(lead + k for k, n in enumerate(shape) if n == 1))
    return Symbol(_sum(x, spread).expr, tuple(() if n == 1 else dim for dim, n in zip(x.dims[lead:], shape)), x.home)


def _getitem(x: Symbol, index: Any) -> Symbol:
    found = places(index, x.dims)
    if found is None:
        raise NotSymbolicError("getitem: this op has no formula over named axes.")
    return Symbol(x.expr, tuple(() if k is None else x.dims[k] for k in found), x.home)


def _scatter(x: Symbol, index: Any, shape: tuple[Any, ...]) -> Symbol:
    dims = _dims(shape)
    if places(index, dims) is None:
        raise NotSymbolicError("scatter: this op has no formula over named axes.")
    return Symbol(x.expr, dims, x.home)


def _product(xs: tuple[Symbol, ...], terms: list[str]) -> Symbol:
    dims: dict[str, Any] = {}
    for x, term in zip(xs, terms):
        for dim, c in zip(x.dims, term):
            dims[c] = dims.get(c) or dim
    over = [a for c, dim in dims.items() if c not in terms[-1] for a in dim]
    return Symbol(sigma(sp.Mul(*(x.expr for x in xs)), over), tuple(dims[c] for c in terms[-1]), xs[0].home)


def _where(c: Symbol, a: Symbol, b: Symbol) -> Symbol:
    no = c.home.complement(c.expr)
    return elementwise(lambda c, a, b: a if c == 1 else b if c == 0 else c * a + no * b, c, a, b)


def _highest(x: Symbol, axis: tuple[int, ...]) -> Symbol:
    over = sorted(_reduced(x, axis), key=str)
    dims = tuple(() if k in axis else dim for k, dim in enumerate(x.dims))
    return Symbol(Highest(x.expr, *over) if over and not x.expr.is_number else x.expr, dims, x.home)


def _function(f: Any) -> Callable[..., Symbol]:
    return lambda *xs: elementwise(f, *xs)


def _phi(x: Any) -> Any:
    return (1 + sp.erf(x / sp.sqrt(2))) / 2


MEANINGS: dict[str, Callable[..., Symbol]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda x: -x,
    "pow": lambda x, n: x**n,
    "power": _function(lambda a, b: a**b),
    "exp": _function(sp.exp),
    "log": _function(sp.log),
    "sqrt": _function(sp.sqrt),
    "rsqrt": _function(lambda x: 1 / sp.sqrt(x)),
    "tanh": _function(sp.tanh),
    "sin": _function(sp.sin),
    "cos": _function(sp.cos),
    "erf": _function(sp.erf),
    "log1p": _function(lambda x: sp.log(1 + x)),
    "expm1": _function(lambda x: sp.exp(x) - 1),
    "ndtr": _function(_phi),
    "gelu": _function(lambda x: x * _phi(x)),
    "gelu_tanh": _function(lambda x: x / (1 + sp.exp(-x * (rational(GELU_TANH[0]) + rational(GELU_TANH[1]) * x**2)))),
    "softplus": _function(lambda x: sp.log(1 + sp.exp(x))),
    "sigmoid": _function(lambda x: 1 / (1 + sp.exp(-x))),
    "sum": _sum,
    "mean": _mean,
    "max": _highest,
    "softmax": _softmax,
    "logsumexp": _logsumexp,
    "log_softmax": lambda x, axis: x - _logsumexp(x, axis),
    "reshape": _reshape,
    "transpose": lambda x, axes: Symbol(x.expr, tuple(x.dims[a] for a in axes), x.home),
    "broadcast_to": lambda x, shape: Symbol(x.expr, _dims(shape), x.home),
    "unbroadcast": _unbroadcast,
    "getitem": _getitem,
    "einsum": lambda *xs, equation: _product(xs, indices("einsum", {"equation": equation}, [])),
    "matmul": lambda a, b: _product((a, b), indices("matmul", {}, [a.ndim, b.ndim])),
    "scatter": _scatter,
    "astype": lambda x, dtype: x,
    "maximum": lambda a, b: _where(a >= b, a, b),
    "minimum": lambda a, b: _where(a <= b, a, b),
    "abs": _function(sp.Abs),
    "relu": lambda x: _where(x > 0, x, 0 * x),
    "sign": _function(sp.sign),
    "where": _where,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: 1 - (a == b),
}
"""What each op means over symbols. A comparison is 1 where it holds."""
