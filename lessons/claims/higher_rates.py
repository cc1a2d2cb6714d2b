# %% [markdown]
# # BatchNorm allows higher learning rates
#
# The same deep net with and without BatchNorm, at six rates from small to far too large. And the other side of the sentence: at a
# small rate BatchNorm helps nothing here. Who adds it should raise the rate.

# %%

import tinygrad_norm as tn
from tinygrad_norm.learn import CHANCE, Claim, Lines, Verdict, accuracy, standardized, trained

RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
NORMS = {"none": "none", "BN": "batch_norm"}


def experiment(seed):
    data, found = standardized(seed), {}
    for name, norm in NORMS.items():
        for lr in RATES:
            net = tn.train.mlp(norm, seed, backward="analytic", hidden=(32,) * 8, he=1.0)
            found[f"{name} at {lr:g}"] = accuracy(trained(net, data, lr=lr, batch=64, epochs=6, seed=seed))
    return found


# %% [markdown]
# ## The rule
#
# A rate is good if at least 70 % are right in every seed. Confirmed, if BatchNorm's largest good rate is at least ten times that of
# the net without; and for the second sentence, at the smallest rate BatchNorm may not be better.


# %%
def largest(f, name):
    return max((lr for lr in RATES if (f[f"{name} at {lr:g}"] >= 0.7).all()), default=0.0)


def rule(f):
    none, bn = largest(f, "none"), largest(f, "BN")
    at = RATES[-2]
    figure = f"at rate {at:g}: {f[f'BN at {at:g}'].mean():.2f} right with BN, {f[f'none at {at:g}'].mean():.2f} without"
    small = f["BN at 0.01"] - f["none at 0.01"]
    if not bn > none:
        return Verdict("refuted here", figure, f"The largest good rate is {bn:g} with BatchNorm, {none:g} without, in this net.")
    if bn >= 10 * none:
        slow = "and at 0.01 it is no better" if small.mean() <= 0 else "and at 0.01, too, it is better"
        return Verdict(
            "confirmed",
            figure,
            f"The largest rate with 70 % right in every seed is {bn:g} with BatchNorm, {none:g} without; {slow} ({small.mean():+.2f}).",
        )
    return Verdict("bounded", figure, f"By less than a factor of ten: {bn:g} with BatchNorm, {none:g} without.")


claim = Claim(
    title="BatchNorm allows higher learning rates without divergence",
    says={
        24: "Higher learning rates without divergence (of BatchNorm; one text of LayerNorm)",
        26: "Raise the learning rate when adding Batch Normalization",
    },
    told_by="a glossary and a blog",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), sections 3.3 and 4.2.1; Bjorck et al. 2018 (arXiv:1806.02375)",
    setting={
        "net": "MLP 8×32, norm before ReLU, He's initial values",
        "data": "1,500 digits, 297 held out",
        "SGD": "batch 64, 144 steps",
        "rates": RATES,
    },
    differs="8 layers and 1,500 small digits instead of Inception and ImageNet; without momentum.",
    experiment=experiment,
    measure="share of right answers on 297 held-out digits, in inference mode (chance: 0.1, also where it diverged)",
    decides="good: at least 0.7 in every seed; confirmed, if BN's largest good rate is 10 times that without a norm or more; refuted, if no larger",
    rule=rule,
    picture=lambda f: Lines(
        {n: {f"{lr:g}": f[f"{n} at {lr:g}"] for lr in RATES} for n in NORMS},
        "learning rate",
        "share of right answers",
        at={"chance": CHANCE},
    ),
    changes={
        "if the net without a norm were as good at every rate": {f"none at {lr:g}": f"BN at {lr:g}" for lr in RATES},
        "if it reached up to a rate of 1": {f"none at {lr:g}": 0.9 for lr in (0.1, 0.3, 1.0)},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
