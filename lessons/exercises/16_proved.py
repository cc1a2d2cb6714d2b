# %% [markdown]
# # 16 · Proved, not only compared
#
# Numbers agree or not; a formula can be *proved*. `formula` is run over tensors, `tn.derive`
# derives dx from the record, and both are brought into one normal form. Now for RMSNorm:
# y = γ·x·rstd, rstd = 1/√(mean(x²) + ε), ε = 1e-5. There is no mean to subtract. How many terms are
# left? (Tensors take NumPy's words, `keepdims`, as here, and PyTorch's, `dim` and `keepdim`, as in
# lesson 7.)

# %%
def formula(dy, x, weight):
    rstd = ((x * x).mean(-1, keepdims=True) + 1e-5) ** -0.5
    x_hat = x * rstd
    # >>> yours: dx
    g = dy * weight
    return rstd * (g - x_hat * (g * x_hat).mean(-1, keepdims=True))
    # --- stub
    # g = dy * weight
    # return rstd * g
    # <<<


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Exercise, Formula, Question, Wrong

exercise = Exercise(
    goal="prove a gradient's formula, for every shape and every number at once",
    lesson="from_twenty_operations_to_three_terms",
    minutes=12,
    judge=Formula("rms_norm", "x", options={"eps": 1e-5}),
    hints=(
        "Which of LayerNorm's three terms came from the mean?",
        "Way: straight, rstd·g; and through mean(x²) and rstd: x̂·mean(g·x̂), as in LayerNorm.",
        "Shape: rstd · (g − x̂ · a mean)",
        "return rstd * (g - x_hat * (g * x_hat).mean(-1, keepdims=True))",
    ),
    found="not equal to dx: straight from y to x there is rstd·g, and that is not the only way",
    wrong=(
        Wrong("", "", "yours − dx = rstd·x̂·mean(g·x̂)"),
        Wrong(
            "rstd * (g - x_hat",
            "rstd * (g - g.mean(-1, keepdims=True) - x_hat",
            "LayerNorm's term −rstd·mean(g) is in it: RMSNorm subtracts no mean",
            numbers=True,
        ),
        Wrong("g - x_hat", "g + x_hat", "not equal: they differ by"),
        Wrong(
            "(g * x_hat).mean(-1, keepdims=True)", "(g * x_hat).sum(-1, keepdims=True)", "yours − dx = −rstd·x̂·mean(g·x̂)·(N − 1)"
        ),
        Wrong("g = dy * weight", "g = dy", "γ was left out: what arrives at x̂ is dy·γ", numbers=True),
    ),
    predict=Question(
        "How many terms has RMSNorm's dx?",
        ("one", "two", "three"),
        "two",
        "No mean is subtracted, so nothing comes back through one.",
    ),
    picture=lambda: tn.functional.rms_norm(tn.tensor(np.eye(3), requires_grad=True, name="x"), 3),
)
