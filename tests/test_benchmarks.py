"""The benchmarks run, with the peers that are installed, and every aim is about something that they measure."""

from __future__ import annotations

import importlib
import os

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="the benchmarks are not beside the tests")

from benchmarks import aims, floors, machine, report, training
from benchmarks.__main__ import BENCHMARKS, about, main
from benchmarks.peers import SETTINGS, Options, Row, available, ours, same, turns

SMALL = {
    "layer_norm": "8×64",
    "norms": "rms_norm 8×64",
    "kernels": "rms_norm 8×64",
    "functions": "softmax",
    "training": "MLP",
    "floors": "MLP",
    "engine": "a * b",
    "scaling": "split",
    "memory": "node",
    "growth": "on",
    "importing": "wall",
    "pictures": "DOT",
    "sights": "ResNet-20, boxes",
}


def measured(name: str, only: str) -> list[Row]:
    return list(importlib.import_module(f"benchmarks.{name}").rows(Options(seconds=0, steps=20, only=only)))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.thorough) if n in ("kernels", "floors") else n for n in BENCHMARKS]
)
@pytest.mark.costly(4)
def test_every_benchmark_runs(name):
    rows = measured(name, SMALL[name])
    assert rows
    for row in rows:
        assert all(value > 0 for value in row.figures.values()), row


@pytest.mark.thorough
def test_what_is_replayed_without_the_engine_is_the_step():
    network = training.NETWORKS[0]
    lib, rng = ours(), np.random.default_rng(0)
    weights = {name: lib.leaf(a) for name, a in network.weights(rng).items()}
    x, labels = (lib.constant(a) for a in network.data(rng))
    network.loss(lib.functional, weights, x, labels, {}).backward()
    for p, new in zip(weights.values(), floors.replay(network, {})()):
        np.testing.assert_array_equal(new, p.data - np.float32(training.RATE) * p.grad.data)


@pytest.mark.parametrize("aim", aims.AIMS, ids=aims.told)
@pytest.mark.costly(3)
def test_every_aim_is_measured(aim):
    if "compiled" in (aim.ours, aim.other, aim.ours.partition(", ")[2]) and not available("numba"):
        pytest.skip("Numba is not installed")
    rows = {row.case: row for row in measured(aim.benchmark, aim.case.rpartition(",")[0] or aim.case)}
    assert aim.ours in rows[aim.case].figures
    if aim.other.startswith("PyTorch") and not available("torch"):
        pytest.skip("PyTorch is not installed")
    assert aim.other in rows[aim.case].figures


@pytest.mark.thorough
def test_the_command_prints_tables_and_aims(capsys):
    assert main(["layer_norm", "--only", "8×64", "--seconds", "0"]) == 0
    out = capsys.readouterr().out
    assert machine.processor() in out
    assert "recorded" in out
    assert [line for line in out.splitlines() if line.startswith("layer_norm (")] == [
        f"layer_norm ({setting} allocator): {about('layer_norm')}" for setting in SETTINGS
    ]


def test_an_unknown_name_says_which_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["layernorm"])
    assert "no benchmark layernorm; there are layer_norm, norms" in capsys.readouterr().err


def test_everybody_takes_turns_in_an_order_that_changes_and_is_the_same_each_time():
    def orders() -> list[str]:
        seen: list[str] = []
        turns({name: lambda name=name: seen.append(name) for name in "abc"}, seconds=0, most=3)
        return seen

    seen = orders()
    rounds = ["".join(seen[i : i + 3]) for i in range(0, len(seen), 3)]
    assert {"".join(sorted(r)) for r in rounds} == {"abc"}
    assert len(set(rounds)) > 1
    assert seen == orders()


def test_another_answer_is_refused():
    same({"ours": lambda: [[1.0, 2.0]], "peer": lambda: [[1.0, 2.0]]})
    with pytest.raises(AssertionError, match="peer gives another answer"):
        same({"ours": lambda: [[1.0, 2.0]], "peer": lambda: [[1.0, 2.1]]})


def test_without_avx512_nothing_of_it_is_left(monkeypatch):
    names = ["SSSE3", "AVX2", "AVX512F", "AVX512_SKX", "X86_V4"]
    monkeypatch.setattr(machine, "features", lambda: (["SSE2"], names))
    assert machine.simd() == "AVX-512"
    left = machine.without_avx512()
    assert left["NPY_DISABLE_CPU_FEATURES"].split() == names[2:]
    assert left["ATEN_CPU_CAPABILITY"] == "avx2"
    monkeypatch.setattr(machine, "features", lambda: (["SSE2"], names[:2]))
    assert machine.simd() == "AVX2"
    assert machine.without_avx512() == {}


def test_nobody_alone_is_held_back_by_what_stands_in_the_environment():
    found = {"PATH": "/bin", "OPENBLAS_CORETYPE": "Haswell"}
    assert machine.outside(found) == {"PATH": "/bin"}
    both = {**found, "ATEN_CPU_CAPABILITY": "avx2"}
    assert machine.outside(both) == both


@pytest.mark.skipif(not machine.without_avx512(), reason="the processor has no AVX-512")
@pytest.mark.thorough
def test_a_child_does_without(capfd):
    main(["importing", "--only", "wall", "--seconds", "0", "--no-avx512"])
    assert "with AVX2" in capfd.readouterr().out
    assert "NPY_DISABLE_CPU_FEATURES" not in os.environ


def _found(recorded: float) -> report.Found:
    rows = [Row("8×64", "µs", {"recorded": recorded, "PyTorch primitives": 100.0, "PyTorch native": 50.0, "analytic": 60.0})]
    return {"with AVX2": ("A Processor, Python", {"layer_norm": dict.fromkeys(SETTINGS, rows)})}


@pytest.mark.parametrize(("recorded", "word"), [(49.0, "moonshot"), (69.0, "reached"), (70.4, "reached"), (71.0, "missed")])
def test_the_report_says_reached_or_missed(recorded, word):
    (_, tables), *_ = _found(recorded).values()
    assert next(report.aims(tables)).split()[0] == word


def test_one_setting_that_misses_is_a_miss():
    aim = aims.Aim("b", "c", "ours", "other", 1.0)
    rows = {
        "default": [Row("c", "µs", {"ours": 2.0, "other": 1.0})],
        "keeps pages": [Row("c", "µs", {"ours": 1.0, "other": 1.0})],
    }
    assert aims.word(aim, aims.found(aim, {"b": rows}).values()) == "missed"
    assert aims.word(aim, []) == "not measured"


def test_figures_are_written_between_their_marks(tmp_path, monkeypatch):
    place = tmp_path / "benchmarks"
    place.mkdir()
    (place / "README.md").write_text("above\n<!-- figures -->\nold\n<!-- end of figures -->\nbelow\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("a\n<!-- speed -->\nold\n<!-- end of speed -->\nb\n", encoding="utf-8")
    monkeypatch.setattr(report, "PLACE", place)
    report.write(_found(49.0), {"layer_norm": "what it is"})
    full = (place / "README.md").read_text(encoding="utf-8")
    assert full.startswith("above\n<!-- figures -->\n")
    assert full.endswith("<!-- end of figures -->\nbelow\n")
    assert "old" not in full
    assert "| 8×64: recorded ÷ PyTorch primitives | 0.7 | 0.49 / 0.49 moonshot |" in full
    assert "A Processor" in (tmp_path / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text("no place", encoding="utf-8")
    with pytest.raises(SystemExit, match="has no place for the speed"):
        report.write(_found(49.0), {"layer_norm": "what it is"})
