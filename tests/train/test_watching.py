"""Looking in: what is seen is what is there, and nothing is spent when nobody looks."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import nn
from tinygrad_norm.engine import hooks

X = np.random.default_rng(1).normal(size=(12, 5))


def net():
    return nn.Sequential(nn.Linear(5, 4, dtype="float64", seed=0), nn.Tanh(), nn.Linear(4, 2, dtype="float64", seed=1))


def test_what_is_seen_is_what_is_there():
    model = net()
    with tn.train.watch(model) as seen:
        y = model(tn.tensor(X))
        (y**2).sum().backward()
    h = np.tanh(X @ model[0].weight.data.T + model[0].bias.data)
    by = {(r.layer, r.kind, r.name): r for r in seen.readings}
    found = by["1", "activation", "Tanh"]
    assert (found.step, found.mean, found.std) == (0, pytest.approx(h.mean()), pytest.approx(h.std()))
    assert found.gradient == pytest.approx(np.linalg.norm(2 * y.data @ model[2].weight.data))
    weight = by["0", "parameter", "weight"]
    assert weight.std == pytest.approx(model[0].weight.data.std())
    assert weight.gradient == pytest.approx(np.linalg.norm(model[0].weight.grad.data))
    assert by["", "activation", "Sequential"].gradient == pytest.approx(np.linalg.norm(2 * y.data))


def test_the_numbers_of_a_run_are_not_changed_by_looking():
    data = (X, np.arange(12) % 2)
    plain = tn.train.fit(net(), data, batch=4, epochs=2)
    model = net()
    with tn.train.watch(model, every=2) as seen:
        watched = tn.train.fit(model, data, batch=4, epochs=2)
    assert watched.losses == plain.losses
    assert sorted({r.step for r in seen.readings}) == [0, 2, 4]


def test_only_steps_of_training_are_seen():
    model = net()
    seen = tn.train.watch(model, parameters=False)
    with tn.no_grad():
        model(tn.tensor(X))
    model.eval()
    model(tn.tensor(X))
    assert seen.readings == []
    assert "nothing was seen" in str(seen)
    with pytest.raises(tn.OptionError, match="none yet"):
        seen.at(0)


def test_nothing_is_left_when_it_is_off():
    model = net()
    seen = tn.train.watch(model)
    seen.remove()
    assert not any(m._hooks or m._pre_hooks for m in model.modules())
    assert not any(getattr(p, "_hooks", ()) for p in model.parameters())
    assert hooks.visit(True) is None, "the engine would look at every node"
    model(tn.tensor(X)).sum().backward()
    assert seen.readings == []


def test_it_prints():
    model = net()
    with tn.train.watch(model) as seen:
        for _ in range(2):
            model(tn.tensor(X)).sum().backward()
    assert str(seen).startswith("step 1\nlayer")
    lines = seen.by_depth().splitlines()
    assert [line.split()[1] for line in lines[2:]] == ["Linear", "Tanh", "Linear"]
    assert all("█" in line for line in lines[2:])
    assert seen.by_depth("std", 0, ascii=True).isascii()
    assert len(json.loads(seen.to_json())) == len(seen.readings)
    assert "<pre " in seen._repr_mimebundle_()["text/html"]
    with pytest.raises(tn.OptionError, match='it is "gradient", "std" or "mean"'):
        seen.by_depth("max")
    with pytest.raises(tn.OptionError, match="there is 0 to 1"):
        seen.at(7)


def test_a_picture_by_depth(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib")
    model = net()
    with tn.train.watch(model) as seen:
        for _ in range(3):
            model(tn.tensor(X)).sum().backward()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(matplotlib_settings(), "svg.fonttype", "none")  # letters stay letters
        place = seen.save(tmp_path / "depth.svg")
        some = seen.save(tmp_path / "some.svg", 1)
    text = place.read_text(encoding="utf-8")
    for words in ("0 Linear", "1 Tanh", "2 Linear", "step 0", "step 2", "‖gradient‖", "σ", "mean"):
        assert f">{words}</text>" in text, words
    assert "step 1" not in text
    assert "step 1" in some.read_text(encoding="utf-8")
    with pytest.raises(tn.OptionError, match="step 7 was not seen"):
        seen.save(tmp_path / "x.svg", 7)
    with pytest.raises(tn.FileError, match="the picture cannot be written"):
        seen.save(tmp_path / "none" / "x.svg")


def matplotlib_settings():
    import matplotlib

    return matplotlib.rcParams


def test_without_matplotlib_there_is_none(monkeypatch, tmp_path):
    model = net()
    with tn.train.watch(model) as seen:
        model(tn.tensor(X)).sum().backward()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert seen.save(tmp_path / "x.svg") is None
    assert not (tmp_path / "x.svg").exists()


@pytest.mark.parametrize(
    ("model", "every", "says"), [(3, 1, "it is a module"), (net(), 0, "from 1 on"), (net(), True, "from 1 on")]
)
def test_bad_arguments_are_named(model, every, says):
    with pytest.raises(tn.TinygradNormError, match=says):
        tn.train.watch(model, every)
