"""What Python asks while a function runs: answers on which it may branch, and of which the record keeps nothing.

``if x.shape[-1] % 4``, ``if x.data.max() > 50``, a cache by shape: such a function is as many functions as there are answers, and
no number of runs finds them all. So while one runs, whatever but a tensor reaches its own lines is noted with the line that asked:
what this package answers to them (values, a dtype, a name, an error that is caught), and what becomes of sizes (``following``).
What this package asks inside of a function of its own is part of what that function is.

Not seen is what does not come from its tensors: the clock, chance, how often it was called, what another thread reads. A function
that asks these has no gradient to prove anything of.
"""

from __future__ import annotations

import builtins
import contextlib
import dis
import inspect
import linecache
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, ModuleType
from typing import Any

import numpy as np

from ..engine import Op, Tensor, tensor
from ..engine.tensor import renew
from .assumption import asked
from .catching import ERRORS, asked_by, catches
from .following import ROUGHLY, Number, Tree, bare, size, told_by
from .frames import arguments, is_own, is_passing, parts
from .habits import IN_NUMPY, Modules, modules, root
from .makings import Entering, Making
from .swapped import swapped
from .watching import asked_of

_asking_for: set[CodeType] = set()
_heard: list[Heard] = []


def asks_for_its_caller(function: Callable[..., Any]) -> Callable[..., Any]:
    """The size that this function asks for is for whoever calls it."""
    _asking_for.add(function.__code__)
    return function


class Heard:
    """What was asked while a function ran.

    said:      sentences, each once
    trees:     of the numbers on the record, by tensor and place: by which formula of sizes each was computed
    entering:  of what the constants were made
    picked:    tensors of as many entries as a mask, a slice or their values say
    dtypes:    the tensors whose dtype was asked
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.trees: dict[Tensor, dict[int | str, Tree]] = {}
        self.entering = Entering(self.follows)
        self.picked: set[Tensor] = set()
        self.thread = threading.get_ident()
        self.first = tensor(0.0).birth
        self.plain = False  # sizes are plain numbers
        self.dtypes: list[Tensor] = []
        self.outer: set[int] = set()  # the calls that were under way
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if not is_passing(frame):  # which end before this does
                self.outer.add(id(frame))
            frame = frame.f_back

    @property
    def makings(self) -> dict[Tensor, Making]:
        return self.entering.makings

    def follows(self, t: Tensor) -> bool:
        """Whether a tensor may be another one when the inputs are: not one that was there before."""
        return t._requires_grad or t.birth > self.first or t in self.entering.makings


def _asker(frame: FrameType | None, passing: bool = False) -> FrameType | None:
    """Who asks: this frame, or who is asked for."""
    while frame is not None and (is_passing(frame) or (passing and frame.f_code in _asking_for)):
        frame = frame.f_back
    return frame


def _listens(frame: FrameType, passing: bool = False) -> bool:
    """Whether a line of the function itself is asking, and somebody listens."""
    if not _heard or threading.get_ident() != _heard[-1].thread:
        return False
    asker = _asker(frame, passing)
    return asker is not None and not is_own(asker)


def _line(frame: FrameType | None) -> str:
    """The first line from here upwards that is not this package's."""
    while frame is not None and (is_own(frame) or is_passing(frame)):
        frame = frame.f_back
    if frame is None:
        return ""
    path, number = frame.f_code.co_filename, frame.f_lineno
    linecache.checkcache(path)
    return f" ({os.path.basename(path)}:{number}: {linecache.getline(path, number).strip()[:100]})"


def _ask(what: str, frame: FrameType, always: bool = False) -> None:
    if always or _listens(frame):
        text = asked(what, _line(frame))
        if _heard and text not in _heard[-1].said:
            _heard[-1].said.append(text)


# What the package answers -------------------------------------------------------------------------------------

