"""∞ and NaN are results: nothing is said about them, whoever computes them, and nobody's settings change."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

import tinygrad_norm as tn

ODD = """
import numpy as np, tinygrad_norm as tn
from tinygrad_norm.norms.registry import get, names
F, found = tn.functional, 0
odd = np.array([[0.0, -0.0, 1, -1], [np.inf, -np.inf, np.nan, 2], [1e38, -1e38, 1e-38, 0], [3e38] * 4], "float32")
def back(y, x):
    global found
    if isinstance(y, tn.Tensor) and y.requires_grad:
        found += 1
        for record in (False, True):
            tn.grad(y, x, np.full(y.shape, y.dtype.type(6e4)), create_graph=record, allow_unused=True)
for dtype in ("float16", "float32"):
    x = tn.tensor(np.clip(odd, -6e4, 6e4).astype(dtype) if dtype == "float16" else odd, requires_grad=True)
    for name in F.__all__:
        for more in ((), (-1,), (2,), (odd,)):
            try:
                back(getattr(F, name)(x, *more), x)
            except (tn.TinygradNormError, TypeError):
                pass
    for y in (x / 0, 1 / x, x // 0, x % 0, x**-1, 0.0**x, x - x, x * x, x @ x.mT, np.log(x), x.half(), x.sum(), x.mean(0)):
        back(y, x)
for name in names():
    norm = get(name)
    options = {**norm.options}
    shape = options.pop("shape", (4, 4, 2, 2) if norm.min_ndim > 2 else (4, 4))
    x = tn.tensor(np.resize(odd, shape), requires_grad=True)
    more = {what: tn.tensor(np.ones(s, "float32")) for what, s in norm.parameters(shape, **options).items()}
    for how in ("recorded", "analytic"):
        try:
            back(norm.apply({"input": x, **more}, backward=how, **options), x)
        except tn.TinygradNormError:
            pass
print(found)
"""


def new_interpreter(code: str, *options: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr.strip()


def test_nothing_is_said_about_odd_numbers():
    out, said = new_interpreter("import warnings\nwarnings.simplefilter('always')\n" + ODD, "-W", "always")
    assert int(out) > 150
    assert said == ""


def test_what_numpy_is_asked_to_say_it_says():
    """Nothing of NumPy's own settings, nor of the user's own lines, is touched."""
    code = """
import numpy as np, tinygrad_norm as tn
before = np.geterr()
x = tn.tensor([0.0], requires_grad=True)
tn.log(x).backward()
assert before == np.geterr()
np.log(np.zeros(1))
with np.errstate(divide="raise"):
    try:
        tn.log(x)
    except FloatingPointError:
        print("stopped")
"""
    out, said = new_interpreter(code)
    assert out == "stopped"
    assert said.count("RuntimeWarning") == said.count("divide by zero encountered in log") == 1
    assert "<string>:7" in said
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            tn.log(np.zeros(1))
