# %% [markdown]
# # Outliers, and overfitting without a norm
#
# "Outliers in the training data make a net without normalization overfit." Put some in: one image in twenty is twenty times as bright.
# Then compare what is right on a test without outliers, with and without a norm, with and without outliers.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, accuracy, standardized, trained

NORMS = {"none": "none", "BN": "batch_norm", "LN": "layer_norm"}


def experiment(seed):
    (x, t), test = standardized(seed, 640)
    bright = np.random.default_rng(seed).random(len(x)) < 1 / 20
    found = {}
    for word, images in (
        ("without outliers", x),
        ("with outliers", np.where(bright[:, None, None], 20 * x, x).astype(np.float32)),
    ):
        for name, norm in NORMS.items():
            net = tn.train.mlp(norm, seed, backward="analytic", hidden=(64, 64), he=1.0)
            run = trained(net, (images, t), test=test, lr=0.1, batch=32, epochs=8, seed=seed)
            found[f"{name}, {word}"] = accuracy(run)
    return found


# %% [markdown]
# ## The rule
#
# What the outliers cost, without a norm and with one. Confirmed, if without a norm they cost at least 0.02 more than with BatchNorm and
# with LayerNorm, in every seed; bounded, if than with one of the two; refuted here, if neither.


# %%
def rule(f):
    cost = {n: f[f"{n}, without outliers"] - f[f"{n}, with outliers"] for n in NORMS}
    figure = "the outliers cost " + ", ".join(f"{c.mean():.3f} ({n})" for n, c in cost.items()) + " of the right answers"
    helped = [n for n in ("BN", "LN") if (cost["none"] - cost[n] >= 0.02).all()]
    if len(helped) == 2:
        return Verdict("confirmed", figure, "Least with a norm, be it over the batch or over the sample.")
    if helped:
        return Verdict(
            "bounded",
            figure,
            f"True against {helped[0]} alone. (An outlier is in the statistics of BatchNorm, too; LayerNorm undoes its scale, but for the first layer's bias.)",
        )
    return Verdict("refuted here", figure, "Without a norm they do not cost more in every seed.")


claim = Claim(
    title="Without normalization outliers in the training data lead to overfitting",
    says={33: "Outliers in the training data lead to overfitting without normalization"},
    told_by="a blog",
    source="No paper is known for it; for one bright sample: Ba et al. 2016 (arXiv:1607.06450), table 1, single training case re-scaling",
    setting={
        "net": "MLP 2×64, norm before ReLU, He's initial values",
        "data": "640 digits, one in 20 with pixels ·20; 297 held out without",
        "SGD": "lr 0.1, batch 32, 160 steps",
    },
    differs="The sentence names no setting; this is one.",
    experiment=experiment,
    measure="share of right answers on 297 held-out digits",
    decides="confirmed, if the outliers cost at least 0.02 more without a norm than with BN and with LN, in every seed; bounded, if than with one; else refuted here",
    rule=rule,
    picture=lambda f: Dots(f, "share of right answers"),
    changes={
        "if half were wrong with outliers and without a norm, and nothing lost with one": {
            **{f"{n}, with outliers": f"{n}, without outliers" for n in ("BN", "LN")},
            "none, with outliers": 0.5,
        },
        "if so, but BatchNorm suffered as much": {"none, with outliers": 0.5, "BN, with outliers": 0.5},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
