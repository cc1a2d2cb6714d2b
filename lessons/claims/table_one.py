# %% [markdown]
# # What each norm does not see
#
# The LayerNorm paper has a table: which change of weights or data leaves the output as it was? Run, it is a table of zeros and
# non-zeros. "Scale invariance with respect to the input features", said of LayerNorm, is right for the whole vector and wrong
# for one feature: that is BatchNorm's.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F = tn.functional
B, D, H, DELTA = 16, 10, 8, 3.7
CASES = ("weights", "shifted weights", "one weight", "data", "shifted data", "one case")
TABLE = {  # 1: invariant. BN, WN, LN: Ba et al. 2016, table 1; RMS: Zhang, Sennrich 2019, table 1; the rest follows from the axes
    "BN": "101110",
    "WN": "101000",
    "LN": "110101",
    "RMS": "100101",
    "GN": "110101",
    "IN": "101101",
    "none": "000000",
}


def channels(x, W):
    """A 1×1 convolution of 2 channels of 5 pixels: (B, H, 5)."""
    return (x.reshape(B, 2, 5).transpose(0, 2, 1) @ W[:2]).transpose(0, 2, 1)


def experiment(seed):
    rng = np.random.default_rng(seed)
    x, W, t = rng.normal(size=(B, D)), rng.normal(size=(D, H)), tn.tensor
    norms = {
        "BN": lambda x, W: F.batch_norm(t(x @ W), None, None, training=True, eps=0.0).data,
        "WN": lambda x, W: x @ F.weight_norm(t(W.T), t(np.ones((H, 1)))).data.T,
        "LN": lambda x, W: F.layer_norm(t(x @ W), H, eps=0.0).data,
        "RMS": lambda x, W: F.rms_norm(t(x @ W), H, eps=0.0).data,
        "GN": lambda x, W: F.group_norm(t(x @ W), 2, eps=0.0).data,
        "IN": lambda x, W: F.instance_norm(t(channels(x, W)), eps=0.0).data,
        "none": lambda x, W: x @ W,
    }
    one = lambda n: np.where(np.arange(n) == 1, DELTA, 1.0)  # noqa: E731
    changes = (
        (x, DELTA * W),
        (x, W + rng.normal(size=(D, 1))),
        (x, W * one(H)),
        (DELTA * x, W),
        (x + rng.normal(size=D), W),
        (x * one(B)[:, None], W),
    )
    found = {f"{n}, {c}": np.abs(f(*new) - f(x, W)).max() for n, f in norms.items() for c, new in zip(CASES, changes)}
    h = x[:, :H]
    found["LN, one feature"] = np.abs(F.layer_norm(t(h * one(H)), H, eps=0.0).data - F.layer_norm(t(h), H, eps=0.0).data).max()
    return found


# %% [markdown]
# ## The rule
#
# A place of the table is "invariant" below 1e-12 and "not" above 0.1; between them there is nothing.


# %%
def rule(f):
    expected = {f"{n}, {c}": bit == "1" for n, bits in TABLE.items() for c, bit in zip(CASES, bits)}
    wrong = [n for n, yes in expected.items() if not (f[n] < 1e-12 if yes else f[n] > 0.1).all()]
    figure = f"LN: all features times {DELTA} {f['LN, data'].max():.1g}, one of them {f['LN, one feature'].min():.2f}"
    if wrong:
        return Verdict("undecided", figure, f"Not as in the papers' tables: {', '.join(wrong)}.")
    if (f["LN, one feature"] > 0.1).all():
        return Verdict(
            "corrected",
            figure,
            "LayerNorm does not see the scale of a whole sample; the scale of one feature it does, which is what BatchNorm does not see. "
            f"All {len(expected)} places are zeros or non-zeros as the papers' tables have them.",
        )
    return Verdict("confirmed", figure, "LayerNorm does not see the scale of a feature.")


def picture(f):
    return Dots({n: f[n] for n in f if n.split(",")[0] in ("BN", "LN", "IN")}, "largest change of the output (no unit)", log=True)


claim = Claim(
    title="LayerNorm is scale invariant with respect to the input features",
    says={
        21: "Scale invariance with respect to the input features (of LayerNorm)",
        52: "Ba et al.'s table 1: what is invariant to what",
    },
    told_by="a glossary",
    source="Ba et al. 2016 (arXiv:1607.06450), table 1 and section 5.1; Zhang, Sennrich 2019 (arXiv:1910.07467), table 1",
    setting={
        "x": f"{B} samples of {D} features",
        "W": f"{D}×{H}, normalized is x·W",
        "changes": f"times {DELTA}, or a random shift",
        "ε": 0.0,
    },
    differs="Exact. ε is 0, as in the papers; with ε > 0 the zeros hold while σ² ≫ ε.",
    experiment=experiment,
    measure="the largest change of the normalized output",
    decides="every place below 1e-12 where the tables say invariant and above 0.1 where they say not; then corrected, as one feature is a not",
    rule=rule,
    picture=picture,
    changes={
        "if LayerNorm did not see one feature's scale": {"LN, one feature": 0.0},
        "if it saw the scale of all": {"LN, data": 1.0},
        "if BatchNorm saw the weights' scale": {"BN, weights": 1.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
