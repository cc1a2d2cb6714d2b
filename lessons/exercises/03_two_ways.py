# %% [markdown]
# # 3 · Two ways to y
#
# In y = x·tanh(x), x reaches y twice: as the first factor, and through the second. Each way gives
# its share to dx, and **shares add up**. Along a way, slopes multiply. (The slope of tanh, here
# `tn.functional.tanh`, is 1 − tanh².)

# %%
import numpy as np

import tinygrad_norm as tn


def gated(x):
    return x * tn.functional.tanh(x)


def backward(dy, x):
    t = np.tanh(x)
    # >>> yours: both ways
    return dy * t + dy * x * (1 - t**2)
    # --- stub
    # return dy * t  # straight through the first factor
    # <<<


# %%
if __name__ == "__main__":  # for who runs this file by itself; g draws it in the course
    print(tn.graph(gated(tn.tensor([0.5], requires_grad=True, name="x"))))

# === for the teacher
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="add up the ways by which an input reaches the output",
    lesson="routes_and_time",
    minutes=8,
    judge=Backward(gated, {"x": (4, 8)}),
    hints=(
        "If only the x inside tanh moved, and the other stayed, how would y change?",
        "Way: the second goes y ← tanh(x) ← x. Into the product it enters with slope x, into tanh with 1 − tanh².",
        "Shape: dy · (one way) + dy · x · (slope of tanh)",
        "return dy * t + dy * x * (1 - t**2)",
    ),
    wrong=(
        Wrong("", "", "the second way is missing: y ← tanh(x) ← x", numbers=True),
        Wrong(
            "dy * t + dy * x * (1 - t**2)",
            "dy * x * (1 - t**2)",
            "the first way is missing: x straight into the product",
            numbers=True,
        ),
        Wrong(
            "dy * t + dy * x * (1 - t**2)",
            "dy * t * (1 - t**2)",
            "a product of the two slopes: along one way slopes multiply, two ways add up",
            numbers=True,
        ),
        Wrong(
            "dy * x * (1 - t**2)",
            "dy * (1 - t**2)",
            "the way through tanh has lost the factor x by which tanh(x) enters the product",
            numbers=True,
        ),
        Wrong(
            "dy * x * (1 - t**2)",
            "(1 - t**2)",
            "the second way has lost dy, and the x with which tanh(x) is multiplied",
            numbers=True,
        ),
        Wrong("dy * t + dy", "dy * t - dy", "the ways were subtracted: shares add up", numbers=True),
        Wrong("x * (1 - t**2)", "x", "the slope of tanh(x), 1 − tanh², is missing"),
        Wrong("(1 - t**2)", "(1 + t**2)", "the slope of tanh is 1 − tanh², not 1 + tanh²", numbers=True),
    ),
    predict=Question(
        "Near x = 0, which way gives the larger share?",
        ("the first", "the second", "both alike"),
        "both alike",
        "tanh(x) ≈ x there, and x·(1 − tanh²) ≈ x, too.",
    ),
    picture=lambda: gated(tn.tensor([[0.5, -1.0]], requires_grad=True, name="x")),
)
