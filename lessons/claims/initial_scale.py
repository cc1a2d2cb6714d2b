# %% [markdown]
# # Insensitive to the initial values?
#
# He's initial values times s, from a tenth to ten. Behind a norm the forward pass does not know s; the training does, because s acts
# as lr/s² (see one-law-of-scale). So a norm widens the range, and there still is one.

# %%

import tinygrad_norm as tn
from tinygrad_norm.learn import CHANCE, Claim, Lines, Verdict, accuracy, standardized, trained

SCALES = (0.1, 0.5, 1.0, 2.0, 10.0)
NORMS = {"none": "none", "BN": "batch_norm", "LN": "layer_norm"}


def experiment(seed):
    data, found = standardized(seed), {}
    for name, norm in NORMS.items():
        for s in SCALES:
            net = tn.train.mlp(norm, seed, backward="analytic", hidden=(32,) * 6, he=s)
            found[f"{name} at {s:g}"] = accuracy(trained(net, data, lr=0.1, batch=32, epochs=2, seed=seed))
    return found


# %% [markdown]
# ## The rule
#
# Confirmed, if with a norm every scale reaches 60 % in every seed; bounded, if more scales do than without a norm, and not all.


# %%
def good(f, name):
    return [s for s in SCALES if (f[f"{name} at {s:g}"] >= 0.6).all()]


def rule(f):
    fit = {k: good(f, k) for k in NORMS}
    span = {k: " ".join(f"{s:g}" for s in v) or "no s" for k, v in fit.items()}
    figure = "60 % right in every seed for s = " + "; ".join(f"{v} ({k})" for k, v in span.items())
    if len(fit["BN"]) == len(fit["LN"]) == len(SCALES):
        return Verdict("confirmed", figure, "At every scale.")
    if len(fit["BN"]) > len(fit["none"]):
        return Verdict(
            "bounded",
            figure,
            "The range is wider, not endless: s acts as a rate lr/s², so a tenth is as a hundredfold rate, and ten as a hundredth.",
        )
    return Verdict("refuted here", figure, "No wider than without a norm.")


claim = Claim(
    title="Normalization makes training insensitive to initial values",
    says={22: "Invariance, or robustness, to initialization"},
    told_by="two glossaries and a blog",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 3.3; Ba et al. 2016 (arXiv:1607.06450), section 5.1",
    setting={
        "net": "MLP 6×32, norm before ReLU, He's initial values times s",
        "data": "1,500 digits, 297 held out",
        "SGD": "lr 0.1, batch 32, 94 steps",
        "s": SCALES,
    },
    differs="The forward pass is invariant as the papers say (table-one); this is about the training that follows.",
    experiment=experiment,
    measure="share of right answers on 297 held-out digits (chance: 0.1, also where it diverged)",
    decides="good: at least 0.6 in every seed; confirmed, if BN and LN are good at every s; bounded, if BN is at more of them than none; else refuted here",
    rule=rule,
    picture=lambda f: Lines(
        {n: {f"{s:g}": f[f"{n} at {s:g}"] for s in SCALES} for n in NORMS},
        "scale s of He's initial values",
        "share of right answers",
        at={"chance": CHANCE},
    ),
    changes={
        "if both were good at every scale": {f"{n} at {s:g}": 0.9 for n in ("BN", "LN") for s in SCALES},
        "if BatchNorm were good where the net without is": {f"BN at {s:g}": f"none at {s:g}" for s in SCALES},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