_VALUES = ("data", "numpy", "item", "tolist", "__array__", "__bool__", "__float__", "__int__", "__index__", "__contains__")
_WORDS = {
    **dict.fromkeys(_VALUES, "the values that it computes from"),
    "requires_grad": "whether it requires a gradient",
    "name": "how it is called",
    "dtype": "its dtype",
    "__len__": "its length",
}
_AS_MANY = ("split", "chunk", "unbind")  # as many tensors as sizes say
_NOTHING = ("ndim", "dim", "__init__", "__hash__")  # tell nothing that is not known
_NO_ANSWER = ("backward", "data", "grad", "requires_grad", "name", "__exit__")  # what becomes of it is heard
_LISTENERS = tuple(f.__code__.co_filename for f in (asks_for_its_caller, size, asked_of, arguments, Entering.born, catches, root))
_INIT, _RENEW, _APPLY = Tensor.__init__.__code__, renew.__code__, Tensor.apply_op.__code__
_OP = inspect.getattr_static(Tensor, "op")
_DATA = inspect.getattr_static(Tensor, "_data")
_KINDS = frozenset(("type", "isinstance", "issubclass", "hasattr", "getattr", "callable", "__class__", "__name__", "__dict__"))
"""With which a line tells what is followed from what is not."""
_RETURNS = tuple(n for n, name in enumerate(dis.opname) if name.startswith(("RETURN", "YIELD")))


def _hears(previous: Any, home: Modules) -> Callable[[FrameType, str, Any], None]:
    """What listens to each return of a function of this package to a line that is not its."""

    begun: list[tuple[FrameType, int]] = []  # the functions that this package calls, and how much was said before

    def attempt(frame: FrameType, event: str) -> None:
        """What a function asked that then fails is no part of what it computes elsewhere."""
        if event == "call" and frame.f_back is not None and is_own(frame.f_back):
            begun.append((frame, len(_heard[-1].said)))
        elif event == "return" and begun and begun[-1][0] is frame:
            said = begun.pop()[1]
            if frame.f_code.co_code[frame.f_lasti] not in _RETURNS:
                del _heard[-1].said[said:]

    def hear(frame: FrameType, event: str, answer: Any) -> None:
        if previous is not None:
            previous(frame, event, answer)
        if event not in ("call", "return") or frame.f_code.co_filename in _LISTENERS:
            return
        if not _heard or threading.get_ident() != _heard[-1].thread:
            return
        if event == "call":
            if not (is_own(frame) or is_passing(frame)):
                attempt(frame, event)
                if home.enter(frame) and not _KINDS.isdisjoint(frame.f_code.co_names):
                    _ask("of what kind something is", frame)
            _called(frame)
        elif not is_own(frame):
            attempt(frame, event)
            if frame.f_back is not None and (what := asked_by(frame)) is not None:
                _ask(what, frame.f_back)
        else:
            _returned(frame, answer)

    return hear


def _called(frame: FrameType) -> None:
    """What a function's own line is handed, and what is about to be written over."""
    if frame.f_code is _RENEW:
        leaf = frame.f_locals["leaf"]
        _heard[-1].entering.written(leaf, _DATA.__get__(leaf), frame.f_back)
        if leaf._requires_grad:
            _ask("values of what it was given, which it changes", frame, always=True)
    elif frame.f_back is not None and is_own(frame.f_back) and _listens(frame) and any(map(_is_values, parts(arguments(frame)))):
        _ask("the values that it is called with", frame)


def _is_values(x: Any) -> bool:
    return isinstance(x, (np.ndarray, np.generic))


def _returned(frame: FrameType, answer: Any) -> None:
    heard, back = _heard[-1], frame.f_back
    if type(answer) is Tensor and _OP.__get__(answer) is None:
        _enters(answer, frame)
    elif frame.f_code is _INIT and _INIT.co_code[frame.f_lasti] in _RETURNS:
        heard.entering.born(frame.f_locals["self"], back)
    if back is None or not _listens(back):
        return
    code = frame.f_code
    if code.co_code[frame.f_lasti] not in _RETURNS:
        _ask(f"whether {code.co_name} is an error", back)
    elif not _is_silent(answer, frame):
        if code.co_name == "dtype":
            heard.dtypes.append(frame.f_locals["self"])
        _ask(_WORDS.get(code.co_name, f"what {code.co_name} answers"), back)
    caller = _asker(back)
    while caller is not None and not is_own(caller) and id(caller) not in heard.outer:
        if catches(caller.f_code):
            _ask(ERRORS, caller)
        caller = caller.f_back


