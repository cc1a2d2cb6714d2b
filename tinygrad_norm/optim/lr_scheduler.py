"""Schedules of the learning rate: after each step, or each epoch, ``scheduler.step()`` gives the groups of an optimizer the next.

    optimizer = tn.optim.SGD(net.parameters(), lr=0.1)
    warm_up = LinearLR(optimizer, start_factor=0.01, total_iters=100)
    scheduler = SequentialLR(optimizer, [warm_up, CosineAnnealingLR(optimizer, T_max=900)], milestones=[100])

As in PyTorch a schedule changes the rate that it finds (×γ, say), so that two may act on one optimizer. A state is a plain
dict of numbers, and PyTorch's is taken.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine import DTypeError, OptionError, Tensor, describe
from ..engine.shapes import choice, number, whole
from .optimizer import Optimizer
from .schedule import LRScheduler, given, rates

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LambdaLR(LRScheduler):
    """base·f(epoch).

    lr_lambda:  f, a function of the number of steps so far; or a list of one for each group. The state does not hold it.
    """

    _unsaved = (*LRScheduler._unsaved, "lr_lambdas")

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | list[Callable[[int], float]], last_epoch: int = -1
    ) -> None:
        groups = len(given("LambdaLR", optimizer).param_groups)
        several = isinstance(lr_lambda, (list, tuple))
        self.lr_lambdas: list[Callable[[int], float]] = list(lr_lambda) if several else [lr_lambda] * groups  # type: ignore
        if len(self.lr_lambdas) != groups or not all(map(callable, self.lr_lambdas)):
            raise OptionError(
                f"LambdaLR: lr_lambda={describe(lr_lambda)} for {groups} groups; it is a function, or one for each."
            )
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        factors = [number("LambdaLR", f"lr_lambda({self.last_epoch})", f(self.last_epoch)) for f in self.lr_lambdas]
        return [base * factor for base, factor in zip(self.base_lrs, factors)]


class StepLR(LRScheduler):
    """·gamma every ``step_size`` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = whole("StepLR", "step_size", step_size, least=1)
        self.gamma = number("StepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return self._times(self.gamma if due else 1)

    def _closed_form(self) -> list[float]:
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """·gamma at each of the ``milestones``, whole numbers; twice at one that is named twice."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.milestones = _milestones("MultiStepLR", milestones)
        self.gamma = number("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._times(self.gamma ** self.milestones.count(self.last_epoch))

    def _closed_form(self) -> list[float]:
        return [base * self.gamma ** bisect_right(self.milestones, self.last_epoch) for base in self.base_lrs]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state; PyTorch's counts the milestones."""
        counted = state_dict.get("milestones") if isinstance(state_dict, Mapping) else None
        if isinstance(counted, Mapping):
            state_dict = {**state_dict, "milestones": sorted(m for m, n in counted.items() for _ in range(n))}
        super().load_state_dict(state_dict)


def _milestones(name: str, milestones: Any) -> list[int]:
    if not isinstance(milestones, (list, tuple)):
        raise OptionError(f"{name}: milestones={describe(milestones)}; it is a list of whole numbers.")
    return sorted(whole(name, f"milestones[{i}]", m, least=0) for i, m in enumerate(milestones))


class LinearLR(LRScheduler):
    """From base·start_factor in equal steps to base·end_factor at step ``total_iters``, and there it stays: a warm-up.

    start_factor is above 0 and up to 1, end_factor from 0 to 1."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = number("LinearLR", "start_factor", start_factor, most=1, above=0)
        self.end_factor = number("LinearLR", "end_factor", end_factor, 0, 1)
        self.total_iters = whole("LinearLR", "total_iters", total_iters, least=1)
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        start, end = self.start_factor, self.end_factor
        return float(start + (end - start) * min(epoch, self.total_iters) / self.total_iters)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._times(self.start_factor)
        if self._initial or self.last_epoch > self.total_iters:
            return self._times(1)
        return self._times(self._factor(self.last_epoch) / self._factor(self.last_epoch - 1))

    def _closed_form(self) -> list[float]:
        return [base * self._factor(self.last_epoch) for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """·gamma at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = number("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._times(1 if self._initial else self.gamma)

    def _closed_form(self) -> list[float]:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """eta_min + (base − eta_min)·(1 + cos(π·t/T_max))/2: down to eta_min at step T_max, and, if one goes on, up again.

    Source: Loshchilov, Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts" (arXiv:1608.03983), eq. 5, without the
    restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = whole("CosineAnnealingLR", "T_max", T_max, least=1)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min, 0)
        super().__init__(optimizer, last_epoch)

    def _height(self, epoch: int) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)

    def get_lr(self) -> list[float]:
        t, low = self.last_epoch, self.eta_min
        if self._initial:
            return self._times(1)
        if (t - 1) % (2 * self.T_max) == self.T_max:  # it comes from the bottom, where the ratio below is 0/0
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [rate + (base - low) * rise for rate, base in zip(rates(self.optimizer), self.base_lrs)]
        ratio = self._height(t) / self._height(t - 1)
        return [low + (rate - low) * ratio for rate in rates(self.optimizer)]

    def _closed_form(self) -> list[float]:
        return [self.eta_min + (base - self.eta_min) * self._height(self.last_epoch) / 2 for base in self.base_lrs]


class SequentialLR(LRScheduler):
    """One schedule after the other: the next begins at each of the ``milestones``, one fewer than there are ``schedulers``.

    They are made for the same optimizer; ReduceLROnPlateau, which asks for a loss, cannot be among them.
    """

    _unsaved = (*LRScheduler._unsaved, "_schedulers")

    def __init__(self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1) -> None:
        self.optimizer = given("SequentialLR", optimizer)
        for i, s in enumerate(schedulers if isinstance(schedulers, (list, tuple)) else []):
            if not isinstance(s, LRScheduler) or isinstance(s, ReduceLROnPlateau):
                raise DTypeError(f"SequentialLR: schedulers[{i}] is {describe(s)}; it is a schedule that needs no loss.")
            if s.optimizer is not optimizer:
                raise OptionError(f"SequentialLR: schedulers[{i}], a {s._name}, has another optimizer. Make it for this one.")
        if not isinstance(schedulers, (list, tuple)) or not schedulers:
            raise OptionError(f"SequentialLR: schedulers={describe(schedulers)}; it is a list of one or more.")
        self._schedulers, self._milestones = list(schedulers), _milestones("SequentialLR", milestones)
        if len(self._milestones) != len(schedulers) - 1:
            raise OptionError(
                f"SequentialLR: {len(self._milestones)} milestones for {len(schedulers)} schedules; there is one fewer, where they change."
            )
        self.last_epoch = whole("SequentialLR", "last_epoch", last_epoch, least=-1) + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._undo()
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()

    def _undo(self) -> None:
        """Take back the first step of each, which it took when it was made."""
        for s in self._schedulers:
            if isinstance(s, SequentialLR):
                s._undo()
            else:
                s.last_epoch -= 1

    def step(self) -> None:
        """Let the one whose turn it is set the next rates."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        now = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            now._restart()
        else:
            now.step()
        self._last_lr = now.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        parts = state_dict.get("_schedulers") if isinstance(state_dict, Mapping) else None
        if not isinstance(parts, (list, tuple)) or len(parts) != len(self._schedulers):
            raise OptionError(
                f"SequentialLR.load_state_dict: the state has not the {len(self._schedulers)} schedules that there are here."
            )
        self._take(state_dict, set(super().state_dict()))
        for s, state in zip(self._schedulers, parts):
            s.load_state_dict(state)


class ReduceLROnPlateau(LRScheduler):
    """·factor when a loss has not become better for more than ``patience`` calls of ``step(loss)``.

    mode:            "min": smaller is better, "max": larger is
    threshold:       by how much it must be better: relative to the best, or with threshold_mode="abs" as it is
    cooldown:        after that, so many calls do not count
    min_lr:          the rate, or a list of one for each group, that it does not go below
    eps:             a change smaller than that is not made
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        self.optimizer = given(name, optimizer)
        self.factor = number(name, "factor", factor)
        if self.factor >= 1:
            raise OptionError(f"{name}: factor={factor}; it is below 1, or the rate would not be reduced.")
        several = isinstance(min_lr, (list, tuple))
        least: list[Any] = list(min_lr) if several else [min_lr] * len(optimizer.param_groups)  # type: ignore
        if len(least) != len(optimizer.param_groups):
            raise OptionError(
                f"{name}: min_lr={describe(min_lr)} for {len(optimizer.param_groups)} groups; one for all, or for each."
            )
        self.min_lrs = [number(name, "min_lr", m) for m in least]
        self.default_min_lr = None if several else self.min_lrs[0]
        self.patience, self.cooldown = whole(name, "patience", patience, 0), whole(name, "cooldown", cooldown, 0)
        self.mode = choice(name, "mode", mode, ("min", "max"))
        self.threshold, self.eps = number(name, "threshold", threshold), number(name, "eps", eps)
        self.threshold_mode = choice(name, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = 0
        self._last_lr = rates(optimizer)

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Look at the loss, a number or a tensor of one, and reduce the rates if that is due. A NaN is never better."""
        if isinstance(metrics, (Tensor, np.ndarray)) and metrics.size == 1:
            metrics = metrics.item()
        if isinstance(metrics, (bool, np.bool_)) or not isinstance(metrics, (int, float, np.number)):
            raise DTypeError(f"ReduceLROnPlateau.step: metrics={describe(metrics)}; it is one number, such as the loss.")
        self.last_epoch += 1
        if self._better(float(metrics)):
            self.best, self.num_bad_epochs = float(metrics), 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = rates(self.optimizer)

    def _better(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        goal = self.best * (1 + sign * self.threshold) if self.threshold_mode == "rel" else self.best + sign * self.threshold
        return bool(value < goal if self.mode == "min" else value > goal)

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise OptionError(
                    f"ReduceLROnPlateau: {len(self.min_lrs)} min_lrs for {len(groups)} groups. Give min_lrs as many."
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs):
            new = max(group["lr"] * self.factor, least)
            if group["lr"] - new > self.eps:
                group["lr"] = new
