# %% [markdown]
# # 12 · One over the root
#
# rstd = (v + ε)^(−1/2), for v = σ²: the fourth step, entry by entry. Where v is small the slope is
# huge, and where v is 0 it is finite only because of ε.

# %%
def rstd(v):
    return (v + 1e-5) ** -0.5


def backward(dy, v):
    # >>> yours
    return -0.5 * (v + 1e-5) ** -1.5 * dy
    # --- stub
    # return (v + 1e-5) ** -0.5 * dy  # the value, where the slope belongs
    # <<<


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong


class Positive(Backward):
    """A variance is positive."""

    def _drawn(self, shapes=None):
        return {n: np.abs(a) + 0.3 for n, a in super()._drawn(shapes).items()}


exercise = Exercise(
    goal="differentiate a power, and say why ε stands inside the root",
    lesson="layer_norm_from_primitives",
    minutes=6,
    judge=Positive(rstd, {"v": (4, 8)}),
    hints=(
        "What is the slope of uⁿ, for n = −1/2?",
        "Way: one only, through u = v + ε, whose slope with respect to v is 1.",
        "Shape: n · u to the power n − 1 · dy",
        "return -0.5 * (v + 1e-5) ** -1.5 * dy",
    ),
    wrong=(
        Wrong(
            "", "", "the value where the slope belongs: the power goes down by one, and its exponent comes in front", numbers=True
        ),
        Wrong("-0.5 * (v", "0.5 * (v", "every term has the wrong sign"),
        Wrong("** -1.5", "** -0.5", "taken with the exponent -0.5 where -1.5 belongs"),
        Wrong("-0.5 * (v", "-1.0 * (v", "everything is 2 times too big"),
        Wrong("(v + 1e-5) ** -1.5 * dy", "v**-1.5 * dy", "ε was left out: v where v + ε belongs", numbers=True),
    ),
    predict=Question(
        "v goes from 1 to 0.01 (ε = 0). The slope becomes larger by",
        ("10", "100", "1000"),
        "1000",
        "v^(−3/2): 0.01^(−1.5) = 1000.",
    ),
    picture=lambda: rstd(tn.tensor([[0.5, 1.0]], requires_grad=True, name="v")),
)
