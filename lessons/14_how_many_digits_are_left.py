# %% [markdown]
# # 14 · How many digits are left
#
# Lesson 13: a variance in one pass, mean(x²) − μ², cancels forward and backward. Here is how much is left of a gradient.

# %%
import numpy as np

import tinygrad_norm as tn

EPS = 1e-5


def two_passes(x):
    mu = x.mean(-1, keepdims=True).named("μ")
    c = (x - mu).named("c")
    variance = (c**2).mean(-1, keepdims=True).named("σ²")
    return (c * (variance + EPS).rsqrt().named("rstd")).named("x̂")


def one_pass(x):
    mu = x.mean(-1, keepdims=True).named("μ")
    variance = ((x**2).mean(-1, keepdims=True).named("mean(x²)") - mu**2).named("σ²")
    return ((x - mu).named("c") * (variance + EPS).rsqrt().named("rstd")).named("x̂")


rng = np.random.default_rng(0)
rows, dy = rng.normal(size=(2, 16, 64))

# %% [markdown]
# Move sixteen such rows away from zero. Their gradients must not change: adding a number to all of x changes nothing.


# %%
def error(f, offset, dtype):
    """The largest error of dx relative to the largest dx. The truth: the numbers as they are stored, centred, in float64."""
    stored = (rows + offset).astype(dtype)
    exact = stored.astype("float64") - offset  # exact: the two are nearly equal
    x, true = tn.tensor(stored, requires_grad=True), tn.tensor(exact, requires_grad=True)
    (truth,) = tn.grad(two_passes(true), true, dy)
    with np.errstate(invalid="ignore"):  # the root of a negative number
        (dx,) = tn.grad(f(x), x, dy.astype(dtype))
    return float(np.abs(dx.data - truth.data).max() / np.abs(truth.data).max())


offsets = (0.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
errors = {
    (f.__name__, dtype): [error(f, o, dtype) for o in offsets] for dtype in ("float64", "float32") for f in (two_passes, one_pass)
}
print("error of dx         " + "".join(f"{o:>9.0e}" for o in offsets) + "   = μ/σ")
for (name, dtype), found in errors.items():
    print(f"{name:<11} {dtype:<8}" + "".join(f"{e:9.0e}" for e in found))

# %% [markdown]
# Two passes lose as many digits as μ/σ has: at 1e6 some five of sixteen. One pass loses twice as many, (μ/σ)². In float32
# that leaves one digit at μ/σ = 1e3 and none after, but NaN where the difference comes out negative. Clipping it at 0,
# as some do, makes the NaN a 1/√ε instead.
#
# The remedy costs one more pass, or a shift by any number near the mean before squaring. This library computes the
# variance by its definition, everywhere.

# %%
two, one = (np.array(errors[name, "float64"]) for name in ("two_passes", "one_pass"))
assert 0.7 < np.log10(two[-1] / two[2]) / 4 < 1.3, "the error grows as μ/σ"
assert 1.7 < np.log10(one[-1] / one[2]) / 4 < 2.3, "the error grows as (μ/σ)²"
single = dict(zip(offsets, errors["one_pass", "float32"]))
assert not single[1e4] < 0.1, "in float32 it is wrong, or NaN"
assert errors["two_passes", "float32"][offsets.index(1e4)] < 1e-2, "by definition it is not"
print("ok: subtract before you square, or lose twice the digits")
