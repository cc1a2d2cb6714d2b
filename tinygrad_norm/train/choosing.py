"""Optimizers and schedules by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..engine import OptionError, describe
from ..nn import Module
from ..optim import SGD, Adam, AdamW, Optimizer, RMSprop, lr_scheduler

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "momentum": lambda params, lr: SGD(params, lr, momentum=0.9),
    "nesterov": lambda params, lr: SGD(params, lr, momentum=0.9, nesterov=True),
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
}
"""By name, each a function of the parameters and the rate."""

SCHEDULES: dict[str, Callable[[Optimizer, int], Any] | None] = {
    "constant": None,
    "cosine": lambda o, steps: lr_scheduler.CosineAnnealingLR(o, max(steps, 1)),
    "linear": lambda o, steps: lr_scheduler.LinearLR(o, 1.0, 0.0, max(steps, 1)),
    "step": lambda o, steps: lr_scheduler.MultiStepLR(o, sorted({max(steps // 2, 1), max(3 * steps // 4, 1)})),
    "plateau": lambda o, steps: lr_scheduler.ReduceLROnPlateau(o, patience=2),
}
"""By name, each a function of the optimizer and the number of steps after the warm-up: down to 0 along a cosine or a line, ·0.1
after a half and after three quarters, ·0.1 when an epoch's loss has not become smaller for more than two."""


def make_optimizer(name: str, optimizer: Any, model: Module, lr: float) -> Optimizer:
    """By name, or by a function of the parameters and the rate, such as a class; or as it is."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    maker = OPTIMIZERS.get(optimizer) if isinstance(optimizer, str) else optimizer
    if not callable(maker):
        raise OptionError(
            f"{name}: optimizer={describe(optimizer)}; it is one of {', '.join(OPTIMIZERS)}, an optimizer, or a function that makes one of "
            "the parameters and the rate."
        )
    return maker(model.parameters(), lr=lr)


def make_schedule(name: str, schedule: Any, optimizer: Optimizer, steps: int, warmup: int) -> Any:
    """None for a rate that stays; after ``warmup`` steps in which it rises from a small part in equal steps."""
    if schedule is None or isinstance(schedule, str):
        if (schedule or "constant") not in SCHEDULES:
            raise OptionError(f"{name}: schedule={describe(schedule)}; it is one of {', '.join(SCHEDULES)}, or a function.")
        maker = SCHEDULES[schedule or "constant"]
    elif callable(schedule):
        maker = lambda o, steps: schedule(o)  # noqa: E731
    else:
        raise OptionError(
            f"{name}: schedule={describe(schedule)}; it is one of {', '.join(SCHEDULES)}, or a function of the optimizer."
        )
    if not warmup:
        return None if maker is None else maker(optimizer, steps)
    rise = lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), 1.0, warmup)
    if maker is None:
        return rise
    then = maker(optimizer, steps - warmup)
    if isinstance(then, lr_scheduler.ReduceLROnPlateau):
        raise OptionError(f"{name}: warmup={warmup} with a plateau: it goes by epochs' losses, and cannot follow a warm-up.")
    return lr_scheduler.SequentialLR(optimizer, [rise, then], [warmup])
