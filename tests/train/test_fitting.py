"""The loop: what it computes, how it goes on, and how it stops."""

from __future__ import annotations

import gc
import json
import signal
import tracemalloc

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import nn
from tinygrad_norm.train import History, fit, score, task
from tinygrad_norm.train.choosing import OPTIMIZERS

F = tn.functional
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6))
LABELS = RNG.integers(0, 3, 40)


def net(seed=0, dropout=0.0):
    layers = [nn.Linear(6, 8, dtype="float64", seed=seed), nn.BatchNorm1d(8, dtype="float64"), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(8, 3, dtype="float64", seed=seed + 1))


def same(a, b):
    """Bit for bit, but for the time."""
    a, b = a.state_dict(), b.state_dict()
    return {**a, "seconds": 0} == {**b, "seconds": 0}


def weights(model):
    return np.concatenate([np.ravel(v) for v in model.state_dict().values()])


def test_it_is_the_ordinary_loop():
    one, other = net(), net()
    found = fit(one, (X, LABELS), lr=0.2, schedule="cosine", warmup=3, epochs=2, batch=16, clip=0.5, seed=4)
    optimizer = tn.optim.SGD(other.parameters(), lr=0.2)
    rates = tn.optim.lr_scheduler
    rise, fall = rates.LinearLR(optimizer, 1 / 4, 1.0, 3), rates.CosineAnnealingLR(optimizer, 3)
    schedule = rates.SequentialLR(optimizer, [rise, fall], [3])
    losses, feed = [], tn.data.batches(X, LABELS, size=16, shuffle=True, seed=4)
    for _ in range(2):
        for x, t in feed:
            optimizer.zero_grad()
            loss = F.cross_entropy(other(tn.tensor(x)), t)
            loss.backward()
            nn.utils.clip_grad_norm_(other.parameters(), 0.5)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    assert found.losses == losses
    assert np.array_equal(weights(one), weights(other))
    assert found.steps == 6


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau", "step", "linear"])
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_run_goes_on_where_it_stopped(optimizer, schedule, tmp_path):
    how = {
        "optimizer": optimizer,
        "schedule": schedule,
        "lr": 0.01,
        "epochs": 3,
        "batch": 16,
        "test": (X, LABELS),
        "progress": False,
    }
    whole = net(dropout=0.3)
    straight = fit(whole, (X, LABELS), **how)

    stopped = net(dropout=0.3)
    left = [5]

    def press(module, args):
        if module.training:
            left[0] -= 1
            if left[0] == 0:
                signal.raise_signal(signal.SIGINT)

    stopped.register_forward_pre_hook(press)
    file = tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, (X, LABELS), save=file, **how)
    assert len(tn.load(file)["history"]["losses"]) == 5  # the step in which it was pressed is finished
    resumed = net(seed=9, dropout=0.3)
    again = fit(resumed, (X, LABELS), resume=file, **how)
    assert same(again, straight)
    assert np.array_equal(weights(resumed), weights(whole))


def test_what_listened_to_ctrl_c_before_does_so_after(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    fit(net(), (X, LABELS), epochs=1, save=tmp_path / "run.npz")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_that_ended_is_resumed_to_the_same(tmp_path):
    first = fit(net(), (X, LABELS), epochs=2, save=tmp_path / "run.npz", test=(X, LABELS))
    assert same(fit(net(3), (X, LABELS), epochs=2, resume=tmp_path / "run.npz", test=(X, LABELS)), first)


def test_other_arguments_are_named(tmp_path):
    file = tmp_path / "run.npz"
    fit(net(), (X, LABELS), epochs=1, save=file)
    with pytest.raises(tn.OptionError, match=r"lr=0.1 then, 0.2 now; batch=32 then, 16 now"):
        fit(net(), (X, LABELS), epochs=1, lr=0.2, batch=16, resume=file)
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(tn.TinygradNormError, match="no file that a training run was saved to"):
        fit(net(), (X, LABELS), epochs=1, resume=tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"loss": "hinge"}, 'it is "cross_entropy", "mse"'),
        ({"optimizer": "sdg"}, "one of sgd, momentum"),
        ({"schedule": "cosin"}, "one of constant, cosine"),
        ({"schedule": 3}, "a function of the optimizer"),
        ({"schedule": "plateau", "warmup": 2}, "cannot follow a warm-up"),
        ({"epochs": -1}, "epochs"),
        ({"clip": 0}, "clip"),
        ({"test": X}, "two arrays"),
    ],
)
def test_bad_arguments_are_named(how, says):
    with pytest.raises(tn.TinygradNormError, match=says):
        fit(net(), (X, LABELS), **how)


def test_no_model():
    with pytest.raises(tn.DTypeError, match="it is a module"):
        fit(3, (X, LABELS))


# Divergence ---------------------------------------------------------------------------------------------------------


class Breaks(nn.Module):
    """Multiplies what goes through, or what comes back, by something at one step."""

    def __init__(self, step, forward=1.0, backward=1.0):
        self.left, self.factors = step, (forward, backward)

    def forward(self, x):
        self.left -= self.training
        if self.left != 0 and self.left != -1:  # the step, and the second look at it
            return x
        y = x * self.factors[0]
        y.register_hook(lambda g: g * self.factors[1])
        return y


