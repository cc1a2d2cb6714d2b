"""A function recorded so that its record holds for other data of the same shapes: all that depends on its arguments is on it.

It is recorded twice, on numbers that have nothing in common. What differs between the two records then is a number, a constant
or a course of things that was made from the data outside of the record, and is refused by name.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine import TABLE, Generator, Op, Tensor, drawing_from, enable_grad, history
from ..engine import random as drawing
from ..engine.arrays import Array
from ..engine.state import state
from .following import MORE, Followed, RecordError, array_of, asked_by_the_house, known_as, leaving

tensors: Any = sys.modules[Tensor.__module__]  # whose name is that of a function


@dataclass(frozen=True)
class Operand:
    """In an option of an op: stands for its operand of this number (an index that is no constant)."""

    position: int


@dataclass(frozen=True)
class Drawn:
    """A dropout mask: 1/(1 − p) with the probability 1 − p, else 0."""

    p: float


@dataclass
class Recorded:
    """What came of a call.

    tensors:    all that the outputs were computed from, oldest first, among them the arguments that were used
    arguments:  the leaves that stand for the arguments
    outputs:    in the order of ``flat``
    drawn:      masks, which are to be drawn anew
    """

    name: str
    tensors: list[Tensor]
    arguments: list[Tensor]
    outputs: list[Tensor]
    drawn: dict[Tensor, Drawn] = field(default_factory=dict)


class _Recorder:
    """Everything that is made of tensors while a function runs, in this thread.

    made:     constants, by what op made them of which operands
    current:  for leaves that were given new data: the tensor that these are
    arrays:   by where they lie in memory, arrays that are a tensor's values, and stay so as long as this is held
    """

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.made: dict[Tensor, tuple[Op, tuple[Any, ...], dict[str, Any]]] = {}
        self.current: dict[Tensor, Tensor] = {}
        self.before: dict[Tensor, Array] = {}
        self.arrays: dict[Any, tuple[Any, Tensor | Drawn]] = {}
        self.drawn: dict[Tensor, Drawn] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Every way by which a tensor's values get anywhere leads past here."""
        _ONE_AT_A_TIME.acquire()
        own = {k: vars(Tensor)[k] for k in ("__init__", "apply_op", "detach", "data", "numpy", "__getitem__", *_LEAVING)}
        renew, as_array, kept = tensors.renew, tensors._as_array, drawing.kept

        def mine(function: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *args, **kwargs: (function if threading.get_ident() == self.thread else otherwise)(*args, **kwargs)

        def init(x: Tensor, data: Any, *args: Any, **kwargs: Any) -> None:
            known = self.known(data)
            own["__init__"](x, data.view(np.ndarray) if isinstance(data, Followed) else data, *args, **kwargs)
            if isinstance(known, Drawn):
                self.drawn[x] = known
            elif known is not None:
                self.made[x] = (TABLE["astype"], (known,), {"dtype": x.dtype})

        def apply_op(x: Tensor, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
            inputs = tuple([self.now(known_as(v)) for v in inputs])
            out: Tensor = own["apply_op"](x, op, inputs, params)
            if out.op is None and all(isinstance(v, (Tensor, int, float)) for v in inputs):
                self.made[out] = (op, inputs, params)
            self.keep(out._data, out)
            return out

        def detach(x: Tensor) -> Tensor:
            out: Tensor = own["detach"](x)
            self.made[out] = (TABLE["astype"], (self.now(x),), {"dtype": x.dtype})
            return out

        def get(x: Tensor, index: Any) -> Any:
            return own["__getitem__"](x, known_as(index))

        def data(x: Tensor) -> Any:
            now = self.now(x)
            x._data.setflags(write=False)
            return array_of(now)

        def renewed(leaf: Tensor, new: Array) -> None:
            self.before.setdefault(leaf, leaf._data)
            known = self.known(new)
            renew(leaf, new.view(np.ndarray) if isinstance(new, Followed) else new)
            self.current[leaf] = known if isinstance(known, Tensor) else Tensor(new)

        def copied(name: str, value: Any, dtype: Any = None) -> Array:
            found: Array = as_array(name, value, dtype)
            node = self.known(value)
            if isinstance(node, Tensor):
                self.keep(found, node if node.dtype == found.dtype else TABLE["astype"](node, dtype=found.dtype))
            return found

        def mask(shape: Any, p: float, dtype: Any, generator: Any) -> Array:
            found: Array = kept(shape, p, dtype, generator)
            self.keep(found, Drawn(p))
            return found

        def asked(name: str) -> Callable[..., Any]:
            method = own[name]
            return mine(lambda x, *args, **how: (leaving(x, name.strip("_") + "()"), method(x, *args, **how))[1], method)

        Tensor.__init__ = mine(init, own["__init__"])  # type: ignore[method-assign]
        Tensor.apply_op = mine(apply_op, own["apply_op"])  # type: ignore[method-assign]
        Tensor.numpy = mine(lambda x: own["numpy"](x) if asked_by_the_house() else data(x), own["numpy"])  # type: ignore[method-assign]
        Tensor.detach = mine(detach, own["detach"])  # type: ignore[method-assign]
        Tensor.__getitem__ = mine(get, own["__getitem__"])  # type: ignore[method-assign]
        Tensor.data = property(mine(data, own["data"].fget), own["data"].fset)  # type: ignore[method-assign,assignment]
        for name in _LEAVING:
            setattr(Tensor, name, asked(name))
        tensors.renew, tensors._as_array = mine(renewed, renew), mine(copied, as_array)
        drawing.kept = mine(mask, kept)
        general, state.general = state.general, True
        try:
            yield
        finally:
            state.general = general
            tensors.renew, tensors._as_array, drawing.kept = renew, as_array, kept
            for name, method in own.items():
                setattr(Tensor, name, method)
            _ONE_AT_A_TIME.release()

    def keep(self, array: Array, known: Tensor | Drawn) -> None:
        """Of two tensors with one memory the older."""
        if array.size:
            self.arrays.setdefault(_place(array), (array, known))

    def known(self, value: Any) -> Tensor | Drawn | None:
        """Which tensor's values an array is, whatever NumPy has made of its class."""
        if isinstance(value, Followed):
            return known_as(value)  # type: ignore[no-any-return]
        return self.arrays.get(_place(value), (None, None))[1] if isinstance(value, np.ndarray) else None

    def now(self, x: Any) -> Any:
        return self.current.get(x, x) if isinstance(x, Tensor) else x

    def joined(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """All that the outputs were computed from, the constants with what they were made of, oldest first."""
        for t, (op, inputs, params) in self.made.items():
            if t.op is None:
                t.op, t.inputs, t.params = op, inputs, params
        found: set[Tensor] = set()
        waiting = list(outputs)
        while waiting:
            for t in history(waiting.pop()):
                if t not in found:
                    found.add(t)
                    waiting += self._with_its_index(t)
        return sorted(found, key=lambda t: t.birth)

    def _with_its_index(self, t: Tensor) -> list[Tensor]:
        """Make operands of the tensors in its options."""
        operands: list[Tensor] = []

        def replaced(value: Any) -> Any:
            if isinstance(value, (tuple, list)):
                return type(value)(replaced(v) for v in value)
            known = self.known(value)
            if isinstance(known, Tensor):
                operands.append(known)
                return Operand(len(t.inputs) + len(operands) - 1)
            return value

        params = {k: replaced(v) for k, v in t.params.items()}
        if operands:
            t.inputs, t.params = (*t.inputs, *operands), params
        return operands


def _place(a: Array) -> Any:
    return (a.__array_interface__["data"][0], a.shape, a.strides, a.dtype.str) if a.size else None


_ONE_AT_A_TIME = threading.RLock()
_LEAVING = ("__bool__", "__float__", "__int__", "__index__", "__contains__", "__array__", "item", "tolist")


def record(name: str, call: Callable[[Sequence[Tensor]], Sequence[Any]], arrays: Sequence[Array], seed: int = 0) -> Recorded:
    """One call on these arrays.

    call:  from tensors to a list of what came out: tensors, arrays, numbers

    Raises ``RecordError`` where the values are read, or something is changed that is no argument.
    """
    recorder = _Recorder()
    with drawing_from(Generator(seed)), enable_grad(), np.errstate(all="ignore"):
        arguments = [Tensor(np.array(a), requires_grad=a.dtype.kind == "f") for a in arrays]
        for a in arguments:
            recorder.keep(a._data, a)
        try:
            with recorder.watching():
                results = [known_as(r) for r in call(arguments)]
                outputs = [recorder.now(r if isinstance(r, Tensor) else Tensor(np.asarray(r))) for r in results]
        finally:
            others = _restored(recorder, arguments)
    if others:
        raise RecordError(
            f"{name}: it changes a tensor that is no argument, {_called(others[0])}, where a function elsewhere cannot reach. Pass it: "
            "nn.functional_call(net, (parameters, buffers), x), and return what it became."
        )
    tensors_ = recorder.joined(outputs)
    for t in tensors_:
        if t.op is not None and TABLE.get(t.op.name) is not t.op and MORE.get(t.op.name) is not t.op:
            raise RecordError(
                f"{name}: {_called(t)} was computed by {t.op.name}, a node with rules of its own, for which nothing stands elsewhere. "
                'Record its operations: backward="recorded".'
            )
    return Recorded(name, tensors_, arguments, outputs, {t: d for t, d in recorder.drawn.items() if t in set(tensors_)})


def _restored(recorder: _Recorder, arguments: Sequence[Tensor]) -> list[Tensor]:
    """Leaves that were given new data and are no arguments, with their old data again."""
    mine = set(arguments)
    others = [t for t in recorder.before if t not in mine]
    for t, old in recorder.before.items():
        t._data = old
    return others


def _called(t: Tensor) -> str:
    where = " in " + " › ".join(t.scope) if t.scope else ""
    return f"{t.name or 'a tensor'} of shape {t.shape}{where}"


# What differs ---------------------------------------------------------------------------------------------


def same(first: Recorded, second: Recorded) -> None:
    """``RecordError`` where the second record, of the same function on other data, is another one."""
    places: list[dict[Tensor, int]] = [{t: i for i, t in enumerate(r.tensors)} for r in (first, second)]
    which: list[dict[Tensor, int]] = [{t: i for i, t in enumerate(r.arguments)} for r in (first, second)]
    for a, b in zip(first.tensors, second.tensors):
        if (
            (a.op and a.op.name) != (b.op and b.op.name)
            or a.shape != b.shape
            or a.dtype != b.dtype
            or len(a.inputs) != len(b.inputs)
        ):
            _refuse(first.name, a, "it does something else, or something of another shape, with other data (a branch on values)")
        if a in first.drawn:
            continue
        if a.op is None:
            if which[0].get(a) != which[1].get(b):
                _refuse(first.name, a, "which argument is used depends on the data")
            if a not in which[0] and a._data is not b._data and not _equal(a._data, b._data):
                _refuse(first.name, a, "a constant was made from the data, or from random numbers, outside of the record")
            continue
        for i, (x, y) in enumerate(zip(a.inputs, b.inputs)):
            where = [p.get(v) if isinstance(v, Tensor) else None for p, v in zip(places, (x, y))]
            if where[0] != where[1] or (where[0] is None and not _equal(x, y)):
                _refuse(first.name, a, f"its operand {i} is {_said(x)}, with other data {_said(y)}: it was made from the data")
        for k, v in a.params.items():
            if not _equal(v, b.params.get(k)):
                _refuse(first.name, a, f"its {k} was made from the data outside of the record")
    if len(first.tensors) != len(second.tensors):
        _refuse(first.name, first.tensors[-1], "it takes another course with other data (a branch on values)")
    for a, b in zip(first.outputs, second.outputs):
        if places[0][a] != places[1][b]:
            _refuse(first.name, a, "which tensor is returned depends on the data")


def _refuse(name: str, t: Tensor, why: str) -> None:
    what = f"{t.op.name}, which computes {_called(t)}" if t.op else _called(t)
    raise RecordError(
        f"{name}: {what}: {why}. A record would keep that of one call. Compute it with the functions of tn, select with tn.where, or pass "
        "it as an argument."
    )


def _said(x: Any) -> str:
    return f"{x:g}" if isinstance(x, (int, float)) else f"a tensor of shape {x.shape}" if isinstance(x, Tensor) else repr(x)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    return bool(a == b or (a != a and b != b))


# Numbers to record on ---------------------------------------------------------------------------------------


def numbers(shapes: Sequence[tuple[tuple[int, ...], Any]]) -> Iterator[tuple[list[Array], list[Array]]]:
    """Two sets of arrays that have nothing in common; then others, for functions that refuse those: probabilities instead of any
    numbers, and class 0 where there is no other."""
    for low, high, integers in ((None, None, (0, 1)), (0.1, 0.9, (0, 1)), (0.1, 0.9, (0, 0)), (None, None, (0, 0))):
        first, second = (
            [_drawn(rng, s, np.dtype(d), k, low, high, integers) for s, d in shapes]
            for k, rng in enumerate(map(np.random.default_rng, (0, 1)))
        )
        yield first, second


def _drawn(rng: Any, shape: Any, dtype: Any, k: int, low: Any, high: Any, integers: tuple[int, int]) -> Array:
    if dtype.kind == "b":
        found = np.random.default_rng(7).random(shape) < 0.5
        return np.asarray(found ^ bool(k))
    if dtype.kind in "iu":
        some = np.random.default_rng(7).random(shape) < 0.5
        return np.where(some ^ bool(k), *integers).astype(dtype)
    values = rng.normal(scale=1 + k, size=shape) if low is None else rng.uniform(low, high, shape)
    return np.asarray(values, dtype)
