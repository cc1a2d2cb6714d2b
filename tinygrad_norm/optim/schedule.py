"""What schedules share: an optimizer whose rates they set, step by step, and a state."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ..engine import DTypeError, OptionError, describe
from ..engine.shapes import whole
from .optimizer import MissingRuleError, Optimizer


class LRScheduler:
    """The base of all: a subclass says in ``get_lr`` what the rates become, and in ``_closed_form`` what they are at
    ``last_epoch``, from the start.

    last_epoch:  how many steps were taken before; −1 starts anew, and notes each group's rate as its ``"initial_lr"``

    Raises ``DTypeError`` for what is no optimizer, ``OptionError`` for options out of bounds.
    """

    _unsaved: tuple[str, ...] = ("optimizer", "_initial")

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = given(self._name, optimizer)
        self.last_epoch = whole(self._name, "last_epoch", last_epoch, least=-1)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise OptionError(
                    f'{self._name}: last_epoch={last_epoch}, but group {i} of the optimizer has no "initial_lr" to go on from. Load its state '
                    "first, or start with last_epoch=-1."
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._begin()

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _begin(self) -> None:
        self._step_count = 0
        self._initial = True
        self.step()
        self._initial = False

    def get_last_lr(self) -> list[float]:
        """The rates it last set, one for each group."""
        return list(self._last_lr)

    def get_lr(self) -> list[float]:
        """The next rates, one for each group; for schedules to define."""
        raise MissingRuleError(
            f"{self._name}: no get_lr says the next rates of the optimizer. Take StepLR or another, or define it."
        )

    def _closed_form(self) -> list[float]:
        return self.get_lr()

    def step(self) -> None:
        """Set the next rates. After ``optimizer.step()``, or the first rate is never used: that is warned of."""
        if self._step_count == 1 and not self.optimizer._stepped:
            warnings.warn(
                f"{self._name}.step() was called before optimizer.step(), so that the first learning rate is skipped. Call it after.",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self.last_epoch += 1
        self._set(self.get_lr())

    def _restart(self) -> None:
        """Be at the beginning."""
        self.last_epoch = 0
        self._set(self._closed_form())

    def _set(self, new: list[float]) -> None:
        if len(new) != len(self.optimizer.param_groups):
            raise OptionError(
                f"{self._name}: {len(new)} rates for {len(self.optimizer.param_groups)} groups. Make the schedule after the last group "
                "was added."
            )
        for group, rate in zip(self.optimizer.param_groups, new):
            group["lr"] = rate
        self._last_lr = rates(self.optimizer)

    def _times(self, factor: float) -> list[float]:
        return [rate * factor for rate in rates(self.optimizer)]

    def state_dict(self) -> dict[str, Any]:
        """All that it needs to go on, but for the optimizer: a dict of numbers and words, which ``tn.save`` writes."""
        return {
            key: list(value) if isinstance(value, list) else value
            for key, value in vars(self).items()
            if key not in self._unsaved
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state. ``DTypeError`` for what is none, ``OptionError`` for one of another schedule."""
        self._take(state_dict, set(self.state_dict()))

    def _take(self, saved: Any, keys: set[str]) -> None:
        if not isinstance(saved, Mapping):
            raise DTypeError(
                f"{self._name}.load_state_dict: the state is {describe(saved)}; it is a dict, as state_dict() gives."
            )
        missing = sorted(keys - set(saved))
        if missing:
            raise OptionError(f"{self._name}.load_state_dict: no {', '.join(missing)} in the state. Is it another schedule's?")
        vars(self).update({key: list(saved[key]) if isinstance(saved[key], (list, tuple)) else saved[key] for key in keys})


def given(name: str, optimizer: Any) -> Optimizer:
    """``DTypeError`` for what is no optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise DTypeError(f"{name}: optimizer is {describe(optimizer)}, which is none. Give one, such as tn.optim.SGD(…).")
    return optimizer


def rates(optimizer: Optimizer) -> list[float]:
    """The present rates of its groups."""
    return [group["lr"] for group in optimizer.param_groups]
