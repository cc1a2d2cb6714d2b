"""Backward functions in files: found, named, guessed; and files that are not what they should be."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest

from tinygrad_norm.check import files
from tinygrad_norm.check.binding import CheckInputError
from tinygrad_norm.check.files import guess_norm, load

FILE = """\
print("loading")
import numpy as np
from dataclasses import dataclass
import neighbour

@dataclass
class Statistics:
    mean: float

def helper(x):
    return x

def _private(dy):
    return dy

def ln_bwd(dy, x, w, b, eps):
    return neighbour.double(dy), None, None

same_thing = ln_bwd

def softmax_grad(a, b):
    return a

def check_gradients(f, x):
    return f

def zero_grad(parameters):
    pass

def mystery(grad_output, x):
    return grad_output

class RMSNorm:
    def forward(self, x):
        return x
    @staticmethod
    def backward(dy, x, w, eps):
        return dy, None

class Stateful:
    norm = "group_norm"
    def __init__(self):
        self.factor = 3
    def backward(self, dy, x):
        return self.factor * dy

class Needs:
    def __init__(self, dim):
        pass
    def backward(self, dy):
        return dy

if __name__ == "__main__":
    raise SystemExit
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return str(path)

    write("def double(x):\n    return 2 * x\n", "neighbour.py")
    return write


def test_what_is_found(write, capsys):
    modules, path = set(sys.modules), list(sys.path)
    found = load(write(FILE))
    assert [(f.name, f.norm) for f in found] == [
        ("ln_bwd", "layer_norm"),
        ("softmax_grad", "softmax"),
        ("mystery", None),
        ("RMSNorm.backward", "rms_norm"),
    ]
    assert [FILE.splitlines()[f.line - 1].strip() for f in found] == [
        "def ln_bwd(dy, x, w, b, eps):",
        "def softmax_grad(a, b):",
        "def mystery(grad_output, x):",
        "@staticmethod",
    ]
    assert found[0].function(np.ones(2), 0, 0, 0, 0)[0].tolist() == [2, 2]
    assert capsys.readouterr() == ("", "")
    assert set(sys.modules) - modules == set()
    assert sys.path == path


def test_a_named_one(write):
    path = write(FILE)
    for name in ("helper", "_private", "mystery", "RMSNorm.backward"):
        (found,) = load(f"{path}:{name}")
        assert found.name == name
    (found,) = load(f"{path}:RMSNorm")
    assert (found.name, found.norm) == ("RMSNorm.backward", "rms_norm")
    (found,) = load(f"{path}:Stateful.backward")
    assert found.norm == "group_norm"
    assert found.function(2, 0) == 6


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("mine.py:nothing", r"mine.py: there is no nothing in it. It has: Statistics, helper, _private, ln_bwd"),
        ("mine.py:RMSNorm.backwards", "there is no RMSNorm.backwards in it. RMSNorm has: forward, backward"),
        ("mine.py:np", "np is a module, not a function"),
        ("mine.py:Statistics", "is a class without a backward"),
        ("mine.py:Needs.backward", r"needs an object, and Needs\(\) without arguments makes none"),
        ("other.py", "other.py: there is no such file"),
        ("", "Is a directory|Permission denied|no such file"),
    ],
)
def test_what_is_not_there(write, target, words, tmp_path):
    write(FILE)
    with pytest.raises(CheckInputError, match=words) as caught:
        load(str(tmp_path / target))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:\n", r"is not Python: .* \(line 1\)"),
        ("x = 1\n\0", "is not Python"),
        ("x = 1\nraise ValueError('no')\n", r"raised ValueError: no \(line 2 of mine.py\)"),
        ("import nothing_of_that_name\n", r"raised ModuleNotFoundError: No module named 'nothing_of_that_name' \(line 1"),
        ("import sys\nsys.exit(3)\n", r"raised SystemExit: 3 \(line 2"),
        ("input('your name? ')\n", "raised EOFError"),
        ("", "no backward function found. It defines: no function at all"),
        ("def f(x): pass\n", r"It defines: f. A backward asks for the cotangent first, .*mine.py:FUNCTION"),
        ("NORM = 'layernorm'\ndef f(dy): pass\n", "NORM = 'layernorm' is no norm known here. Known: ada_norm"),
    ],
)
def test_files_that_are_not_right(write, text, words):
    with pytest.raises(CheckInputError, match=words):
        load(write(text))


