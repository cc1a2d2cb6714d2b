# %% [markdown]
# # Does LayerNorm allow higher rates, too?
#
# One text says of LayerNorm what others say of BatchNorm. In the same plain net, at the same rates.

# %%

import tinygrad_norm as tn
from tinygrad_norm.learn import CHANCE, Claim, Lines, Verdict, accuracy, standardized, trained

RATES = (0.03, 0.1, 0.3, 1.0)
NORMS = {"none": "none", "LN": "layer_norm", "RMS": "rms_norm"}


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
# The same as for BatchNorm: a rate is good if at least 70 % are right in every seed, and ten times the rate is what "higher" means.


# %%
def largest(f, name):
    return max((lr for lr in RATES if (f[f"{name} at {lr:g}"] >= 0.7).all()), default=0.0)


def rule(f):
    none, best = largest(f, "none"), max(largest(f, "LN"), largest(f, "RMS"))
    figure = f"at rate 0.3: {f['LN at 0.3'].mean():.2f} right with LN, {f['none at 0.3'].mean():.2f} without; at 1: {f['LN at 1'].mean():.2f}, {f['none at 1'].mean():.2f}"
    if best >= 10 * none and best > 0:
        return Verdict("confirmed", figure, f"The largest good rate is {best:g} with a norm, {none:g} without.")
    return Verdict(
        "refuted here",
        figure,
        f"Not tenfold in a plain ReLU net of 8 layers: the largest rate with 70 % right in every seed is {best:g} with LayerNorm or RMSNorm, {none:g} without. "
        "BatchNorm's in the same net: higher-rates.",
    )


claim = Claim(
    title="LayerNorm allows higher learning rates",
    says={24: "Higher learning rates without divergence (of BatchNorm; one text of LayerNorm)"},
    told_by="a glossary, of LayerNorm",
    source="Ba et al. 2016 (arXiv:1607.06450) does not claim it; Bjorck et al. 2018 (arXiv:1806.02375) do of BatchNorm",
    setting={
        "net": "MLP 8×32, norm before ReLU, He's initial values",
        "data": "1,500 digits, 297 held out",
        "SGD": "batch 64, 144 steps",
        "rates": RATES,
    },
    differs="A plain net: in a residual one, as transformers are, LayerNorm has another part to play (see pre-and-post-training).",
    experiment=experiment,
    measure="share of right answers on 297 held-out digits (chance: 0.1, also where it diverged)",
    decides="good: at least 0.7 in every seed; confirmed, if LN's or RMS's largest good rate is 10 times that without a norm or more; else refuted here",
    rule=rule,
    picture=lambda f: Lines(
        {n: {f"{lr:g}": f[f"{n} at {lr:g}"] for lr in RATES} for n in NORMS},
        "learning rate",
        "share of right answers",
        at={"chance": CHANCE},
    ),
    changes={"if LayerNorm were as good at a rate of 1 as at any": {"LN at 1": 0.95, "none at 0.3": 0.1}},
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
