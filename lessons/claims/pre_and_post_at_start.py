# %% [markdown]
# # Where LayerNorm stands decides how long the first steps are
#
# Before training, in a transformer of L layers: how long is the gradient of the last layer's feed-forward matrix? In post-LN it does
# not become shorter with L; in pre-LN it falls as 1/√L. That is why post-LN wants a warm-up.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

DEPTHS = (2, 4, 8, 16)
PLACES = {"post": False, "pre": True}


def experiment(seed):
    x, t = tn.data.reversing(16, seed=seed)
    found = {}
    for name, first in PLACES.items():
        for layers in DEPTHS:
            net = tn.train.transformer(layers=layers, norm_first=first, seed=seed, backward="analytic")
            rng = np.random.default_rng(seed)
            for p in net.parameters():  # as the paper: N(0, 1/fan_in)
                if p.ndim == 2:
                    p.data = rng.normal(0, p.shape[1] ** -0.5, p.shape).astype(p.dtype)
            tn.functional.cross_entropy(net(tn.tensor(x)).reshape(-1, 8), t.ravel()).backward()
            found[f"{name}-LN, L = {layers}"] = np.linalg.norm(net.blocks[-1].linear2.weight.grad.data)
    return found


# %% [markdown]
# ## The rule
#
# Confirmed, if from 2 to 16 layers pre-LN's gradient falls below 0.7 of what it was, in every seed, and post-LN's does not in any.


# %%
def rule(f):
    ratio = {n: f[f"{n}-LN, L = 16"] / f[f"{n}-LN, L = 2"] for n in PLACES}
    figure = "gradient of the last layer, 16 layers against 2: " + ", ".join(f"{n}-LN ×{r.mean():.2f}" for n, r in ratio.items())
    falls = {n: (r < 0.7).all() for n, r in ratio.items()}
    if falls["pre"] and (ratio["post"] >= 0.7).all():
        return Verdict("confirmed", figure, "In pre-LN it falls with depth (theory: ×0.35 for large L), in post-LN it does not.")
    if falls["pre"] and falls["post"]:
        return Verdict("refuted here", figure, "It falls in both.")
    return Verdict("undecided", figure, "The seeds do not agree.")


claim = Claim(
    title="LayerNorm, and where it stands, is decisive for the stability of transformers",
    says={38: "Layer Normalization is decisive for the stability of transformers"},
    told_by="two glossaries",
    source="Xiong et al. 2020 (arXiv:2002.04745), theorem 1 and figure 3",
    setting={
        "net": "transformer of L layers, width 32, 4 heads, weights N(0, 1/fan_in)",
        "data": "16 sequences of 10 symbols",
        "L": DEPTHS,
    },
    differs="Width 32 and full attention; the theorem has uniform attention and large width.",
    experiment=experiment,
    measure="‖∂loss/∂W‖ of the last layer's second feed-forward matrix, before training",
    decides="confirmed, if from L = 2 to 16 pre-LN's falls below 0.7 in every seed and post-LN's in none; refuted here, if both do",
    rule=rule,
    picture=lambda f: Lines(
        {f"{n}-LN": {d: f[f"{n}-LN, L = {d}"] for d in DEPTHS} for n in PLACES},
        "layers L",
        "‖gradient‖ of the last layer's matrix (nats per unit)",
    ),
    changes={
        "if post-LN's fell as pre-LN's": {f"post-LN, L = {d}": f"pre-LN, L = {d}" for d in DEPTHS},
        "if pre-LN's did not fall": {"pre-LN, L = 16": "pre-LN, L = 2"},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
