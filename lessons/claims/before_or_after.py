# %% [markdown]
# # BatchNorm: before the activation or after it?
#
# A blog says before each activation, then after each layer, then after each activation. The paper puts it before. Here are both, with
# two norms, two activations and two rates.

# %%

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, accuracy, standardized, trained

nn = tn.nn
NETS = {"BN, ReLU": ("batch_norm", nn.ReLU), "BN, tanh": ("batch_norm", nn.Tanh), "LN, tanh": ("layer_norm", nn.Tanh)}
RATES = (0.1, 0.5)


def experiment(seed):
    data, found = standardized(seed, 1280), {}
    for name, (norm, act) in NETS.items():
        for first, word in ((True, "before"), (False, "after")):
            for lr in RATES:
                net = tn.train.mlp(
                    norm,
                    seed,
                    backward="analytic",
                    hidden=(32,) * 5,
                    activation=act,
                    norm_first=first,
                    he=1.0 if act is nn.ReLU else 0.5**0.5,
                )
                found[f"{name}, {lr:g}, {word}"] = accuracy(trained(net, data, lr=lr, batch=32, epochs=2, seed=seed))
    return found


# %% [markdown]
# ## The rule
#
# Confirmed is one of the two places, if it is better by more than 0.01 in every seed, for BatchNorm with both activations at both
# rates. Bounded, if both places win somewhere or neither wins: then it depends, or does not matter.


# %%
def rule(f):
    gain = {k.removesuffix(", after"): f[k] - f[k.replace("after", "before")] for k in f if k.endswith("after")}
    bn = [g for k, g in gain.items() if k.startswith("BN")]
    means = [g.mean() for g in gain.values()]
    figure = f"after − before: {min(means):+.3f} to {max(means):+.3f} of the answers, in {len(means)} nets"
    if all((g > 0.01).all() for g in bn):
        return Verdict("corrected", figure, "After the activation is better in every BatchNorm net here.")
    if all((g < -0.01).all() for g in bn):
        return Verdict("confirmed", figure, "Before the activation is better in every BatchNorm net here.")
    wins = sum((g > 0.01).all() for g in gain.values()), sum((g < -0.01).all() for g in gain.values())
    return Verdict(
        "bounded",
        figure,
        f"In every seed after wins in {wins[0]} of {len(gain)} nets, before in {wins[1]}: it depends on norm, activation and rate, and otherwise lies within the seeds. Try both.",
    )


claim = Claim(
    title="BatchNorm belongs before the activation, or after it",
    says={40: "Batch Normalization before each activation function; elsewhere in the same text after each activation"},
    told_by="a blog, against itself in four places",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 3.2: “immediately before the nonlinearity”",
    setting={"net": "MLP 5×32", "data": "1,280 digits, 297 held out", "SGD": "batch 32, 80 steps", "rates": RATES},
    differs="A small net and a short training; differences of this size say nothing of large ones.",
    experiment=experiment,
    measure="share of right answers on 297 held-out digits, paired by seed: after − before",
    decides="confirmed (before) or corrected (after), if better by more than 0.01 in every seed of all four BatchNorm nets; else bounded",
    rule=rule,
    picture=lambda f: Dots(
        {k.removesuffix(", after"): f[k] - f[k.replace("after", "before")] for k in f if k.endswith("after")},
        "right answers: after − before (share)",
        at={"the same": 0.0},
    ),
    changes={
        "if after were better in every BatchNorm net": {f"BN, {a}, {lr:g}, after": 1.0 for a in ("ReLU", "tanh") for lr in RATES},
        "if before were": {f"BN, {a}, {lr:g}, after": 0.1 for a in ("ReLU", "tanh") for lr in RATES},
    },
    opposed=True,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
