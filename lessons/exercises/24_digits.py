# %% [markdown]
# # 24 · Digits that are not there
#
# float32 has some seven digits. A variance from mean(x²) − mean(x)² squares first and subtracts
# then, and where the mean is large the digits that matter are gone before anything is subtracted.
# Write the variance of a row so that it is right for numbers around 4096, in float32 throughout,
# and stays float32.

# %%
import numpy as np


def variance(x):
    """Of each row, kept as a column: (B, N) -> (B, 1), in x's own dtype."""
    mu = x.mean(-1, keepdims=True)
    # >>> yours
    c = x - mu
    return (c * c).mean(-1, keepdims=True)
    # --- stub
    # return (x * x).mean(-1, keepdims=True) - mu * mu
    # <<<


# %%
print(variance(np.array([[4094.5, 4095.5, 4096.5, 4097.5]], "float32")), "is 1.25")

# === for the teacher
from tinygrad_norm.learn import Exercise, Facts, Question, Wrong


def rule(names):
    rng = np.random.default_rng(0)
    near = rng.normal(size=(3, 16)).astype("float32")
    given = np.asarray(names["variance"](near))
    yield given.shape == (3, 1), f"the shape: (3, 1), a number for each row, not {given.shape}"
    truth = near.astype(float).var(-1, keepdims=True)
    yield not np.allclose(given, truth * 16 / 15, rtol=1e-4), "N − 1: divided by N − 1, where a norm divides by N"
    yield np.allclose(given, truth, rtol=1e-5), "around 0 already: it is the mean of the squared deviations from the mean"
    yield (
        given.dtype == np.float32,
        f"the dtype: {given.dtype}: float32 in, float32 out; a wider one costs twice the memory, and hides what is asked here",
    )
    many = rng.normal(3.0, 1.0, size=(200, 50)).astype("float32")
    exact = many.astype(float).var(-1, keepdims=True).astype("float32")
    yield (
        not np.array_equal(names["variance"](many), exact),
        "float32 throughout: 200 rows, and each rounded only once: it was computed in a wider dtype and cast back, which on a large "
        "array costs twice the memory",
    )
    far = (near + np.float32(4096)).astype("float32")
    truth = far.astype(float).var(-1, keepdims=True)
    error = float(np.abs(np.asarray(names["variance"](far)) / truth - 1).max())
    yield error < 1e-2, f"the digits: around 4096 it is off by {error:.0%}: what is squared before it is subtracted has lost them"


exercise = Exercise(
    goal="keep the digits of a variance where the mean is large",
    lesson="how_many_digits_are_left",
    claims=("half-precision",),
    minutes=6,
    judge=Facts(rule),
    hints=(
        "4096² is 16 777 216. How far apart are two neighbouring float32 numbers there?",
        "Way: subtract the mean first, while the digits are there; square then.",
        "Shape: c = x − …; the mean of c·c",
        "c = x - mu;  return (c * c).mean(-1, keepdims=True)",
    ),
    wrong=(
        Wrong("", "", "what is squared before it is subtracted has lost them"),
        Wrong(
            "return (c * c).mean(-1, keepdims=True)", "return x.astype(float).var(-1, keepdims=True)", "float32 in, float32 out"
        ),
        Wrong(
            "(c * c).mean(-1, keepdims=True)", "x.var(-1, keepdims=True, ddof=1)", "divided by N − 1, where a norm divides by N"
        ),
        Wrong(
            "return (c * c).mean(-1, keepdims=True)",
            'return x.astype("float64").var(-1, keepdims=True).astype(x.dtype)',
            "computed in a wider dtype and cast back",
        ),
        Wrong("(c * c).mean(-1, keepdims=True)", "(c * c).mean(-1)", "(3, 1), a number for each row"),
        Wrong("(c * c).mean(-1, keepdims=True)", "np.abs(c).mean(-1, keepdims=True)", "the mean of the squared deviations"),
    ),
    predict=Question(
        "At μ/σ = 1000, how many of float32's seven digits has mean(x²) − μ²?",
        ("six", "four", "one"),
        "one",
        "It loses (μ/σ)², six of seven; by definition μ/σ, three.",
    ),
)