def broken(**how):
    return nn.Sequential(
        nn.Linear(6, 8, dtype="float64", seed=0), nn.Tanh(), Breaks(**how), nn.Linear(8, 3, dtype="float64", seed=1)
    )


def test_a_loss_that_is_no_number_stops_it_where_it_happens():
    model = broken(step=4, forward=np.nan)
    run = fit(model, (X, LABELS), batch=16, epochs=3)
    assert run.steps == 4
    assert np.isnan(run.losses[-1])
    assert np.isfinite(run.losses[:-1]).all()
    assert np.isfinite(weights(model)).all()  # the step was not taken
    found = run.diverged
    assert (found.step, found.epoch, found.forward, found.backward) == (4, 2, "2 (Breaks)", "3 (Linear)")
    assert found.parameter == "3.bias"
    assert "diverged at step 4, in epoch 2: the loss is nan; the output of 2 (Breaks) went first" in str(run)
    assert run.running is None


def test_a_gradient_that_is_no_number_is_seen_before_the_loss_is_one():
    run = fit(broken(step=3, backward=np.inf), (X, LABELS), batch=16, epochs=3)
    found = run.diverged
    assert run.steps == 3
    assert np.isfinite(run.losses).all()
    assert (found.forward, found.backward, found.parameter) == (None, "2 (Breaks)", "0.bias")


def test_looking_again_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.BatchNorm1d(6, dtype="float64"), Breaks(2, np.nan), nn.Linear(6, 3, dtype="float64", seed=0))
    fit(model, (X, LABELS), batch=16, epochs=1)
    assert int(model[0].num_batches_tracked.data) == 2
    assert not model[0]._hooks


# What is measured ---------------------------------------------------------------------------------------------------


def test_running_and_batch_statistics_are_both_measured():
    model = net()
    run = fit(model, (X, LABELS), epochs=2, test=(X, LABELS), batch=16)
    assert run.running == run.tested[-1]
    model.eval()
    with tn.no_grad():
        assert run.running == (model(tn.tensor(X)).data.argmax(-1) == LABELS).mean()
        before = weights(model)
        model[1].train()
        right = sum((model(tn.tensor(X[i : i + 16])).data.argmax(-1) == LABELS[i : i + 16]).sum() for i in (0, 16, 32))
    assert run.batch == right / 40
    model.load_state_dict({**model.state_dict(), "1.running_mean": np.full(8, 100.0)})
    before = weights(model)
    model.train()
    assert score(model, (X, LABELS), "accuracy", 16, "batch") == run.batch
    assert score(model, (X, LABELS), "accuracy") != run.batch
    assert np.array_equal(before, weights(model))
    assert all(m.training for m in model.modules())


def test_one_sample_left_over_is_measured_with_those_before_it():
    model, test = net(), (X[:33], LABELS[:33])
    run = fit(model, (X, LABELS), test=test, batch=8, epochs=1)
    model.train()
    with tn.no_grad():
        outputs = [model(tn.tensor(part)).data for part in (X[:8], X[8:16], X[16:24], X[24:33])]
    assert run.batch == np.mean(np.concatenate(outputs).argmax(1) == LABELS[:33])


def test_without_running_statistics_there_is_one_measure():
    run = fit(broken(step=-9), (X, LABELS), epochs=1, test=(X, LABELS))
    assert run.batch is None
    assert "by batch" not in str(run)


def test_gradients_by_layer_are_those_of_the_first_and_the_last_step():
    model = net()
    run = fit(model, (X, LABELS), batch=40, epochs=1)
    again = net()
    F.cross_entropy(again(tn.tensor(X)), LABELS).backward()
    lengths = {name: np.sqrt(sum((p.grad.data**2).sum() for p in again[i].parameters())) for i, name in ((0, "0 Linear"), (1, "1 BatchNorm1d"), (4, "4 Linear"))}  # fmt: skip
    assert run.first == run.last
    assert run.first == pytest.approx(lengths)


def test_the_record_can_be_written():
    run = fit(broken(step=3, forward=np.nan), (X, LABELS), batch=16, epochs=3, name="a\x1b[1m")
    said = json.loads(run.to_json())
    assert said["diverged"]["step"] == 3
    assert said["losses"][-1] is None
    assert "\x1b" not in str(run)
    assert run._repr_mimebundle_()["text/html"].startswith("<pre ")
    assert History.at(run.state_dict()) is not run
    assert "3 steps, no loss" in repr(run)


# Memory -------------------------------------------------------------------------------------------------------------


def grown(steps):
    """How many bytes more there are after so many steps than after 50."""
    data = (X[:8], LABELS[:8])
    gc.collect()
    tracemalloc.start()
    try:
        model = net()
        fit(model, data, batch=8, epochs=50, progress=False)
        before = tracemalloc.get_traced_memory()[0]
        fit(model, data, batch=8, epochs=steps, progress=False)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.thorough
def test_memory_does_not_grow():
    assert grown(100) < 20_000


@pytest.mark.thorough
def test_memory_does_not_grow_in_ten_thousand_steps():
    assert grown(10_000) < 30_000


def test_tasks_are_asked_by_name():
    with pytest.raises(tn.OptionError, match="there are mlp, cnn, rnn"):
        task("cmn")
