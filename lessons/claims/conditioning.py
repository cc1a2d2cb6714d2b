# %% [markdown]
# # Better conditioning?
#
# In a deep net at its start all samples come to look alike: after enough layers the batch, a matrix of samples by features, has one
# direction left. BatchNorm keeps many. LayerNorm, which looks at one sample at a time, does not notice that they are alike.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

nn = tn.nn
DEPTHS = (1, 4, 16, 32)
WIDTH = 64
NORMS = {"none": None, "BN": nn.BatchNorm1d, "LN": nn.LayerNorm}


def rank(h):
    """‖H‖²_F ÷ ‖H‖²: how many directions the batch has, from 1 to the width."""
    values = np.linalg.svd(h, compute_uv=False)
    return (values**2).sum() / values[0] ** 2


def experiment(seed):
    images, _ = tn.data.digits("train", seed)
    found = {}
    for name, norm in NORMS.items():
        g, h = tn.Generator(seed), tn.tensor(images[:128].reshape(128, 64) - images.mean())
        for depth in range(1, DEPTHS[-1] + 1):
            layer = nn.Linear(WIDTH, WIDTH, bias=False, dtype="float64")
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=g)
            a = layer(h)
            a = a if norm is None else norm(WIDTH, dtype="float64")(a)
            h = a.relu()
            if depth in DEPTHS:
                found[f"{name}, depth {depth}"] = rank(a.data)
    return found


# %% [markdown]
# ## The rule
#
# Better is a rank at depth 32 more than twice that without a norm, in every seed.


# %%
def rule(f):
    at = {k: f[f"{k}, depth 32"] for k in NORMS}
    better = {k: bool((at[k] > 2 * at["none"]).all()) for k in ("BN", "LN")}
    figure = (
        f"directions left of 64 at depth 32: none {at['none'].mean():.2f}, BN {at['BN'].mean():.1f}, LN {at['LN'].mean():.2f}"
    )
    if all(better.values()):
        return Verdict("confirmed", figure, "For both.")
    if better["BN"]:
        return Verdict(
            "bounded",
            figure,
            "True of BatchNorm at the start. Not of LayerNorm: behind it samples become alike as without a norm.",
        )
    return Verdict("refuted here", figure, "Not more than twice the directions in this net.")


claim = Claim(
    title="Normalization makes the problem better conditioned",
    says={30: "Better conditioning"},
    told_by="a glossary",
    source="Daneshmand et al. 2020 (arXiv:2003.01652): BatchNorm avoids rank collapse",
    setting={
        "net": f"{DEPTHS[-1]} × (linear, norm, ReLU), width {WIDTH}, He's initial values",
        "data": "128 digits",
        "dtype": "float64",
    },
    differs="At the start only, as the paper's theorem; with ReLU and digits, where the theorem has linear layers.",
    experiment=experiment,
    measure="stable rank ‖H‖²_F/‖H‖² of what goes into the ReLU, from 1 (all alike but for a factor) to 64",
    decides="confirmed or bounded, if BatchNorm's rank at depth 32 is more than twice that without, in every seed; LayerNorm's, too, or not",
    rule=rule,
    picture=lambda f: Lines(
        {n: {d: f[f"{n}, depth {d}"] for d in DEPTHS} for n in NORMS}, "layers", "stable rank of the activations"
    ),
    changes={
        "if LayerNorm kept as many": {"LN, depth 32": "BN, depth 32"},
        "if BatchNorm kept no more than none": {"BN, depth 32": "none, depth 32"},
    },
    seeds=5,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
