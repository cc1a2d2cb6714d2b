# %% [markdown]
# # 17 · Fool a check, then mend it
#
# A colleague tests a LayerNorm (without γ and β) by `y.sum().backward()`: the cotangent is all
# ones. Write a `wrong` dx that passes this test, although it is not the gradient. Then choose a
# cotangent `dy` that no known mistake passes.

# %%
import numpy as np


def mean(a):
    return a.mean(-1, keepdims=True)


def wrong(dy, x):
    c = x - mean(x)
    rstd = (mean(c * c) + 1e-5) ** -0.5
    x_hat = c * rstd
    # >>> yours: not the gradient, but the same for dy = 1
    return rstd * (dy - mean(dy) + x_hat * mean(dy * x_hat))
    # --- stub
    # return rstd * (dy - mean(dy) - x_hat * mean(dy * x_hat))  # this is the gradient
    # <<<


# >>> yours: a cotangent of the shape (4, 8)
dy = np.random.default_rng(0).normal(size=(4, 8))
# --- stub
# dy = np.ones((4, 8))
# <<<

# === for the teacher
import tinygrad_norm as tn
from tinygrad_norm.learn import Exercise, Facts, Question, Wrong


def normed(x):
    return tn.functional.layer_norm(x, 8)


def right(dy, x):
    c = x - mean(x)
    rstd = (mean(c * c) + 1e-5) ** -0.5
    return rstd * (dy - mean(dy) - c * rstd * mean(dy * c * rstd))


def rule(names):
    x = np.random.default_rng(3).normal(size=(4, 8)) * np.array([[0.3], [1.0], [3.0], [10.0]])
    theirs = np.asarray(names["wrong"](np.ones((4, 8)), x))
    yield theirs.shape == x.shape, f"the shape: dx has x's, (4, 8), not {theirs.shape}"
    yield (
        np.abs(theirs).max() < 1e-9,
        f"the colleague's test notices: for dy = 1 the gradient is 0, and yours is {np.abs(theirs).max():.2g} somewhere",
    )
    verdict = tn.check(names["wrong"], normed, inputs=[x])
    yield not verdict.ok, "it fools nobody: this is the gradient. Leave something away that is 0 where dy = 1"
    dy = np.asarray(names["dy"], float)
    yield dy.shape == (4, 8), f"the cotangent's shape: (4, 8), not {dy.shape}"
    probe = tn.check(right, normed, inputs=[x], grad_output=dy).yours
    some = "; ".join(probe.passing[:3])
    yield (
        not probe.passing,
        f"a weak cotangent: {len(probe.passing)} of {probe.known} known mistakes would pass with it, such as: {some}",
    )


exercise = Exercise(
    goal="say what a gradient check is worth, by what it would let pass",
    lesson="a_test_that_cannot_fail",
    minutes=12,
    judge=Facts(rule),
    hints=(
        "Which of the three terms are 0 when dy is 1 everywhere?",
        "Way: dy − mean(dy) is 0 there, and mean(dy·x̂) = mean(x̂) is, too. What may be done to things that are 0?",
        "Shape: leave one of the zero terms away, turn its sign, or multiply it by anything. For dy: numbers with no pattern.",
        "return rstd * (dy - mean(dy) + x_hat * mean(dy * x_hat)), and dy = np.random.default_rng(0).normal(size=(4, 8))",
    ),
    wrong=(
        Wrong("", "", "it fools nobody: this is the gradient"),
        Wrong("- mean(dy) + x_hat", "+ x_hat", "the colleague's test notices"),
        Wrong("np.random.default_rng(0).normal(size=(4, 8))", "np.ones((4, 8))", "a weak cotangent"),
        Wrong("np.random.default_rng(0).normal(size=(4, 8))", "np.eye(4, 8)[:, :1] + np.zeros((4, 8))", "a weak cotangent"),
        Wrong(
            "np.random.default_rng(0).normal(size=(4, 8))",
            "np.random.default_rng(0).normal(size=(8, 4))",
            "the cotangent's shape",
        ),
    ),
    predict=Question(
        "Of some 20 known mistakes, how many pass y.sum()?",
        ("none", "a few", "most"),
        "most",
        "What is wrong is multiplied by 0.",
    ),
)