def _enters(constant: Tensor, frame: FrameType) -> None:
    heard, given = _heard[-1], arguments(frame)
    if given and type(given[0]) is Number and _DATA.__get__(constant).size == 1:
        heard.trees.setdefault(constant, {"value": given[0].tree})
    if any(isinstance(x, Tensor) and x in heard.picked for x in given):
        heard.picked.add(constant)
    heard.entering.returned(constant, frame)
    made = heard.makings.get(constant)
    here = made is not None and made[0] == frame.f_code.co_name and frame.f_code is not _APPLY
    if here and not constant._requires_grad and not _has_their_sizes(constant, given):
        heard.picked.add(constant)


def _has_their_sizes(constant: Tensor, given: tuple[Any, ...]) -> bool:
    """Whether each size of it is one of what it was made of."""
    sizes = {n for x in parts(given) if isinstance(x, Tensor) for n in _DATA.__get__(x).shape}
    sizes |= {bare(x) for x in parts(given) if type(x) in (int, Number)}
    return sizes.issuperset(_DATA.__get__(constant).shape)


def _is_silent(answer: Any, frame: FrameType) -> bool:
    """Whether an answer tells nothing but what is on the record: tensors, what computes them, and sizes that are followed."""
    code = frame.f_code
    if code.co_name in _NOTHING:
        return True
    if code.co_flags & inspect.CO_GENERATOR:
        return answer is None or _is_a_context(answer)
    if answer is NotImplemented or isinstance(answer, (Tensor, ModuleType)) or type(answer) is Number:
        return True
    if answer is None and (code.co_name in _NO_ANSWER or not _heard[-1].entering.has_tensors(arguments(frame))):
        return True
    if isinstance(answer, tuple) and code.co_name not in _AS_MANY:
        return all(x is None or isinstance(x, Tensor) or type(x) is Number for x in answer)
    if not isinstance(answer, (np.ndarray, np.generic)) and (
        callable(answer) or _is_a_context(answer) or hasattr(type(answer), "__array_ufunc__")
    ):
        return True
    return not any(map(_tells, arguments(frame)))


def _is_a_context(answer: Any) -> bool:
    """One of this package's; a path, which has been written to, may be entered, too."""
    kind = type(answer)
    return hasattr(kind, "__enter__") and kind.__module__.startswith((*_CONTEXTS, "contextlib"))


_CONTEXTS = (__package__.rpartition(".")[0] + ".",)


def _tells(given: Any) -> bool:
    """Whether something of the inputs is in what a function was given."""
    if isinstance(given, Tensor):
        return _heard[-1].follows(given)
    if isinstance(given, (tuple, list, set)):
        return any(map(_tells, given))
    if isinstance(given, dict):
        return any(map(_tells, given.values()))
    return type(given) is Number or hasattr(given, "__dict__") or hasattr(type(given), "__slots__")


# Tensors ------------------------------------------------------------------------------------------------------


_size: Callable[[int], Any] = size


def _shape(plain: Any) -> Any:
    def shape(self: Tensor) -> tuple[int, ...]:
        sizes = plain.fget(self)
        return tuple(map(_size, sizes)) if _follows(self, sys._getframe(1)) else sizes

    return property(shape)


def _count(plain: Any) -> Any:
    def count(self: Tensor) -> Any:
        return _size(plain.fget(self)) if _follows(self, sys._getframe(1)) else plain.fget(self)

    return property(count)


def _numel(plain: Any) -> Any:
    def numel(self: Tensor) -> Any:
        return _size(plain(self)) if _follows(self, sys._getframe(1)) else plain(self)

    return numel


