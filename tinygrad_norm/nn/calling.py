"""A module called with other tensors than its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine import DTypeError, OptionError, Tensor, describe
from ..engine.arguments import as_tensor
from ..norms.arguments import flag
from .module import Module
from .paths import inside
from .state import ModuleError

Place = tuple[Any, Any, Tensor]  # a namespace, a list or a dict; an index or a key; and the tensor there


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Any] | list[Mapping[str, Any]] | tuple[Mapping[str, Any], ...],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)``, computed with these tensors in the place of its parameters and buffers.

    parameter_and_buffer_dicts:  tensors (or arrays) by the names of ``named_parameters`` and ``named_buffers``; or several such
        dicts. A tensor may be a leaf or computed: gradients flow to it. What is not named, the module has from its own
    args:         a tuple of arguments, or one argument
    tie_weights:  what is one tensor under two names stays one: either name is enough
    strict:       all names must be there, and no other

    Afterwards, also after an exception, the module holds what it held. A BatchNorm in training updates the running statistics
    that it is given. Raises ``OptionError`` for two values of what is tied and for a name in two dicts, ``ModuleError`` for names
    that do not fit (``strict``) or whose module does not exist.

    PyTorch's torch.func.functional_call.
    """
    name = "functional_call"
    if not isinstance(module, Module):
        raise DTypeError(f"{name}: module is {describe(module)}, which is none; give the module that is to be called.")
    tied, exact = flag(name, "tie_weights", tie_weights), flag(name, "strict", strict)
    foreign = _as_one(name, parameter_and_buffer_dicts)
    places = _places(module)
    unexpected = [key for key in foreign if key not in places]
    if tied:
        foreign = _spread(name, foreign, places)
    missing = [key for key in places if key not in foreign]
    if exact and (missing or unexpected):
        raise ModuleError(
            f"{name}: missing {missing or 'nothing'}, unexpected {unexpected or 'nothing'}. strict=False takes what fits."
        )
    for key in unexpected:
        module.get_submodule(key.rpartition(".")[0])
    given = () if args is None else args if isinstance(args, tuple) else (args,)
    swapped = [(places[key], t) for key, t in foreign.items() if key in places]
    fixed = [key for key in foreign if key in places and isinstance(places[key][0], tuple)]
    if fixed:
        raise ModuleError(f"{name}: {', '.join(fixed)} stands in a tuple, which cannot hold another. Make it a list.")
    if not (kwargs is None or isinstance(kwargs, Mapping)):
        raise DTypeError(f"{name}: kwargs is {describe(kwargs)}; it is a dict of arguments by name, or None.")
    try:
        for (holder, at, _), t in swapped:
            holder[at] = t
        return module(*given, **(kwargs or {}))
    finally:
        for (holder, at, own), _ in swapped:
            holder[at] = own


def _as_one(name: str, dicts: Any) -> dict[str, Tensor]:
    several = list(dicts) if isinstance(dicts, (list, tuple)) else [dicts]
    found: dict[str, Tensor] = {}
    for d in several:
        if not isinstance(d, Mapping):
            raise DTypeError(
                f"{name}: {describe(d)} is no dict of tensors by name; give one, such as dict(module.named_parameters())."
            )
        for key, value in d.items():
            if key in found:
                raise OptionError(f"{name}: {key!r} stands in more than one dict. Name it once.")
            found[key] = as_tensor(value, name, str(key))
    return found


def _places(module: Module) -> dict[str, Place]:
    """Where its tensors are, by name, also under second names."""
    found: dict[str, Place] = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        own, mine = {key for key, _, _ in part._own()}, vars(part)
        for attribute in list(mine):
            for key, value, links in inside(attribute, mine, attribute):
                if key in own and isinstance(value, Tensor):
                    found[f"{prefix}.{key}" if prefix else key] = (links[-1][0], links[-1][1], value)
    return found


def _spread(name: str, foreign: dict[str, Tensor], places: dict[str, Place]) -> dict[str, Tensor]:
    """The foreign tensors under all names of what they stand for."""
    names: dict[int, list[str]] = {}
    for key, (_, _, own) in places.items():
        names.setdefault(id(own), []).append(key)
    spread = dict(foreign)
    for same in names.values():
        given = [key for key in same if key in foreign]
        if len({id(foreign[key]) for key in given}) > 1:
            raise OptionError(
                f"{name}: {', '.join(given)} are one tensor in the module, and have several values. Is tie_weights=False meant?"
            )
        if given:
            spread.update(dict.fromkeys(same, foreign[given[0]]))
    return spread
