# %% [markdown]
# # 30 · Back through time
#
# A recurrent network in one number: h ← tanh(w·h + xₜ), from h = 0, for every t. `w` is used at
# every step (exercise 5 again), and each h is an input of the next. So the way back is a loop from
# the last step to the first, and dw is a sum over all of them.

# %%
import numpy as np

import tinygrad_norm as tn


def recurrent(x, w):
    h = 0 * x[0]
    for t in range(len(x)):
        h = tn.functional.tanh(w * h + x[t])
    return h


def backward(dy, x, w):
    h = [np.zeros_like(x[0])]
    for t in range(len(x)):
        h.append(np.tanh(w * h[-1] + x[t]))
    dx, dw, dh = np.zeros_like(x), np.zeros_like(w), dy
    for t in reversed(range(len(x))):
        # h[t + 1] = tanh(w·h[t] + x[t]), and dh is what arrives at h[t + 1]
        # >>> yours: what arrives at w·h[t] + x[t]; dx[t]; dw so far; what arrives at h[t]
        da = dh * (1 - h[t + 1] ** 2)
        dx[t] = da
        dw = dw + da * h[t]
        dh = da * w
        # --- stub
        # da = dh
        # dx[t] = da
        # dw = da * h[t]
        # dh = da * w
        # <<<
    return dx, dw


# === for the teacher
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="take a gradient back through time, and say why it fades",
    lesson="layer_norm_in_an_lstm",
    claims=("recurrent-gradients", "recurrent-training"),
    minutes=15,
    judge=Backward(recurrent, {"x": (6, 3), "w": (3,)}),
    hints=(
        "Between dh and what is inside tanh, what is the slope?",
        "Way of one step: h[t+1] ← tanh ← w·h[t] + x[t]; from there to x[t], to w, and to h[t].",
        "Shape: da = dh·(slope of tanh, from its value); dx[t] = da; dw grows by da·h[t]; dh = da·w",
        "da = dh * (1 - h[t + 1] ** 2); dw = dw + da * h[t]",
    ),
    found="tanh lets all through, as if it had no slope, and dw is written anew at every step",
    wrong=(
        Wrong("", "", "the slope of tanh is missing at every step, and dw has one step's share only", numbers=True),
        Wrong(
            "dw + da * h[t]",
            "da * h[t]",
            "dw has the share of the first step only: w is used at every step, and all shares add up",
            numbers=True,
        ),
        Wrong(
            "dh * (1 - h[t + 1] ** 2)",
            "dh * (1 - h[t] ** 2)",
            "the slope of tanh was taken a step too early: h[t + 1] is its value here",
            numbers=True,
        ),
        Wrong(
            "dh = da * w",
            "dh = dh * w",
            "the slope of tanh is missing on the way to h[t]: what goes on comes through tanh, too, as da does",
            numbers=True,
        ),
        Wrong("dh = da * w", "dh = da", "on the way to h[t] the factor w is missing", numbers=True),
        Wrong("dw + da * h[t]", "dw + da * x[t]", "w multiplies h[t], not x[t]", numbers=True),
        Wrong("dw + da * h[t]", "dw + da * h[t + 1]", "w multiplies h[t], not h[t + 1]", numbers=True),
    ),
    predict=Question(
        "With w = 0.5, what is left of dy after 20 steps, at most?",
        ("a half", "a millionth", "a hundredth"),
        "a millionth",
        "Each step multiplies by w and by a slope of at most 1: 0.5²⁰.",
    ),
    picture=lambda: recurrent(
        tn.tensor(np.zeros((6, 1)), requires_grad=True, name="x"), tn.tensor(np.ones(1), requires_grad=True, name="w")
    ),
)
