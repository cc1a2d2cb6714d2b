"""Modules: layers that hold their parameters, their buffers and their parts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from ..engine import DTypeError, Tensor, describe
from ..engine.state import leaves_in, state
from ..norms.arguments import flag
from .hooks import Hook, RemovableHandle, after, before
from .parameters import Parameter, leaf, real_dtype, word
from .paths import Called, Links, calls, inside, path_of
from .printing import arguments, in_lines
from .state import IncompatibleKeys, ModuleError, as_values, speak_as

Self = TypeVar("Self", bound="Module")
_NONE: Mapping[Any, Any] = MappingProxyType({})
_OWN = ("_kinds", "_pre_hooks", "_hooks")  # attributes that are the module's books


class Module:
    """A layer. Of its attributes, tensors that require gradients are its parameters, other tensors its buffers (running
    statistics), modules its parts, also those in lists, tuples and dicts. ``training`` says which of two ways it computes,
    where there are two.

    What has been a parameter stays one when it is frozen, ``requires_grad_(False)``; ``Parameter(t, requires_grad=False)``
    is one from the start, ``register_buffer`` makes a buffer of whatever it gets. A tensor that was computed from others
    that require gradients is neither.
    """

    __slots__ = ("__dict__", "__weakref__", "_paths")  # paths apart from the attributes: they are nobody's state

    training = True
    _kinds: Mapping[str, str] = _NONE  # by key: "parameter", "buffer", or "unsaved" for a buffer that is not persistent
    _pre_hooks: Mapping[int, Hook] = _NONE
    _hooks: Mapping[int, Hook] = _NONE

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        speak_as(cls)

    def forward(self, *inputs: Any) -> Any:
        raise ModuleError(f"{type(self).__name__}: a module must define forward.")

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        around, outermost = state.scope, calls.root is None
        if outermost:
            calls.root, calls.walked = self, False
        kind = type(self).__name__
        here = Called(kind if outermost else path_of(self))
        here.kind = kind
        if outermost:
            here.given = leaves_in(inputs, named)
        state.scope = (*around, here)
        try:
            if self._pre_hooks:
                inputs, named = before(self, self._pre_hooks, inputs, named)
            output = self.forward(*inputs, **named)
            return after(self, self._hooks, inputs, named, output) if self._hooks else output
        finally:
            state.scope = around
            if outermost:
                calls.root = None

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; what it returns, but for None, takes the arguments' place.

        with_kwargs: call ``hook(module, args, kwargs)``, which returns None or (args, kwargs); prepend: before the others.
        Returns a handle; ``handle.remove()`` takes it out again."""
        return RemovableHandle(self._book("_pre_hooks"), hook, with_kwargs, prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``, or ``hook(module, args, kwargs, output)``; what it returns, but
        for None, takes the output's place. Returns a handle, as ``register_forward_pre_hook`` does."""
        return RemovableHandle(self._book("_hooks"), hook, with_kwargs, prepend)

    # Parts ------------------------------------------------------------------------------------------------------------

    def _linked_parts(self) -> Iterator[tuple[str, Module, Links]]:
        mine = vars(self)
        for name in list(mine):
            if name not in _OWN:
                yield from (found for found in inside(name, mine, name) if isinstance(found[1], Module))

    def _parts(self) -> Iterator[tuple[str, Module]]:
        """The modules it holds, by the keys they would have in PyTorch (where a list of them must be a ModuleList)."""
        return ((name, part) for name, part, _ in self._linked_parts())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Its parts, not theirs, each once. What is in a list has the name "blocks.0"."""
        return _once(self._parts())

    def children(self) -> Iterator[Module]:
        return (part for _, part in self.named_children())

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module ("" unless ``prefix`` is given), its parts and theirs, each before its own; each once, under its first
        name, unless ``remove_duplicate=False``."""
        seen: set[int] = set() if memo is None else memo
        word("named_modules", "prefix", prefix)
        if id(self) in seen:
            return
        if flag("named_modules", "remove_duplicate", remove_duplicate):
            seen.add(id(self))
        yield prefix, self
        for name, part in self._parts():
            yield from part.named_modules(seen, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all its parts and theirs, each once."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Module:
        """The part with that name, ``"blocks.3.attn"``; "" is the module itself. ``ModuleError`` if there is none."""
        for name, module in self.named_modules(remove_duplicate=False):
            if isinstance(target, str) and name == target:
                return module
        raise ModuleError(
            f"{type(self).__name__}: no part has the name {describe(target)}. {_known(n for n, _ in self.named_modules() if n)}"
        )

    def add_module(self, name: str, module: Module | None) -> None:
        """The same as setting the attribute; the name may be any without a dot, such as "0"."""
        if module is not None and not isinstance(module, Module):
            raise DTypeError(f"{type(self).__name__}: part {describe(name)} is {describe(module)}, which is no module. Give one.")
        self._new_name(name, "part")
        setattr(self, name, module)

    register_module = add_module

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` with every part, then with the module itself."""
        if not callable(fn):
            raise DTypeError(f"{type(self).__name__}.apply: {describe(fn)} cannot be called. Give a function of a module.")
        for part in self.children():
            part.apply(fn)
        fn(self)
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Normalize by the batch from now on, and so on; ``mode=False`` is ``eval()``.

        It asks each part to, so that a part may refuse. One that stays frozen, as in fine-tuning:

            class Frozen(nn.BatchNorm2d):
                def train(self, mode=True):
                    return super().train(False)

        and ``requires_grad_(False)`` holds γ and β. ``track_running_stats = False`` is not that: in training a BatchNorm then
        leaves its running statistics as they are, but it normalizes by the batch."""
        self.training = flag(type(self).__name__, "mode", mode)
        for part in self.children():
            part.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Use what was learned, and change nothing."""
        return self.train(False)

    # Tensors ----------------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if self._kinds.get(name) == "parameter" and isinstance(value, Tensor) and not isinstance(value, Parameter):
            leaf(type(self).__name__, name, value)
            old = vars(self).get(name)
            if isinstance(old, Tensor) and old.requires_grad:
                raise DTypeError(
                    f"{type(self).__name__}.{name}: it is a parameter, the new value {describe(value)} requires no gradient and would "
                    f"not be trained. Give {name}.data new values; or set nn.Parameter(value), requires_grad=False to freeze it."
                )
        object.__setattr__(self, name, value)
        if isinstance(value, (Tensor, dict, list, tuple)) and name in vars(self) and name not in _OWN:
            for key, found, _ in inside(name, vars(self), name):
                self._kind(key, found)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        for key in [k for k in self._kinds if k == name or k.startswith(name + ".")]:
            del self._book("_kinds")[key]

    def __getstate__(self) -> dict[str, Any]:
        """Its attributes; a copy keeps books of its own."""
        return {name: dict(value) if name in _OWN else value for name, value in vars(self).items()}

    def _book(self, name: str) -> dict[Any, Any]:
        found: dict[Any, Any] = vars(self).setdefault(name, {})
        return found

    def _kind(self, key: str, value: Any) -> str | None:
        """What a tensor is to the module, and from now on, as it may be frozen; None: nothing."""
        if not isinstance(value, Tensor):
            return None
        if key in self._kinds:
            return self._kinds[key]
        if isinstance(value, Parameter):
            self._book("_kinds")[key] = "parameter"
            return "parameter"
        return "buffer" if value.op is None else None

    def _own(self) -> Iterator[tuple[str, Tensor, str]]:
        """Its own tensors, parameters first, with their kinds."""
        mine = vars(self)
        found = [
            (k, t, kind) for n in list(mine) if n not in _OWN for k, t, _ in inside(n, mine, n) if (kind := self._kind(k, t))
        ]
        return iter(sorted(found, key=lambda item: item[2] != "parameter"))

    def _tensors(self) -> Iterator[tuple[str, Tensor, str]]:
        """In PyTorch's order: its own parameters, its own buffers, those of its parts."""
        yield from self._own()
        for name, part in self._parts():
            yield from ((f"{name}.{key}", t, kind) for key, t, kind in part._tensors())

    def _named(self, parameters: bool, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Tensor]]:
        name = type(self).__name__
        start = word(name, "prefix", prefix) + "." * bool(prefix)
        found = self._tensors() if flag(name, "recurse", recurse) else self._own()
        named = ((start + key, t) for key, t, kind in found if (kind == "parameter") is parameters)
        return _once(named) if flag(name, "remove_duplicate", remove_duplicate) else named

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Each once, under its first name, so that an optimizer moves once what two layers share."""
        return self._named(True, prefix, recurse, remove_duplicate)

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        return self._named(False, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        return (p for _, p in self.named_parameters(recurse=recurse))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_parameter(self, target: str) -> Tensor:
        """The parameter with that name; ``ModuleError`` if there is none."""
        return _looked_up(self, "parameter", target, dict(self.named_parameters(remove_duplicate=False)))

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with that name; ``ModuleError`` if there is none."""
        return _looked_up(self, "buffer", target, dict(self.named_buffers(remove_duplicate=False)))

    def register_parameter(self, name: str, param: Tensor | None) -> None:
        """An attribute that is a parameter, be it frozen or, for now, None. ``GradientError`` for a tensor that was computed."""
        self._register(name, "parameter", param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """An attribute that is a buffer, whatever it is set to later; ``persistent=False``: not in ``state_dict``."""
        self._register(name, "buffer" if flag(type(self).__name__, "persistent", persistent) else "unsaved", tensor)

    def _register(self, name: str, kind: str, value: Tensor | None) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise DTypeError(
                f"{type(self).__name__}: {describe(name)} is {describe(value)}, which is no tensor. Wrap it: tn.tensor(...)."
            )
        self._new_name(name, kind)
        if kind == "parameter":
            leaf(type(self).__name__, name, value)
        self._book("_kinds")[name] = kind
        vars(self)[name] = value

    def _new_name(self, name: Any, what: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ModuleError(f"{type(self).__name__}: {describe(name)} cannot be the name of a {what}: a word without a dot.")
        held = (Tensor, Module, type(None), dict, list, tuple)
        if name in _OWN or not isinstance(vars(self).get(name), held) or (name not in vars(self) and hasattr(type(self), name)):
            raise ModuleError(f"{type(self).__name__}: it has an attribute {name!r} that is something else. Take another name.")

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Whether the parameters require gradients from now on; False freezes them, and they stay parameters."""
        wanted = flag(type(self).__name__, "requires_grad", requires_grad)
        for p in list(self.parameters()):
            p.requires_grad = wanted
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        to_none = flag("zero_grad", "set_to_none", set_to_none)
        for p in self.parameters():
            p.grad = None if to_none or p.grad is None else Tensor(np.zeros(p.shape, p.dtype))

    def to(self: Self, dtype: Any) -> Self:
        """Its floating-point parameters and buffers, and their gradients, in another dtype: the same tensors with other arrays.

        dtype: what NumPy takes, or a tensor, whose dtype is meant; "cpu", where all of it is, changes nothing. Records made
        before are not differentiated any more. Raises ``DTypeError`` for what is no floating-point dtype."""
        if isinstance(dtype, str) and dtype == "cpu":
            return self
        given = dtype.dtype if isinstance(dtype, Tensor) else dtype
        new = real_dtype(f"{type(self).__name__}.to", given, usual=None)  # None is none
        for _, t, _ in list(self._tensors()):
            if t.dtype.kind == "f" and t.dtype != new:
                t._data = t.data.astype(new)
                t.data = t._data  # and with it a new birth
                t.grad = None if t.grad is None else Tensor(t.grad.data.astype(new), name=t.grad.name)
        return self

    def float(self: Self) -> Self:
        return self.to(np.float32)

    def double(self: Self) -> Self:
        return self.to(np.float64)

    def half(self: Self) -> Self:
        return self.to(np.float16)

    # State ------------------------------------------------------------------------------------------------------------

    def state_dict(self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> OrderedDict[str, Any]:
        """Copies of the parameters' and persistent buffers' arrays, by PyTorch's keys.

        destination: a dict to put them into; prefix: before each key; keep_vars: the tensors themselves."""
        if not isinstance(destination, (MutableMapping, type(None))):
            raise DTypeError(f"state_dict: destination={describe(destination)}; it is a dict to put the arrays into, or None.")
        found: Any = OrderedDict() if destination is None else destination
        prefix, as_they_are = word("state_dict", "prefix", prefix), flag("state_dict", "keep_vars", keep_vars)
        new = {prefix + key: t if as_they_are else np.array(t.data) for key, t in self._saved().items()}
        found.update(new)
        return found  # type: ignore[no-any-return]

    def _saved(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for key, t, kind in self._tensors():
            if key in found:
                raise ModuleError(f"state_dict: two tensors have the key {key!r}. Rename an attribute or the key of a dict.")
            if kind != "unsaved":
                found[key] = t
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Take the values from arrays (or anything ``np.asarray`` takes), all or, where one does not fit, none.

        strict: all keys must match, else ``ModuleError``; False: what is missing stays as it is, what is unexpected is left.
        Returns both lists. Shapes must match in any case (``ShapeError``); values are cast to the parameters' dtypes."""
        if not isinstance(state_dict, Mapping):
            raise DTypeError(
                f"load_state_dict: the state is {describe(state_dict)}; it is a dict of arrays, by the keys of state_dict()."
            )
        mine = self._saved()
        missing, extra = [k for k in mine if k not in state_dict], [k for k in state_dict if k not in mine]
        if flag("load_state_dict", "strict", strict) and (missing or extra):
            raise ModuleError(
                f"load_state_dict: missing {missing or 'nothing'}, unexpected {extra or 'nothing'}. strict=False takes what fits."
            )
        new = {key: as_values(key, t, state_dict[key]) for key, t in mine.items() if key in state_dict}
        for key, values in new.items():  # all were cast, before any is assigned
            mine[key].data = values
        return IncompatibleKeys(missing, extra)

    # Printing ---------------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the parentheses: the constructor's arguments as far as they are attributes.

        ``backward`` and keyword-only arguments are shown where they are not the default. A flag such as ``bias=True``
        whose attribute is the parameter itself is shown as the flag.
        """
        return arguments(self)

    def __repr__(self) -> str:
        """``extra_repr``, then the parts, each on lines of its own."""
        return in_lines(type(self).__name__, self.extra_repr(), self._lines())

    def _lines(self) -> list[str]:
        return [f"({name}): {part!r}" for name, part in self._parts()]


Held = TypeVar("Held")


def _once(named: Iterable[tuple[str, Held]]) -> Iterator[tuple[str, Held]]:
    seen: set[int] = set()
    for name, t in named:
        if id(t) not in seen:
            seen.add(id(t))
            yield name, t


def _known(names: Iterable[str]) -> str:
    found = list(names)
    return f"There {'are' if found else 'is'} {', '.join(found[:12]) or 'none'}{', …' if len(found) > 12 else ''}."


def _looked_up(module: Module, what: str, target: Any, named: dict[str, Tensor]) -> Tensor:
    if not isinstance(target, str) or target not in named:
        raise ModuleError(f"{type(module).__name__}: no {what} has the name {describe(target)}. {_known(named)}")
    return named[target]
