# %% [markdown]
# # 33 · The other direction
#
# A backward asks what the loss does per unit of x. A *pushforward* asks what y does when x moves
# along v. For x̂ = (x − μ)·rstd: write how x̂ moves. `tn.jvp` knows the truth. While you write:
# where have you seen it before?

# %%
def mean(a):
    return a.mean(-1, keepdims=True)


def pushforward(x, v):
    """How x̂ moves when x moves along v."""
    c = x - mean(x)
    rstd = (mean(c * c) + 1e-5) ** -0.5
    x_hat = c * rstd
    # >>> yours: how c moves, and then x̂
    dc = v - mean(v)
    return rstd * (dc - x_hat * mean(x_hat * v))
    # --- stub
    # dc = v - mean(v)
    # return rstd * dc
    # <<<


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Exercise, Facts, Question, Wrong


def rule(names):
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(4, 8)) * 2 + 1, rng.normal(size=(4, 8))
    truth = np.asarray(tn.jvp(lambda x: tn.functional.layer_norm(x, 8), tn.tensor(x), tn.tensor(v))[1].data)
    theirs = np.asarray(names["pushforward"](x, v))
    c = x - mean(x)
    rstd = (mean(c * c) + 1e-5) ** -0.5
    yield theirs.shape == x.shape, f"the shape: x̂ moves in all its entries, (4, 8), not {theirs.shape}"
    yield not np.allclose(theirs, rstd * (v - mean(v))), "rstd was held still: when x moves along v, its variance moves, too"
    yield not np.allclose(theirs, rstd * (v - c * rstd * mean(c * rstd * v))), "the mean was held still: c moves by v − mean(v)"
    yield (
        not np.allclose(theirs, rstd * (v - mean(v) + c * rstd * mean(c * rstd * v))),
        "the sign: where the variance grows, rstd shrinks",
    )
    part = rstd * c * rstd * mean(c * rstd * v)
    yield not np.allclose(theirs, rstd * (v - mean(v)) - 8 * part), "drstd: N = 8 times too much, a sum where a mean belongs"
    yield (
        not np.allclose(theirs, rstd * (v - mean(v)) - rstd**2 * mean(c * rstd * v)),
        "drstd stands alone: in (c·rstd) moving, dc is multiplied by rstd, and drstd by c",
    )
    yield (
        np.allclose(theirs, truth, rtol=1e-10, atol=1e-12),
        f"off by {np.abs(theirs - truth).max():.2g}: hold both parts, dc·rstd and c·drstd, against what you wrote",
    )


exercise = Exercise(
    goal="push a direction forward through LayerNorm, and say why it looks like the backward",
    lesson="forward_mode_from_reverse_mode",
    minutes=10,
    judge=Facts(rule),
    hints=(
        "x̂ = c·rstd. If c moves by dc and rstd by dr, how does the product move?",
        "Way: dc = v − mean(v); variance moves by 2·mean(c·dc); rstd by −½·rstd³ times that.",
        "Shape: rstd · (dc − x̂ · a mean of x̂ with something)",
        "return rstd * (dc - x_hat * mean(x_hat * v))",
    ),
    wrong=(
        Wrong("", "", "rstd was held still"),
        Wrong("dc - x_hat", "v - x_hat", "the mean was held still"),
        Wrong("dc - x_hat", "dc + x_hat", "the sign: where the variance grows, rstd shrinks"),
        Wrong("mean(x_hat * v)", "mean(c * v)", "hold both parts"),
        Wrong("mean(x_hat * v)", "(x_hat * v).sum(-1, keepdims=True)", "a sum where a mean belongs"),
        Wrong("(dc - x_hat * mean(x_hat * v))", "dc - rstd**2 * mean(x_hat * v)", "drstd stands alone"),
        Wrong("return rstd * (dc", "rstd * (dc", "does a function end without its return?"),
    ),
    solved="rstd·(v − mean(v) − x̂·mean(x̂·v)): it is the backward of exercise 14, with v for g. x̂'s Jacobian is symmetric",
    predict=Question(
        "The Jacobian of x̂ with respect to a row of x is",
        ("symmetric", "triangular", "neither"),
        "symmetric",
        "rstd·(1 − 1/N − x̂x̂ᵀ/N): so pushing forward and pulling back are the same map.",
    ),
)
