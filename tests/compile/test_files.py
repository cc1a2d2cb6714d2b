"""Files that stand alone: each is run in a process of its own, and judged from outside."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.cli import main

from .cases import NOT_FUSED, numbers, off, record

FUSED = [n for n in tn.norms.names() if n not in NOT_FUSED and not n.startswith("test_")]
FEW = ["layer_norm", "batch_renorm"]


def run(path, *command):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, cwd=path.parent, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def load(path, name="emitted"):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(tmp_path, name, language, suffix="py"):
    path = tmp_path / f"{name}.{suffix}"
    path.write_text(tn.kernel(name).source(language), encoding="utf-8")
    return path


def test_numpy_stands_alone(tmp_path):
    out = run(written(tmp_path, "layer_norm", "numpy"), sys.executable, "-W", "error")
    assert out.count("right to") == 3


@pytest.mark.thorough
@pytest.mark.parametrize("name", FUSED)
def test_every_numpy_file(name, tmp_path):
    path = written(tmp_path, name, "numpy")
    load(path).test()


@pytest.mark.thorough
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("name", FUSED)
def test_every_torch_file(name, tmp_path):
    load(written(tmp_path, name, "torch")).test()


@pytest.mark.thorough
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize("name", FEW)
def test_jax_files(name, tmp_path):
    run(written(tmp_path, name, "jax"), sys.executable, "-W", "ignore")


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
@pytest.mark.parametrize("name", FUSED)
def test_every_c_file(name, tmp_path):
    path = written(tmp_path, name, "c", "c")
    flags = ["-O1", "-fopenmp-simd", "-Wall", "-Werror", "-Wno-unused", "-DTEST"]
    subprocess.run(["gcc", *flags, str(path), "-o", str(tmp_path / "run"), "-lm"], check=True)
    subprocess.run([str(tmp_path / "run")], check=True, capture_output=True)


@pytest.mark.thorough
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize("name", ["layer_norm", "softmax"])
def test_triton_in_its_interpreter(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "the kernels are right" in run(written(tmp_path, name, "triton"), sys.executable, "-W", "ignore")


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_c_through_ctypes(tmp_path):
    path = written(tmp_path, "layer_norm", "c", "c")
    flags = ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, str(path), "-o", str(tmp_path / "k.so"), "-lm"], check=True)
    library = ctypes.CDLL(str(tmp_path / "k.so"))
    values, dy, settings = numbers("layer_norm", (37, 100), dtype=np.float32)
    x, w, b = values.values()
    y, mu, rstd = np.empty_like(x), np.empty(37, np.float32), np.empty(37, np.float32)
    dx, dw, db = np.empty_like(x), np.zeros(100), np.zeros(100)
    at = lambda *arrays: [ctypes.c_void_p(a.ctypes.data) for a in arrays]  # noqa: E731
    rows, sizes = [ctypes.c_long(0), ctypes.c_long(37)], [ctypes.c_long(37), ctypes.c_long(100)]
    assert library.forward(*rows, *at(x, w, b, y, mu, rstd), ctypes.c_float(1e-5), *sizes) == 0
    assert library.backward(*rows, *at(x, w, dy, mu, rstd, dx, dw, db), *sizes) == 0
    for a, want in zip((y, dx, dw, db), record("layer_norm", values, dy, settings, ["input", "weight", "bias"])):
        assert off(a, want) < 1e-5
    x[0, 0] = np.nan
    assert library.forward(*rows, *at(x, w, b, y, mu, rstd), ctypes.c_float(1e-5), *sizes) != 0


def test_the_verdict_calls_it_right(tmp_path):
    made = load(written(tmp_path, "layer_norm", "numpy"))
    assert tn.check(made.layer_norm_backward, "layer_norm").ok


def test_the_command(tmp_path, capsys):
    path = tmp_path / "layer_norm.py"
    assert main(["derive", "layer_norm", "--format", "torch", "--out", str(path)]) == 0
    assert "class LayerNormFunction(torch.autograd.Function)" in path.read_text(encoding="utf-8")
    assert "forward: for each B, 3 passes" in capsys.readouterr().out
    assert main(["derive", "rms_norm", "--out", str(tmp_path / "rms_norm.c"), "--quiet"]) == 0
    assert "int backward(long start" in (tmp_path / "rms_norm.c").read_text(encoding="utf-8")
    assert main(["derive", "layer_norm", "--format", "c", "--order", "2"]) == 2
    assert "is a kernel" in capsys.readouterr().err


def test_no_such_language():
    with pytest.raises(tn.TinygradNormError, match="there is no source in 'fortran'"):
        tn.kernel("film").source("fortran")