def _follows(t: Tensor, frame: FrameType) -> bool:
    if not _listens(frame, passing=True):
        return False
    if t in _heard[-1].picked:
        _ask("how many entries are picked", frame)
        return False
    if _heard[-1].plain:
        _ask("its sizes, which could not be followed", frame)
    return not _heard[-1].plain


def _slot(plain: Any) -> Any:
    """What a node is made of; from outside it is a question."""

    def read(self: Tensor) -> Any:
        if _listens(sys._getframe(1)) and _heard[-1].follows(self):
            _ask("how it was recorded", sys._getframe(1))
        return plain.__get__(self)

    return property(read, plain.__set__, plain.__delete__)


def _applying(plain: Any) -> Any:
    """Ops take plain numbers; how each was computed is kept."""

    def apply_op(self: Tensor, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
        if not _heard or threading.get_ident() != _heard[-1].thread:
            return plain(self, op, inputs, params)  # type: ignore[no-any-return]
        places: list[tuple[int | str, Any]] = [*enumerate(inputs), *params.items()]
        numbers = {place: x for place, x in places if type(x) is Number}
        if any(x.rough for x in numbers.values()):
            _ask(ROUGHLY, sys._getframe(1), always=True)
        out: Tensor = plain(self, op, tuple(map(bare, inputs)), {k: bare(v) for k, v in params.items()})
        if numbers:
            _heard[-1].trees[out] = {place: x.tree for place, x in numbers.items()}
        if any(map(_picks, parts(params))) or any(isinstance(x, Tensor) and x in _heard[-1].picked for x in inputs):
            _heard[-1].picked.add(out)
        return out

    return apply_op


def _picks(x: Any) -> bool:
    """Whether of an index: a mask, or a slice from somewhere or to somewhere."""
    if isinstance(x, slice):
        return x.start is not None or x.stop is not None
    return isinstance(x, (Tensor, np.ndarray)) and x.dtype.kind == "b"


_SLOTS = ("op", "inputs", "params", "birth", "scope", "written", "_data", "_name", "_requires_grad", "_grad")


@contextmanager
def hearing() -> Iterator[Heard]:
    """What the functions that run inside ask."""
    heard = Heard()
    special = {"shape": _shape, "size": _count, "numel": _numel, "apply_op": _applying}
    changes = {n: make(inspect.getattr_static(Tensor, n)) for n, make in special.items()}
    changes |= {n: _slot(inspect.getattr_static(Tensor, n)) for n in _SLOTS}
    length = len  # of a tensor it is a size

    def length_of(x: Any) -> Any:
        return _size(length(x)) if type(x) is Tensor and _follows(x, sys._getframe(1)) else length(x)

    previous = sys.getprofile()
    _heard.append(heard)
    told_by(_ask)
    silent = previous is not None and not callable(previous)  # a profiler in C, which cannot be put back
    if silent:
        heard.said.append(asked("whatever it asks, which is not heard while a profiler runs", ""))
    with (
        swapped(Tensor, changes), swapped(math, {"sqrt": root}), swapped(np, IN_NUMPY), swapped(builtins, {"len": length_of}),
        modules() as home,
    ):  # fmt: skip
        listener = _hears(previous, home)
        if not silent:
            sys.setprofile(listener)
        try:
            yield heard
        finally:
            if not silent:
                if sys.getprofile() is not listener:
                    heard.said.append(asked("whatever it asks, which is not heard once it has set a profiler", ""))
                sys.setprofile(previous)
            told_by(None)
            _heard.remove(heard)


def listen(run: Callable[[], Any]) -> tuple[Any, Heard]:
    """What a call answers, and what was asked. Where its sizes cannot be followed (in C they may be asked for their type), it
    is run with plain ones, and that is said."""
    with hearing() as heard, contextlib.suppress(Exception):
        return run(), heard
    with hearing() as heard:
        heard.plain = True
        return run(), heard
