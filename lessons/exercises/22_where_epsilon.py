# %% [markdown]
# # 22 · Where ε stands
#
# Some texts write x̂ = (x − μ)/(σ + ε), with ε beside the root. Then rstd = 1/(σ + ε), and
# LayerNorm's three terms are *not* its gradient any more: x̂ is not what comes back through σ. Work
# it out: what is the slope of 1/(σ + ε) with respect to σ, and of σ with respect to c? (The library
# calls this `eps_mode="std"`. It is judged with ε = 0.001.)

# %%
def mean(a):
    return a.mean(-1, keepdims=True)


def backward(dy, x, weight, bias, eps):
    c = x - mean(x)
    sigma = mean(c * c) ** 0.5
    q = 1 / (sigma + eps)
    g = dy * weight
    rows = tuple(range(x.ndim - 1))  # all axes but the last: γ and β are used there
    # >>> yours: dx
    dx = q * (g - mean(g)) - q * q / sigma * c * mean(g * c)
    # --- stub
    # dx = q * (g - mean(g) - c * q * mean(g * c * q))  # as if x̂ were what comes back
    # <<<
    return dx, (dy * c * q).sum(rows), dy.sum(rows)


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="tell two definitions apart by their gradients",
    lesson="where_does_epsilon_live",
    claims=("where-epsilon-stands",),
    minutes=15,
    judge=Backward("layer_norm", {"x": (4, 8), "weight": (8,), "bias": (8,)}, options={"eps_mode": "std", "eps": 1e-3}),
    hints=(
        "q = 1/(σ + ε). What is dq/dσ, and what is dσ/dc, for σ = √mean(c²)?",
        "Way: direct and mean as before; through σ: dq/dσ = −q², dσ/dc = c/(N·σ).",
        "Shape: q·(g − mean(g)) − q²/σ · c · mean(…)",
        "dx = q * (g - mean(g)) - q * q / sigma * c * mean(g * c)",
    ),
    found="the three terms, as if ε stood inside the root: it is another function now, and so is what comes back through σ",
    wrong=(
        Wrong("", "", "the three terms of ε inside the root: through σ + ε comes q²·c/σ, not q³·c", numbers=True),
        Wrong("q * q / sigma", "q * q", "lacks the factor 1/σ"),
        Wrong(
            "q * q / sigma",
            "q / sigma / sigma",
            "1/σ stands there twice: one of the two is to be q = 1/(σ + ε), which comes from the slope of q, −q²",
            numbers=True,
        ),
        Wrong(
            "c * mean(g * c)", "mean(g * c)", "the factor c in front of the last mean is missing: dσ/dc = c/(N·σ)", numbers=True
        ),
        Wrong("q * q / sigma", "q * q * q", "the three terms of ε inside the root"),
        Wrong(" - q * q / sigma * c * mean(g * c)", "", "was treated as a constant"),
        Wrong("mean(g)) - q * q", "mean(g)) + q * q", "the sum(c²) term has the wrong sign"),
    ),
    predict=Question(
        "For rows with σ = ε, by how much do both definitions differ?",
        ("not at all", "by 1.4", "by 1000"),
        "by 1.4",
        "√(σ² + ε²) against σ + ε: √2 where both are alike. (With ε inside as it is, 1e-5 is an ε of 0.003.)",
    ),
    picture=lambda: tn.functional.layer_norm(tn.tensor(np.eye(3), requires_grad=True, name="x"), 3, eps_mode="std"),
)
