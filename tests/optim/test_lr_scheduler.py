"""Each schedule beside PyTorch's for 50 steps, beside its closed form, resumed in the middle; and misuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.optim import lr_scheduler as schedules

MAKE = {
    "step": lambda S, o: S.StepLR(o, 7, 0.5),
    "multistep": lambda S, o: S.MultiStepLR(o, [5, 20, 20, 31], gamma=0.3),
    "exponential": lambda S, o: S.ExponentialLR(o, 0.9),
    "linear": lambda S, o: S.LinearLR(o),
    "linear-down": lambda S, o: S.LinearLR(o, 1.0, 0.1, 30),
    "cosine": lambda S, o: S.CosineAnnealingLR(o, 12, eta_min=0.001),
    "cosine-once": lambda S, o: S.CosineAnnealingLR(o, 50),
    "lambda": lambda S, o: S.LambdaLR(o, [lambda e: 1 / (1 + e), lambda e: 0.9**e]),
    "warm-up": lambda S, o: S.SequentialLR(o, [S.LinearLR(o, 0.01, total_iters=10), S.CosineAnnealingLR(o, 40)], [10]),
    "three": lambda S, o: S.SequentialLR(o, [S.ExponentialLR(o, 0.5), S.StepLR(o, 3), S.MultiStepLR(o, [4])], milestones=[5, 25]),
    "nested": lambda S, o: S.SequentialLR(
        o, [S.LinearLR(o), S.SequentialLR(o, [S.ExponentialLR(o, 0.9), S.StepLR(o, 4)], [50])], milestones=[60]
    ),
    "plateau": lambda S, o: S.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=3, min_lr=[1e-3, 0.02]),
    "plateau-max": lambda S, o: S.ReduceLROnPlateau(o, "max", patience=1, threshold=0.1, threshold_mode="abs"),
}
CLOSED = {
    "step": lambda t: 0.5 ** (t // 7),
    "multistep": lambda t: 0.3 ** sum(t >= m for m in (5, 20, 20, 31)),
    "exponential": lambda t: 0.9**t,
    "linear": lambda t: 1 / 3 + 2 / 3 * min(t, 5) / 5,
    "linear-down": lambda t: 1 - 0.9 * min(t, 30) / 30,
    "cosine-once": lambda t: (1 + math.cos(math.pi * t / 50)) / 2,
    "lambda": lambda t: 1 / (1 + t),
    "warm-up": lambda t: 0.01 + 0.99 * t / 10 if t < 10 else (1 + math.cos(math.pi * (t - 10) / 40)) / 2,
}
LOSSES = np.concatenate([np.linspace(3, 1, 10), 1 + 0.1 * np.sin(np.arange(25)), np.linspace(1, 0, 15)])


def ours():
    ps = [tn.tensor([1.0], requires_grad=True) for _ in range(2)]
    return tn.optim.SGD([{"params": ps[:1]}, {"params": ps[1:], "lr": 0.3}], lr=0.1)


def advance(scheduler, optimizer, t):
    optimizer.step()
    scheduler.step(*[float(LOSSES[t])] * ("Plateau" in type(scheduler).__name__))
    return [g["lr"] for g in optimizer.param_groups]


@pytest.mark.parametrize("name", MAKE)
def test_fifty_steps_as_pytorch(name):
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor([1.0], requires_grad=True) for _ in range(2)]
    reference = torch.optim.SGD([{"params": theirs[:1]}, {"params": theirs[1:], "lr": 0.3}], lr=0.1)
    optimizer = ours()
    S, R = MAKE[name](schedules, optimizer), MAKE[name](torch.optim.lr_scheduler, reference)
    assert [g["lr"] for g in optimizer.param_groups] == [g["lr"] for g in reference.param_groups]
    for t in range(50):
        np.testing.assert_allclose(advance(S, optimizer, t), advance(R, reference, t), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(S.get_last_lr(), R.get_last_lr(), rtol=1e-12, atol=1e-15)
    assert S.last_epoch == R.last_epoch


@pytest.mark.parametrize("name", CLOSED)
def test_as_its_formula(name):
    optimizer = ours()
    S = MAKE[name](schedules, optimizer)
    assert S.get_last_lr()[0] == pytest.approx(0.1 * CLOSED[name](0), rel=1e-14)
    for t in range(1, 50):
        assert advance(S, optimizer, t)[0] == pytest.approx(0.1 * CLOSED[name](t), rel=1e-11, abs=1e-16)


@pytest.mark.parametrize("name", MAKE)
def test_resumed_is_not_interrupted(name, tmp_path):
    optimizer = ours()
    S = MAKE[name](schedules, optimizer)
    for t in range(17):
        advance(S, optimizer, t)
    tn.save({"o": optimizer.state_dict(), "s": S.state_dict()}, tmp_path / "run")
    expected = [advance(S, optimizer, t) for t in range(17, 50)]
    saved = tn.load(tmp_path / "run")
    other = ours()
    again = MAKE[name](schedules, other)
    other.load_state_dict(saved["o"])
    again.load_state_dict(saved["s"])
    assert [advance(again, other, t) for t in range(17, 50)] == expected


@pytest.mark.parametrize("name", [n for n in MAKE if n != "lambda"])
def test_pytorch_states_are_taken(name):
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor([1.0], requires_grad=True) for _ in range(2)]
    reference = torch.optim.SGD([{"params": theirs[:1]}, {"params": theirs[1:], "lr": 0.3}], lr=0.1)
    R = MAKE[name](torch.optim.lr_scheduler, reference)
    for t in range(17):
        advance(R, reference, t)
    optimizer = ours()
    S = MAKE[name](schedules, optimizer)
    optimizer.load_state_dict(reference.state_dict())
    S.load_state_dict(R.state_dict())
    for t in range(17, 50):
        np.testing.assert_allclose(advance(S, optimizer, t), advance(R, reference, t), rtol=1e-12, atol=1e-15)


def test_two_schedules_multiply():
    optimizer = ours()
    a, b = schedules.ExponentialLR(optimizer, 0.5), schedules.StepLR(optimizer, 2, 0.1)
    optimizer.step()
    a.step(), b.step()
    a.step(), b.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.25 * 0.1)


def test_going_on_from_last_epoch():
    optimizer = ours()
    for _ in range(3):
        S = schedules.ExponentialLR(optimizer, 0.5)
        optimizer.step()
        S.step()
    assert S.base_lrs == [0.1, 0.3]  # the rate of the very start
    again = schedules.StepLR(optimizer, 4, last_epoch=2)
    assert again.last_epoch == 3


def test_a_skipped_rate_is_warned_of():
    optimizer = ours()
    S = schedules.ExponentialLR(optimizer, 0.5)
    with pytest.warns(UserWarning, match=r"ExponentialLR.step\(\) was called before optimizer.step\(\)"):
        S.step()


def test_a_nan_is_no_improvement():
    optimizer = ours()
    S = schedules.ReduceLROnPlateau(optimizer, patience=0)
    S.step(tn.tensor(1.0))
    S.step(float("nan"))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda o: schedules.StepLR(3, 1), tn.DTypeError, "StepLR: optimizer is 3, which is none"),
        (lambda o: schedules.StepLR(o, 0), tn.ShapeError, "StepLR: step_size=0"),
        (lambda o: schedules.StepLR(o, 3, last_epoch=4), tn.OptionError, 'group 0 of the optimizer has no "initial_lr"'),
        (lambda o: schedules.MultiStepLR(o, 3), tn.OptionError, "milestones=3; it is a list"),
        (lambda o: schedules.LinearLR(o, 0), tn.OptionError, "start_factor=0; it is a number above 0 and up to 1"),
        (lambda o: schedules.LinearLR(o, 1, 2), tn.OptionError, "end_factor=2"),
        (lambda o: schedules.CosineAnnealingLR(o, 0), tn.ShapeError, "T_max=0"),
        (lambda o: schedules.LambdaLR(o, 3), tn.OptionError, "lr_lambda=3 for 2 groups"),
        (lambda o: schedules.LambdaLR(o, [abs]), tn.OptionError, "a function, or one for each"),
        (lambda o: schedules.LambdaLR(o, lambda e: "x"), tn.DTypeError, r"lr_lambda\(0\)='x'"),
        (lambda o: schedules.SequentialLR(o, [], []), tn.OptionError, "a list of one or more"),
        (lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 2)], [3]), tn.OptionError, "1 milestones for 1 schedules"),
        (lambda o: schedules.SequentialLR(o, [schedules.StepLR(ours(), 2)], []), tn.OptionError, "has another optimizer"),
        (lambda o: schedules.SequentialLR(o, [schedules.ReduceLROnPlateau(o)], []), tn.DTypeError, "that needs no loss"),
        (lambda o: schedules.ReduceLROnPlateau(o, factor=1), tn.OptionError, "factor=1; it is below 1"),
        (lambda o: schedules.ReduceLROnPlateau(o, "least"), tn.OptionError, "mode='least'"),
        (lambda o: schedules.ReduceLROnPlateau(o, min_lr=[1]), tn.OptionError, r"min_lr=\[1\] for 2 groups"),
        (lambda o: schedules.ReduceLROnPlateau(o).step("low"), tn.DTypeError, "metrics='low'"),
        (lambda o: schedules.StepLR(o, 2).load_state_dict(3), tn.DTypeError, "the state is 3"),
        (lambda o: schedules.StepLR(o, 2).load_state_dict({"gamma": 1}), tn.OptionError, "no _last_lr, .* in the state"),
        (
            lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 2)], []).load_state_dict({}),
            tn.OptionError,
            "has not the 1 schedules",
        ),
    ],
)
def test_misuse_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make(ours())
