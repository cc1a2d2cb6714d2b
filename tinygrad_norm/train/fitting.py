"""The loop: what everybody writes, with a bar, a record, and a file to go on from."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..data import Batches, batches
from ..engine import DTypeError, FileError, Generator, OptionError, Tensor, describe, drawing_from, load, save, tensor
from ..engine.shapes import flag, number
from ..nn import Module
from ..nn.utils import clip_grad_norm_
from ..optim.lr_scheduler import ReduceLROnPlateau
from .choosing import make_optimizer, make_schedule
from .divergence import located
from .history import History
from .measuring import finite, gradient_norms, hits, losses, running, score
from .progress import bar

_FORM = "tinygrad_norm training, 1"


class _Run:
    """All that changes while it trains."""

    def __init__(self, model: Module, feed: Batches, optimizer: Any, schedule: Any, seed: int, history: History) -> None:
        self.model, self.feed, self.optimizer, self.schedule, self.history = model, feed, optimizer, schedule, history
        self.generator = Generator(seed)
        self.right = self.seen = 0.0  # of the present epoch
        self._before, self._since = 0.0, time.perf_counter()

    def tick(self) -> None:
        """Count the time."""
        self.history.seconds = self._before + time.perf_counter() - self._since

    def state_dict(self, setting: dict[str, Any]) -> dict[str, Any]:
        self.tick()
        return {
            "form": _FORM,
            "setting": setting,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "batches": self.feed.state_dict(),
            "generator": self.generator.get_state(),
            "history": self.history.state_dict(),
            "epoch": [self.right, self.seen],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.feed.load_state_dict(state["batches"])
        self.generator.set_state(state["generator"])
        self.history = History.at(state["history"])
        self.right, self.seen = state["epoch"]
        self._before = self.history.seconds


def fit(
    model: Module,
    data: Any,
    *,
    loss: Any = "cross_entropy",
    optimizer: Any = "sgd",
    lr: float = 0.1,
    schedule: Any = "constant",
    warmup: int = 0,
    epochs: int = 5,
    batch: int = 32,
    test: Any = None,
    clip: float | None = None,
    seed: int = 0,
    progress: bool = True,
    save: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    name: str = "",
    note: Any = None,
) -> History:
    """Train a model: the ordinary loop, with a bar. Returns its ``History``, which prints as a table.

        for x, t in tn.data.batches(images, labels, size=32, shuffle=True, seed=0):
            optimizer.zero_grad()
            value = loss(model(x), t)
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), clip)      # with clip=
            optimizer.step()
            schedule.step()                                         # with schedule=

    data:       (inputs, targets), arrays with the samples along the first axis, shuffled anew each epoch; or ``tn.data.batches(…)``
    loss:       "cross_entropy" (over the last axis), "mse", or a function of the output and the target
    optimizer:  "sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", a class of ``tn.optim``, or an optimizer (then without lr)
    schedule:   "constant", "cosine", "linear", "step", "plateau", or a function of the optimizer; a step at each step, plateaus at
                each epoch; warmup: so many steps before, in which the rate rises
    batch:      samples in a step; test: (inputs, targets) held out, on which it is measured after each epoch
    clip:       the most that the gradient's length may be
    seed:       of the order of the samples and of dropout; the weights are the model's
    progress:   show the bar, where there is a terminal
    save:       a file, written after each epoch and when Ctrl-C is pressed, which then raises ``KeyboardInterrupt``
    resume:     such a file, to go on from: bit for bit the numbers of a run that was not interrupted. The other arguments must be
                those of then; ``OptionError`` says which is not. ``FileError`` for a file that is none
    note:       anything that ``tn.save`` takes, to be kept in the file

    A loss or a gradient that is not finite stops it before the step: ``history.diverged`` says at which step, and in which layer
    output and gradient went first. A second Ctrl-C stops at once, and saves nothing more.
    """
    if not isinstance(model, Module):
        raise DTypeError(f"fit: model={describe(model)}; it is a module, such as tn.train.cnn().")
    feed = data if isinstance(data, Batches) else batches(*_pair("data", data), size=batch, shuffle=True, seed=seed)
    test = None if test is None else _pair("test", test)
    epochs, warmup = int(number("fit", "epochs", epochs, 0, whole=True)), int(number("fit", "warmup", warmup, 0, whole=True))
    most = None if clip is None else number("fit", "clip", clip, above=0)
    computed, measure = losses("fit", loss)
    mover = make_optimizer("fit", optimizer, model, lr)
    total = epochs * len(feed)
    plan = make_schedule("fit", schedule, mover, total, warmup)
    run = _Run(model, feed, mover, plan, seed, History(name, measure, epochs))
    setting = _setting(
        loss=loss,
        optimizer=optimizer,
        lr=lr,
        schedule=schedule,
        warmup=warmup,
        epochs=epochs,
        batch=feed.size,
        clip=clip,
        seed=seed,
    )
    if resume is not None:
        run.load_state_dict(checkpoint_of(resume, setting))
    shown = bar(flag("fit", "progress", progress), name, total)
    # a run that diverges is told by its loss; who lets NumPy raise is not overruled
    unwarned: Any = {k: "ignore" for k, how in np.geterr().items() if how == "warn"}
    with np.errstate(**unwarned), _asked_to_stop(save is not None) as asked, shown:
        keep = {**setting, "note": note}
        model.train()
        while feed.epoch < epochs and run.history.diverged is None:
            _epoch(run, computed, most, total, shown, asked)
            if asked:
                break
            if run.history.diverged is None:
                _close(run, test)
                if save is not None:
                    _write(run, keep, save)
        run.tick()
        if asked and save is not None:
            _write(run, keep, save)
            raise KeyboardInterrupt
    _measure_at_last(run.history, model, test, feed.size)
    return run.history


def _epoch(run: _Run, loss: Any, most: float | None, total: int, shown: Any, asked: list[int]) -> None:
    """The rest of the present one."""
    history, model = run.history, run.model
    parameters = list(model.parameters())
    for x, target in run.feed:
        inputs, target = tensor(x), tensor(target)
        drawn = run.generator.get_state()
        with drawing_from(run.generator):
            run.optimizer.zero_grad()
            output = model(inputs)
            value = loss(output, target)
            value.backward()
        history.losses.append(float(value.detach()))
        healthy = math.isfinite(history.losses[-1]) and all(finite(p.grad.numpy()) for p in parameters if p.grad is not None)
        if not history.first:
            history.first = gradient_norms(model)
        if not healthy or history.steps == total:
            history.last = gradient_norms(model)
        if not healthy:
            history.diverged = located(model, loss, inputs, target, drawn, history.steps, run.feed.epoch + 1)
            return
        if most is not None:
            clip_grad_norm_(parameters, most)
        run.optimizer.step()
        if run.schedule is not None and not isinstance(run.schedule, ReduceLROnPlateau):
            run.schedule.step()
        if history.measure is not None:
            run.right += hits(history.measure, output.numpy(), target.numpy())
            run.seen += target.size
        shown.show(history.steps, history.losses[-1], _words(history.measure, run.right / max(run.seen, 1)))
        if asked:
            return


def _close(run: _Run, test: Any) -> None:
    """The end of an epoch."""
    history, steps = run.history, len(run.feed)
    if isinstance(run.schedule, ReduceLROnPlateau):
        run.schedule.step(float(np.mean(history.losses[-steps:])))
    if history.measure is not None:
        history.trained.append(run.right / max(run.seen, 1))
        if test is not None:
            history.tested.append(score(run.model, test, history.measure))
    run.right = run.seen = 0.0


def _measure_at_last(history: History, model: Module, test: Any, batch: int) -> None:
    if test is None or history.measure is None or history.diverged:
        return
    history.running = history.tested[-1] if history.tested else score(model, test, history.measure)
    if running(model):
        history.batch = score(model, test, history.measure, batch, "batch")


def _words(measure: str | None, value: float) -> str:
    return "" if measure is None else f"{measure} {100 * value:.1f} %" if measure == "accuracy" else f"{measure} {value:.4f}"


def _pair(what: str, data: Any) -> tuple[Any, Any]:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise DTypeError(f"fit: {what}={describe(data)}; it is (inputs, targets), two arrays.")
    x, t = (a.numpy() if isinstance(a, Tensor) else np.asarray(a) for a in data)
    return x, t


# Files --------------------------------------------------------------------------------------------------------------


def _setting(**given: Any) -> dict[str, Any]:
    """The arguments that must be the same, as words and numbers."""
    return {
        k: v if v is None or isinstance(v, (str, int, float)) else getattr(v, "__name__", type(v).__name__)
        for k, v in given.items()
    }


def _write(run: _Run, setting: dict[str, Any], path: Any) -> None:
    save(run.state_dict(setting), path)


def checkpoint_of(path: Any, setting: dict[str, Any] | None = None) -> dict[str, Any]:
    """What ``fit(save=path)`` wrote; ``OptionError`` where it was written with other arguments than these."""
    found = load(path)
    if not isinstance(found, dict) or found.get("form") != _FORM:
        raise FileError(f"{path}: is no file that a training run was saved to. fit(save=…) writes one.")
    other = [
        f"{k}={describe(found['setting'].get(k))} then, {describe(v)} now"
        for k, v in (setting or {}).items()
        if found["setting"].get(k) != v
    ]
    if other:
        raise OptionError(f"fit: {path} was written by a run with {'; '.join(other)}. Go on with the same.")
    return found


@contextmanager
def _asked_to_stop(listen: bool) -> Iterator[list[int]]:
    """A list, that Ctrl-C writes into; the second time it interrupts. Only where it can be heard: in the main thread."""
    asked: list[int] = []
    if not listen or threading.current_thread() is not threading.main_thread():
        yield asked
        return
    old = signal.getsignal(signal.SIGINT)

    def heard(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    signal.signal(signal.SIGINT, heard)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, old)
