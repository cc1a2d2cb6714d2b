"""What optimizers share: parameters in groups, each with options of its own, and a state for each parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from ..engine import DTypeError, GradientError, OptionError, ShapeError, Tensor, TinygradNormError, describe, enable_grad
from ..engine.arrays import Array
from ..engine.shapes import flag, number
from ..engine.tensor import renew

Group = dict[str, Any]


class MissingRuleError(TinygradNormError, NotImplementedError):
    """A base class was made, which does not say what a step is."""


class Optimizer:
    """The base of all. A subclass gives the defaults of its options to ``__init__`` and says in ``_change`` how a parameter moves.

    params:    tensors, or (name, tensor) pairs, or dicts: ``{"params": tensors, "lr": 0.01}``, a group with its own options
    defaults:  the options of groups that do not say otherwise

    ``param_groups``: the groups, dicts that may be changed between steps. ``state``: what is kept for each parameter, by the
    parameter. A step gives each parameter that has a gradient a new array; records and views of the old one keep it, and
    refuse to go back from there.

    Raises ``DTypeError`` for what is no parameter, ``GradientError`` for one that was computed, ``OptionError`` for one that
    comes twice, for an empty list and for options out of bounds.
    """

    _kept: tuple[str, ...] = ()  # the arrays that are kept for a parameter
    _stepped = False  # which a scheduler asks

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        if not isinstance(defaults, Mapping):
            raise DTypeError(f"{self._name}: defaults is {describe(defaults)}; it is a dict of options, such as {{'lr': 0.1}}.")
        self.defaults = self._checked(dict(defaults))
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[Group] = []
        if isinstance(params, (Tensor, np.ndarray, Mapping, str)) or not isinstance(params, Iterable):
            raise DTypeError(
                f"{self._name}: params is {describe(params)}; it is several tensors, such as net.parameters(), or a list of dicts. Of one "
                "make a list."
            )
        groups = list(_ordered(self._name, params))
        if not groups:
            raise OptionError(
                f"{self._name}: params is empty; there is nothing to optimize. Was net.parameters() used up before?"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: Group) -> None:
        """One more group: ``{"params": tensors, …}``; options that it does not have are the optimizer's. Raises as the class does."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise DTypeError(f'{self._name}: a group is {describe(param_group)}; it is a dict with "params" and perhaps options.')
        given = param_group["params"]
        members = [given] if isinstance(given, Tensor) else list(_ordered(self._name, given))
        names = [m[0] for m in members if _is_named(m)]
        if names and len(names) < len(members):
            raise DTypeError(f"{self._name}: some parameters have names and some have none. Give all as (name, tensor), or none.")
        tensors = [m[1] if names else m for m in members]
        taken = {id(p) for group in self.param_groups for p in group["params"]}
        for i, p in enumerate(tensors):
            which = f"parameter {names[i] if names else i}"
            self._is_parameter(which, p)
            if id(p) in taken:
                raise OptionError(
                    f"{self._name}: {which}, {describe(p)}, comes twice; each step would move it twice. Name it once."
                )
            taken.add(id(p))
        options = self._checked({**self.defaults, **{k: v for k, v in param_group.items() if k not in ("params", "param_names")}})
        self.param_groups.append({"params": tensors, **({"param_names": names} if names else {}), **options})

    def _is_parameter(self, which: str, p: Any) -> None:
        if not isinstance(p, Tensor):
            raise DTypeError(
                f"{self._name}: {which} is {describe(p)}, which is no tensor. Give tensors, such as net.parameters()."
            )
        if p.op is not None:
            raise GradientError(
                f"{self._name}: {which}, {describe(p)}, was computed by {p.op.name}; only leaves can be moved. Give what it was computed "
                "from, or its .detach()."
            )
        if p.dtype.kind != "f":
            raise DTypeError(
                f"{self._name}: {which}, {describe(p)}, has no gradient. Leave it out, or cast it: .astype('float32')."
            )

    def _checked(self, options: Group) -> Group:
        """The options of a group, as plain numbers; raises for those out of bounds."""
        return options

    def _number(self, options: Group, what: str, least: float | None = 0, most: float | None = None) -> None:
        value = options[what]
        value = value.item() if isinstance(value, (Tensor, np.ndarray)) and value.size == 1 else value
        options[what] = number(self._name, what, value, least, most)

    # Steps ------------------------------------------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: None, or with ``set_to_none=False`` zeros where there is one."""
        to_none = flag(f"{self._name}.zero_grad", "set_to_none", set_to_none)
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None if to_none or p.grad is None else Tensor(np.zeros(p.shape, p.dtype))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move each parameter that has a gradient.

        closure:  computes the loss anew, with its gradients, and returns it; it is called before, recording

        Returns what the closure did, else None.
        """
        loss = None
        if closure is not None:
            if not callable(closure):
                raise DTypeError(
                    f"{self._name}.step: closure={describe(closure)}; it is a function that returns the loss, or None."
                )
            with enable_grad():
                loss = closure()
        self._stepped = True
        for group in self.param_groups:
            for what in ("lr", "weight_decay"):
                if what in group and type(group[what]) is not float:  # a NumPy number would change a dtype
                    self._number(group, what, None)
            with np.errstate(all="ignore"):  # a run that diverges is told by its loss
                for p in group["params"]:
                    if p.grad is not None:
                        self._move(group, p, p.grad.numpy())
        return loss

    def _move(self, group: Group, p: Tensor, g: Array) -> None:
        old, state = p.numpy(), self.state.get(p)
        if state is None:
            state = self.state[p] = {}
        new = np.empty(old.shape, old.dtype)
        self._change(group, state, old, g, new)
        renew(p, new)

    def _change(self, group: Group, state: dict[str, Any], p: Array, g: Array, new: Array) -> None:
        """Write into ``new`` where a parameter goes from ``p``; ``new`` is scratch until then."""
        raise MissingRuleError(
            f"{self._name}: it has no _change, which says how a parameter moves. Take SGD or another, or define it."
        )

    # State ------------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Copies of all that a run needs to go on, in PyTorch's layout: numbers, text and arrays, which ``tn.save`` writes.

        ``{"state": {0: {"step": 7, "exp_avg": array, …}, …}, "param_groups": [{"lr": 0.1, …, "params": [0, 1]}, …]}``: parameters
        are counted through all groups.
        """
        order = {id(p): i for i, p in enumerate(self._all())}
        kept = {
            order[id(p)]: {k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in state.items()}
            for p, state in self.state.items()
            if id(p) in order and state
        }
        groups = [
            {**{k: deepcopy(v) for k, v in group.items() if k != "params"}, "params": [order[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        return {"state": kept, "param_groups": groups}

    def _all(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state: this class's or PyTorch's own, whose tensors are taken as arrays. All of it is taken, or nothing.

        The options of the groups are the state's. Raises ``DTypeError`` for what is no such state, ``OptionError`` for other
        groups than these, ``ShapeError`` for arrays that are not of the parameters' shapes.
        """
        name = f"{self._name}.load_state_dict"
        try:
            saved, states = [dict(g) for g in state_dict["param_groups"]], dict(state_dict["state"])
            places = [i for g in saved for i in g["params"]]
            sizes = [len(g["params"]) for g in saved]
        except (TypeError, KeyError, ValueError, IndexError):
            raise DTypeError(
                f'{name}: the state is {describe(state_dict)}; it is a dict of "state" and "param_groups", as state_dict() gives.'
            ) from None
        if sizes != [len(g["params"]) for g in self.param_groups]:
            mine = [len(g["params"]) for g in self.param_groups]
            raise OptionError(f"{name}: groups of {sizes} parameters in the state, of {mine} here. Make the same groups first.")
        groups = []
        for old, new in zip(self.param_groups, saved):
            plain = {k: v for k, v in new.items() if k not in ("params", "param_names")}
            names = {"param_names": old["param_names"]} if "param_names" in old else {}
            options = {k: v for k, v in old.items() if k not in ("params", "param_names")}
            groups.append({"params": old["params"], **names, **self._checked({**options, **plain})})
        tensors = dict(zip(places, self._all()))
        unknown = [i for i in states if i not in tensors]
        if unknown:
            raise OptionError(f"{name}: the state has values for {describe(unknown)}, which no group names.")
        state = {tensors[i]: self._as_state(name, i, tensors[i], values) for i, values in states.items()}
        self.param_groups, self.state = groups, state

    def _as_state(self, name: str, i: Any, p: Tensor, values: Any) -> dict[str, Any]:
        if not isinstance(values, Mapping):
            raise DTypeError(f"{name}: the state of parameter {i} is {describe(values)}; it is a dict of numbers and arrays.")
        found: dict[str, Any] = {}
        for key, value in values.items():
            if value is None:  # as PyTorch keeps a momentum that there is not
                continue
            what = f"{key} of parameter {i}"
            try:
                array = np.asarray(value.detach() if hasattr(value, "detach") else value)
                real = array.dtype.kind in "biuf"
            except (TypeError, ValueError):
                real = False
            if not real:
                raise DTypeError(f"{name}: {what} is {describe(value)}; it is an array of real numbers.")
            if key == "step":
                if array.size != 1:
                    raise ShapeError(f"{name}: {what} is {describe(value)}; it is one number.")
                found[key] = int(array.item())
            elif array.shape != p.shape:
                raise ShapeError(f"{name}: {what} has shape {array.shape}, the parameter {describe(p)}. Is it another network's?")
            else:
                found[key] = array.astype(p.dtype)
        missing = [key for key in self._kept if key not in found]
        if found and missing:
            raise OptionError(f"{name}: the state of parameter {i} has no {', '.join(missing)}. Is it another optimizer's?")
        return found

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for i, group in enumerate(self.param_groups):
            lines += [
                f"Parameter Group {i}",
                *(f"    {k}: {group[k]}" for k in sorted(group) if k not in ("params", "param_names")),
            ]
        return "\n".join([*lines, ")"])


def _is_named(member: Any) -> bool:
    return isinstance(member, tuple) and len(member) == 2 and isinstance(member[0], str)


def _ordered(name: str, params: Any) -> Iterator[Any]:
    """What there is to optimize, one by one; ``DTypeError`` for what has no order, such as a set."""
    if isinstance(params, (set, frozenset)):
        raise DTypeError(f"{name}: the parameters are a set, whose order changes from run to run. Give a list.")
    try:
        yield from params
    except TinygradNormError:
        raise
    except TypeError:
        raise DTypeError(f"{name}: the parameters are {describe(params)}; they are several tensors.") from None


def slope(g: Array, p: Array, weight_decay: float, maximize: bool, out: Array | None = None) -> Array:
    """What to go down along: g, or −g to maximize, plus λ·p; ``g`` itself where that is all, else ``out`` or a new array."""
    if not weight_decay:
        return np.negative(g, out=out) if maximize else g
    total: Array = np.multiply(p, weight_decay, out=np.empty_like(g) if out is None else out)
    return np.subtract(total, g, out=total) if maximize else np.add(total, g, out=total)
