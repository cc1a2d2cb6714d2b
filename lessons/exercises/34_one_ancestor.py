# %% [markdown]
# # 34 · Fool the adjoint test
#
# ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ compares forward and backward. In this library Jv is *made of* the pullbacks
# (lesson 23), so they share an ancestor. Write two pullbacks of tanh: `unseen`,
# wrong, and yet the adjoint test passes; and `seen`, wrong in a way that it does notice.

# %%
def unseen(g, out, x):
    # >>> yours: wrong, and it passes
    return 2 * g * (1 - out**2)
    # --- stub
    # return g * (1 - out**2)  # this is right
    # <<<


def seen(g, out, x):
    # >>> yours: wrong, and noticed
    return g * g * (1 - out**2)
    # --- stub
    # return g * (1 + out**2)
    # <<<


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.check import adjoint_test
from tinygrad_norm.engine import Op
from tinygrad_norm.learn import Exercise, Facts, Question, Wrong


def rule(names):
    x = np.random.default_rng(0).normal(size=(2, 4))
    made = {n: Op(n, "yours({0})", np.tanh, (names[n],)) for n in ("unseen", "seen")}
    yield not tn.check_grads(made["unseen"], x, order=1).ok, "unseen is right: it is to be wrong, such as by a factor"
    yield adjoint_test(made["unseen"], x).ok, "unseen is noticed: what the test notices is a pullback that is not linear in g"
    yield not adjoint_test(made["seen"], x).ok, "seen passes: as long as g comes in once, and plainly, both ends are wrong alike"


exercise = Exercise(
    goal="say what agreement is worth when two answers share an ancestor",
    lesson="two_answers_that_share_an_ancestor",
    minutes=8,
    judge=Facts(rule),
    hints=(
        "If a pullback is wrong by a factor, what is Jv, which is made of it, wrong by?",
        "Way: Jv is the pullback's own pullback in g. That rests on one thing: linearity in g.",
        "Shape: unseen = a factor · g · slope; seen = something with g² or |g|",
        "return 2 * g * (1 - out**2), and return g * g * (1 - out**2)",
    ),
    wrong=(
        Wrong("", "", "unseen is right: it is to be wrong"),
        Wrong("2 * g * (1 - out**2)", "g * g * g * (1 - out**2)", "unseen is noticed"),
        Wrong("g * g * (1 - out**2)", "3 * g * (1 - out**2)", "seen passes"),
    ),
    predict=Question(
        "Central differences know values only. Do they see a doubled slope?",
        ("yes", "no"),
        "yes",
        "They share nothing with the pullback.",
    ),
)
