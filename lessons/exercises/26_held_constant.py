# %% [markdown]
# # 26 · What is held constant
#
# A layer may compute with σ² and decide that no gradient goes through it: on the record that is
# `detach`. It still subtracts the mean, and the mean is not held. The gradient is then that of
# another function, and right for this one. Write it.

# %%
import tinygrad_norm as tn


def half_held(x):
    c = x - x.mean(-1, keepdims=True)
    variance = (c * c).mean(-1, keepdims=True).detach()
    return c * ((variance + 1e-5) ** -0.5).named("rstd")


def mean(a):
    return a.mean(-1, keepdims=True)


def backward(dy, x):
    c = x - mean(x)
    rstd = (mean(c * c) + 1e-5) ** -0.5
    # >>> yours: dx
    return rstd * (dy - mean(dy))
    # --- stub
    # return rstd * (dy - mean(dy) - c * rstd * mean(dy * c * rstd))  # the gradient, if nothing were held
    # <<<


# === for the teacher
import numpy as np

from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="say which function a gradient belongs to when something is held constant",
    lesson="what_is_held_constant",
    claims=("gradient-or-forward",),
    minutes=8,
    judge=Backward(half_held, {"x": (4, 8)}),
    hints=(
        "Which of the three terms came through σ²?",
        "Way: direct and through the mean; the third is cut.",
        "Shape: rstd · (two terms)",
        "return rstd * (dy - mean(dy))",
    ),
    found="the gradient of LayerNorm, where nothing is held: that of another function",
    wrong=(
        Wrong("", "", "the term through σ² is in it, and σ² is held constant here", numbers=True),
        Wrong("dy - mean(dy)", "dy", "mean(x) was treated as a constant: the mean is not held, only σ²", numbers=True),
        Wrong(
            "rstd * (dy - mean(dy))", "dy - mean(dy)", "rstd is held constant, but it is still a factor on the way", numbers=True
        ),
        Wrong("dy - mean(dy)", "dy - dy.mean(0)", "over axis 0 where axis 1 belongs"),
    ),
    predict=Question(
        "A central difference of half_held agrees with this dx:",
        ("yes", "no"),
        "no",
        "Whoever moves x moves σ², too. The record says it is constant.",
    ),
    picture=lambda: half_held(tn.tensor(np.eye(3), requires_grad=True, name="x")),
)
