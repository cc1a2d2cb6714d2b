"""exp, tanh and their like, as the kernels have them: within two units of the last place, everywhere."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess

import numpy as np
import pytest

from tinygrad_norm.compile.vector import NUMBA, C

pytestmark = pytest.mark.thorough
ENDS = {"exp": (-110, 92), "tanh": (-25, 25), "sigmoid": (-105, 105), "softplus": (-105, 105), "erf": (-7, 7)}


def places(name, dtype):
    """Numbers all over the range, many of them small, and the ends of the dtype."""
    low, high = ENDS[name] if dtype == "float32" or name == "erf" else (7 * e for e in ENDS[name])
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    some = [rng.uniform(low, high, 1500), rng.normal(size=1500), 10 ** rng.uniform(-12, 0, 500) * rng.choice([-1, 1], 500)]
    ends = [0.0, -0.0, info.tiny / 8, -info.tiny / 8, info.tiny, info.max / 4, -info.max / 4, 0.625, 88.72, -87.4, -103.9]
    return np.concatenate([*some, ends]).astype(dtype)


def exact(name, x):
    import mpmath as mp

    with mp.workdps(60):
        f = {"sigmoid": lambda v: 1 / (1 + mp.exp(-v)), "softplus": lambda v: mp.log1p(mp.exp(v))}.get(
            name, getattr(mp, name, None)
        )
        return [f(mp.mpf(float(v))) for v in x]


def ulps(found, x, name):
    """How far off, in units of the last place; where nothing is normal, in the smallest there is."""
    import mpmath as mp

    worst = 0.0
    info = np.finfo(found.dtype)
    with mp.workdps(60):
        for a, w in zip(found, exact(name, x)):
            if abs(w) > float(info.max):
                assert np.isinf(a)
                continue
            rounded = float(w) if found.dtype == np.float64 else float(np.float32(float(w)))
            unit = max(float(np.spacing(found.dtype.type(abs(rounded)))), float(info.smallest_subnormal))
            worst = max(worst, float(abs(mp.mpf(float(a)) - w) / unit))
    return worst


def numba_function(name, dtype):
    import numba

    of = {"np": np, "njit": numba.njit, "T": getattr(np, dtype), "math": __import__("math")}
    for helper in ("exp", name):
        exec(NUMBA[helper][dtype], of)
    of["inner"] = of[f"{name}_"]
    exec("def whole(x, y):\n    for k in range(x.size):\n        y[k] = inner(x[k])", of)
    whole = numba.njit(of["whole"])

    def run(x):
        y = np.empty_like(x)
        whole(x, y)
        return y

    return run


def c_function(name, dtype, folder):
    real = {"float32": "float", "float64": "double"}[dtype]
    helpers = [C[n][dtype] for n in dict.fromkeys(("exp", name)) if n in C]
    call = f"{name}_" if name in C else {"float32": f"{name}f", "float64": name}[dtype]
    loop = f"void whole(long n, const {real} *x, {real} *y) {{ for (long k = 0; k < n; k++) y[k] = {call}(x[k]); }}"
    head = [f"#include <{h}.h>" for h in ("math", "stdint", "string")]
    path = folder / "f.c"
    path.write_text("\n".join([*head, *helpers, loop]))
    flags = ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, str(path), "-o", str(folder / "f.so"), "-lm"], check=True)
    library = ctypes.CDLL(str(folder / "f.so"))

    def run(x):
        y = np.empty_like(x)
        library.whole(ctypes.c_long(x.size), ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data))
        return y

    return run


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("language", ["numba", "c"])
def test_within_two_units(language, dtype, name, tmp_path):
    if importlib.util.find_spec("numba") is None if language == "numba" else shutil.which("cc") is None:
        pytest.skip("it cannot be compiled here")
    run = numba_function(name, dtype) if language == "numba" else c_function(name, dtype, tmp_path)
    x = places(name, dtype)
    with np.errstate(all="ignore"):
        assert ulps(run(x), x, name) <= 2
        special = run(np.array([np.nan, np.inf, -np.inf], dtype))
    assert np.isnan(special[0])
    assert [*special[1:]] == {"exp": [np.inf, 0], "softplus": [np.inf, 0], "sigmoid": [1, 0]}.get(name, [1, -1])
    if name in ("tanh", "erf"):
        assert [*np.signbit(run(np.array([0.0, -0.0], dtype)))] == [False, True]