def test_a_file_that_hangs(write, monkeypatch):
    monkeypatch.setattr(files, "LIMIT", 0.05)
    with pytest.raises(CheckInputError, match=r"did not finish being executed within 0\.05 s"):
        load(write("while True: pass\n"))


def test_a_file_in_latin_and_a_notebook(write, tmp_path):
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'\ndef f(dy): pass\n")
    with pytest.raises(CheckInputError, match="is not Python"):
        load(str(tmp_path / "latin.py"))
    (tmp_path / "coded.py").write_bytes(b"# coding: latin-1\n# \xe9\ndef f(dy): pass\n")
    assert load(str(tmp_path / "coded.py"))[0].line == 3
    with pytest.raises(CheckInputError, match="is a notebook"):
        load(write("{}", "mine.ipynb"))


def test_neighbours_of_one_name_are_each_their_own(write, tmp_path):
    mine = write(FILE)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "neighbour.py").write_text("def double(x):\n    return 20 * x\n")
    (tmp_path / "b" / "mine.py").write_text(FILE)
    for path, factor in ((mine, 2), (str(tmp_path / "b" / "mine.py"), 20), (mine, 2)):
        assert load(path)[0].function(1, 0, 0, 0, 0)[0] == factor


def test_the_norm_said(write):
    assert load(write("NORM = 'rms_norm'\ndef ln_bwd(dy): pass\n"))[0].norm == "rms_norm"
    assert load(write("def f(dy): pass\nf.norm = 'softmax'\n"))[0].norm == "softmax"
    assert load(write("def backward(dy): pass\n", "my_group_norm.py"))[0].norm == "group_norm"


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("layernorm_backward", "layer_norm"),
        ("LayerNormBackward", "layer_norm"),
        ("fused_ln_bwd", "layer_norm"),
        ("MyRMSNorm", "rms_norm"),
        ("rms_vjp", "rms_norm"),
        ("bn_backward_alt", "batch_norm"),
        ("adaptive_instance_norm_bwd", "adaptive_instance_norm"),
        ("instancenorm_bwd", "instance_norm"),
        ("in_bwd", "instance_norm"),
        ("grad_in_place", None),
        ("log_softmax_bwd", "log_softmax"),
        ("softmax_cross_entropy_grad", "cross_entropy"),
        ("weight_norm_bwd", "weight_norm"),
        ("l2_normalize_bwd", "normalize"),
        ("normalized_grad", None),
        ("ConditionalLayerNorm", "conditional_layer_norm"),
        ("norm_backward", None),
        ("linear_backward", None),
    ],
)
def test_guesses(name, norm):
    assert guess_norm(name) == norm


def test_functions_of_frameworks(write):
    pytest.importorskip("torch")
    path = write("""\
        import torch
        class MyLayerNorm(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x): return x
            @staticmethod
            def backward(ctx, dy): return dy
        """)
    for target in (path, f"{path}:MyLayerNorm", f"{path}:MyLayerNorm.backward"):
        (found,) = load(target)
        assert found.function.__name__ == "MyLayerNorm"
        assert found.norm == "layer_norm"


def test_a_custom_vjp_is_judged_as_a_whole(write):
    pytest.importorskip("jax")
    found = load(
        write("""\
        import jax
        @jax.custom_vjp
        def rms_norm(x, w): return x * w
        def rms_fwd(x, w): return x * w, (x, w)
        def rms_bwd(res, g): return g, g
        rms_norm.defvjp(rms_fwd, rms_bwd)
        """)
    )
    assert [(f.name, f.norm) for f in found] == [("rms_norm", "rms_norm")]
