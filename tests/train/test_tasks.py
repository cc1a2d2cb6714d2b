"""The ready-made networks: step for step PyTorch's losses, and what they reach."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.train import TASKS, fit
from tinygrad_norm.train.networks import CHANNEL_NORMS, GRAPH_NORMS, SERIES_NORMS

from .make_losses import BATCH, CASES, PLACE, STEPS, given

STORED = json.loads(PLACE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize(("name", "norm"), CASES)
def test_losses_are_pytorchs_step_for_step(name, norm, backward):
    model, x, t, task = given(name, norm)
    if backward == "analytic":
        analytic = task.make(norm=norm, seed=3, dtype="float64", backward="analytic")
        analytic.load_state_dict(model.state_dict())
        model = analytic
    first = [np.arange(i * BATCH % len(x), min(i * BATCH % len(x) + BATCH, len(x))) for i in range(STEPS)]
    order = np.concatenate(first)
    feed = tn.data.batches(x[order], t[order], size=len(first[0]))
    run = fit(model, feed, loss=task.loss, optimizer=task.optimizer, lr=task.lr, epochs=1)
    np.testing.assert_allclose(run.losses, STORED[f"{name} {norm}"], rtol=1e-9)


def trained(name, seed, norm=None, shuffle=None):
    task = TASKS[name]
    data = task.given(shuffle)
    model = task.make(norm=norm or task.norm, seed=seed, backward="analytic")
    how = {
        "loss": task.loss,
        "optimizer": task.optimizer,
        "lr": task.lr,
        "epochs": task.epochs,
        "batch": task.batch,
        "seed": seed,
    }
    return fit(model, data.train, test=data.test, **how).running, data.baseline


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(5))
def test_the_textbooks_cnn(seed):
    """SGD, batch 32, rate 0.1, 5 epochs; the last 297 digits held out."""
    with_norm, without = trained("cnn", seed)[0], trained("cnn", seed, "none")[0]
    assert with_norm >= 0.93
    assert with_norm >= without + 0.04


@pytest.mark.thorough
def test_the_textbooks_cnn_where_the_split_is_shuffled():
    assert np.mean([trained("cnn", seed, shuffle=seed)[0] for seed in range(5)]) >= 0.985


BEATS = {"mlp": 0.8, "rnn": 0.7, "lstm": 0.75, "gru": 0.8, "transformer": 0.8, "series": -0.1, "graph": 0.25}
"""By how much each is better than what guessing gives."""


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", BEATS)
def test_each_beats_what_guessing_gives(name, seed):
    reached, baseline = trained(name, seed)
    assert reached < baseline + BEATS[name] if name == "series" else reached > baseline + BEATS[name]


# Their norms --------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "norm"),
    [
        *(("cnn", n) for n in CHANNEL_NORMS),
        *(("series", n) for n in SERIES_NORMS),
        *(("graph", n) for n in (*GRAPH_NORMS, "none", "layer_norm")),
        *(("lstm", n) for n in ("none", "rms_norm")),
        *(("transformer", n) for n in ("none", "rms_norm", "batch_norm", "dynamic_tanh")),
    ],
)
def test_every_norm_learns(name, norm):
    task = TASKS[name]
    (x, t), *_ = task.given(None)
    run = fit(task.make(norm=norm, seed=1), (x[:32], t[:32]), loss=task.loss, optimizer="adam", lr=1e-3, batch=32, epochs=6)
    assert run.diverged is None
    assert run.losses[-1] < run.losses[0]


@pytest.mark.parametrize("name", TASKS)
def test_the_same_seed_gives_the_same_weights_under_any_norm(name):
    task = TASKS[name]
    one, other = (dict(task.make(norm=n, seed=5).named_parameters()) for n in (task.norm, "none"))
    assert set(other) <= set(one)
    assert all(np.array_equal(one[k].data, other[k].data) for k in other)


@pytest.mark.parametrize("name", TASKS)
def test_a_norm_that_there_is_not(name):
    with pytest.raises(tn.OptionError, match=r"norm='foo'; it is one of none|norm='foo'; it is one of"):
        TASKS[name].make(norm="foo")


def test_a_graph_folds_into_the_layers_names():
    model, x, t, _ = given("cnn", "batch_norm")
    loss = tn.functional.cross_entropy(model(tn.tensor(x[:4])), t[:4])
    text = str(tn.graph(loss))
    assert "Conv2d" in text or "1" in text
    scopes = {node.scope for node in tn.graph(loss).nodes if node.scope}
    assert {scope[1] for scope in scopes if len(scope) > 1} >= {"1", "2", "4", "5", "9"}


def test_an_mlp_as_one_wants_it():
    net = tn.train.mlp("layer_norm", 3, "float64", hidden=(400, 300), activation=tn.nn.Tanh, norm_first=False, he=0.5)
    assert [type(m).__name__ for m in net] == ["Flatten", *["Linear", "Tanh", "LayerNorm"] * 2, "Linear"]
    shown = [(m.weight.shape, m.weight.data.std() * np.sqrt(m.weight.shape[1])) for m in net if isinstance(m, tn.nn.Linear)]
    assert [shape for shape, _ in shown] == [(400, 64), (300, 400), (10, 300)]
    np.testing.assert_allclose([s for _, s in shown], [0.5 * 2**0.5, 0.5 * 2**0.5, 1], rtol=0.05)
    assert all((m.bias.data == 0).all() for m in net if isinstance(m, tn.nn.Linear))
