"""``tinygrad-norm train``: tables, pictures, files, and words for what is wrong."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import pytest

from tinygrad_norm.cli import main
from tinygrad_norm.train import tasks

SMALL = ["train", "series", "--epochs", "1"]


def out(capsys, *argv, code=0):
    assert main([str(a) for a in argv]) == code
    return capsys.readouterr()


def test_several_norms_are_one_table(capsys):
    said = out(capsys, *SMALL, "--norm", "revin", "--norm", "none").out
    assert said.startswith("series: twelve steps of a drifting series")
    assert "what was one period ago: 0.2" in said
    assert [line.split()[0] for line in said.splitlines() if " 22 " in line] == ["revin", "none"]
    assert "● revin   ○ none" in said
    assert "‖gradient‖ by layer, none" in said
    assert "pip install 'tinygrad_norm[plot]'" in said


def test_json_is_all_there_is(capsys):
    (run,) = json.loads(out(capsys, *SMALL, "--json").out)
    assert (run["name"], run["epochs"], len(run["losses"])) == ("revin", 1, 22)
    assert run["running"] > 0


def test_quiet_is_the_table(capsys):
    assert len(out(capsys, *SMALL, "--quiet").out.splitlines()) == 3


@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_network_trains(name, capsys):
    (run,) = json.loads(out(capsys, "train", name, "--epochs", "1", "--batch", "500", "--json").out)
    assert run["losses"]
    assert run["running"] is not None


def test_divergence_is_said_where_it_happens(capsys):
    said = out(capsys, "train", "mlp", "--norm", "none", "--lr", "1e6", "--epochs", "1", code=1).out
    assert "diverged at step 3, in epoch 1: the loss is nan; the output of " in said


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["cnn", "--norm", "bach_norm"], "norm='bach_norm'; it is one of none, batch_norm"),
        (["series", "--norm", "revin", "--norm", "none", "--save", "x"], "give one --norm"),
        (["series", "--resume", "nowhere.npz"], "there is no file nowhere.npz"),
        (["series", "--out", "curves"], "curves.svg"),
        (["series", "--schedule", "plateau", "--warmup", "3"], "cannot follow a warm-up"),
    ],
)
def test_misuse_is_named(argv, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert says in out(capsys, "train", *argv, code=2).err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--lr", "-1"], "expected a number above 0"),
        (["--lr", "nan"], "expected a number above 0"),
        (["--batch", "0"], "from 1 on"),
        (["--epochs", "x"], "invalid"),
        (["--optimizer", "sdg"], "invalid choice"),
    ],
)
def test_bad_values_are_named(argv, says, capsys):
    with pytest.raises(SystemExit) as left:
        main(["train", "cnn", *argv])
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_ctrl_c_saves_and_the_run_goes_on(capsys, tmp_path, monkeypatch):
    (straight,) = json.loads(out(capsys, *SMALL, "--epochs", "2", "--json").out)
    made = tasks.TASKS["series"].make
    left = [30]

    def press(module, args):
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)

    def pressed(**how):
        model = made(**how)
        model.register_forward_pre_hook(press)
        return model

    file = tmp_path / "run.npz"
    with monkeypatch.context() as patched:
        patched.setitem(tasks.TASKS, "series", replace(tasks.TASKS["series"], make=pressed))
        said = out(capsys, *SMALL, "--epochs", "2", "--seed", "0", "--save", file, code=130).err
    assert f"--resume {file}" in said
    (again,) = json.loads(out(capsys, "train", "series", "--resume", file, "--json").out)
    assert {**again, "seconds": 0} == {**straight, "seconds": 0}
    assert "not of graph" in out(capsys, "train", "graph", "--resume", file, code=2).err
    assert "--norm revin, now none" in out(capsys, "train", "series", "--resume", file, "--norm", "none", code=2).err


def test_a_picture_where_there_is_matplotlib(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    file = tmp_path / "curves.svg"
    assert f"wrote {file}" in out(capsys, *SMALL, "--out", file).out
    assert "<svg" in file.read_text(encoding="utf-8")
