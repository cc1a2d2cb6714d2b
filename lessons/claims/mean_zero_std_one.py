# %% [markdown]
# # After normalization: mean 0, deviation 1?
#
# Before γ and β, and but for ε: rms² = σ²/(σ² + ε), so a row with little variance stays small. And two numbers always become
# ±1, whatever they were: with N numbers nothing is left of a row that N − 2 of them could not say.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

F = tn.functional
SIGMAS = (1.0, 0.1, 1e-2, 3e-3, 1e-3)


def experiment(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=64)
    z = (z - z.mean()) / z.std()
    found = {"mean": np.abs(F.layer_norm(tn.tensor(5 + z), 64).data.mean())}
    for s in SIGMAS:
        found[f"std at {s:g}"] = F.layer_norm(tn.tensor(5 + s * z), 64).data.std()
    w, b = tn.tensor(np.full(64, 3.0)), tn.tensor(np.full(64, 2.0))
    found["std after γ = 3, β = 2"] = F.layer_norm(tn.tensor(z), 64, w, b).data.std()
    found["of two numbers: | |x̂| − 1 |"] = np.abs(
        np.abs(F.layer_norm(tn.tensor(rng.normal(size=(9, 2))), 2, eps=0.0).data) - 1
    ).max()
    found["largest |x̂| of 64, ÷ √63"] = np.abs(F.layer_norm(tn.tensor(np.eye(64)[0]), 64, eps=0.0).data).max() / np.sqrt(63)
    return found


# %% [markdown]
# ## The rule
#
# Bounded, if mean and deviation are 0 and 1 at σ = 1 before γ and β, and the deviation is not 1 (off by more than a tenth) at a
# small σ or after γ.


# %%
def rule(f):
    small, plain = f"std at {SIGMAS[-1]:g}", np.abs(f["std at 1"] - 1)
    figure = f"std of x̂: {f['std at 1'].mean():.4f} at σ = 1, {f[small].mean():.2f} at σ = {SIGMAS[-1]:g}"
    if not ((f["mean"] < 1e-9).all() and (plain < 1e-4).all()):
        return Verdict("refuted here", figure, "Not even at σ = 1.")
    off = (np.abs(f[small] - 1) > 0.1).all(), (np.abs(f["std after γ = 3, β = 2"] - 1) > 0.1).all()
    if not any(off):
        return Verdict("confirmed", figure, "At every σ that was tried, and after γ and β.")
    return Verdict(
        "bounded",
        figure,
        "True before γ and β while σ² ≫ ε: x̂ has the deviation σ/√(σ² + ε), and γ and β then give it any. |x̂| ≤ √(N − 1), and of two "
        "numbers x̂ is ±1.",
    )


claim = Claim(
    title="After normalization the mean is 0 and the deviation 1",
    says={3: "After normalization the mean is 0 and the standard deviation 1"},
    told_by="a glossary, an encyclopedia and a blog",
    source="Ba et al. 2016 (arXiv:1607.06450), eq. 3; Ioffe, Szegedy 2015 (arXiv:1502.03167), algorithm 1",
    setting={"x": "64 numbers 5 + σ·z, float64", "σ": SIGMAS, "ε": 1e-5},
    differs="Exact: nothing is trained.",
    experiment=experiment,
    measure="mean and standard deviation (dividing by N) of the output",
    decides="bounded, if mean 0 within 1e-9 and deviation 1 within 1e-4 at σ = 1, and off by more than 0.1 at σ = 0.001 or after γ = 3",
    rule=rule,
    picture=lambda f: Lines(
        {"std of x̂": {f"{s:g}": f[f"std at {s:g}"] for s in SIGMAS}}, "σ of x, ε = 10⁻⁵", "std of x̂", at={"1": 1.0}
    ),
    changes={
        "if the deviation were 1 at every σ and after γ": {"std at 0.001": 1.0, "std after γ = 3, β = 2": 1.0},
        "if the mean were not 0": {"mean": 0.5},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
