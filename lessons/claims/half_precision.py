# %% [markdown]
# # Statistics in half precision
#
# "Half precision is enough for training." For storing, often. A variance computed in float16 overflows where the squares add up to
# more than 65,504, the largest number it holds: two deviations of 200 do. So who normalizes float16 computes the statistics in float32.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

F = tn.functional
PEAKS = (10, 100, 200, 300, 1000)


def experiment(seed):
    rng = np.random.default_rng(seed)
    found = {}
    for peak in PEAKS:
        x = rng.normal(size=50)
        x[:2] = peak, -peak
        half = x.astype(np.float16)
        right = F.layer_norm(tn.tensor(half.astype(np.float64)), 50).data
        with np.errstate(all="ignore"):
            c = half - half.mean(dtype=np.float16)
            in_half = c / np.sqrt((c * c).mean(dtype=np.float16) + np.float16(1e-5))
        found[f"float16, peak {peak}"] = np.abs(in_half.astype(float) - right).max()
        found[f"float32 statistics, peak {peak}"] = np.abs(F.layer_norm(tn.tensor(half), 50).data.astype(float) - right).max()
    return found


# %% [markdown]
# ## The rule
#
# Bounded, if float16 statistics are within 1 % where numbers are small and wrong by more than 1 where they are large, and float32
# statistics are right in both.


# %%
def rule(f):
    low, high, wide = f["float16, peak 10"], f["float16, peak 1000"], np.max([f[f"float32 statistics, peak {p}"] for p in PEAKS])
    figure = f"error of x̂ with float16 statistics: {low.max():.3f} at a peak of 10, {high.min():.1f} at 1000; float32: {wide:.3f} at most"
    if (low < 0.05).all() and (high > 1).all() and wide < 0.01:
        return Verdict(
            "bounded",
            figure,
            "True while the squares add up to less than 65,504, float16's largest number. Statistics in float32 are right at every size.",
        )
    if (high < 0.05).all() and (low < 0.05).all():
        return Verdict("confirmed", figure, "At every size that was tried.")
    return Verdict("refuted here", figure, "Not even with small numbers.")


claim = Claim(
    title="Half precision is enough for a normalization",
    says={55: "Half precision is enough for training, normalization and all"},
    told_by="common advice on mixed precision",
    source="Micikevicius et al. 2018 (arXiv:1710.03740), section 3.3: large reductions, as in batch-normalization, in single precision",
    setting={"x": "48 normal numbers and ±peak, in float16", "peak": PEAKS, "ε": 1e-5},
    differs="Exact: one forward pass of LayerNorm.",
    experiment=experiment,
    measure="largest error of x̂ against float64 statistics of the same numbers",
    decides="bounded, if below 0.05 at a peak of 10 and above 1 at 1000 in float16, and below 0.01 everywhere with float32 statistics",
    rule=rule,
    picture=lambda f: Lines(
        {k: {p: f[f"{k}, peak {p}"] for p in PEAKS} for k in ("float16", "float32 statistics")},
        "largest |x|",
        "largest error of x̂ (no unit)",
        log=True,
    ),
    changes={
        "if float16 statistics were right at 1000": {"float16, peak 1000": 0.001},
        "if they were wrong at 10": {"float16, peak 10": 1.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
