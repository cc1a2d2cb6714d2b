# %% [markdown]
# # Weight standardization with GroupNorm, one sample a step
#
# At one sample a step BatchNorm has no batch. GroupNorm does not need one, and with standardized weights it is said to do as well as
# BatchNorm with a large batch.

# %%

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, accuracy, standardized, trained

nn = tn.nn


def network(kind, seed):
    """Convolution–norm–ReLU–pool twice, 8 and 16 channels, and a linear layer."""
    layers = [nn.Conv2d(1, 8, 3, padding=1, seed=seed), nn.Conv2d(8, 16, 3, padding=1, seed=seed + 100)]
    parts = []
    for layer, c in zip(layers, (8, 16)):
        norm = nn.BatchNorm2d(c, backward="analytic") if kind == "BN" else nn.GroupNorm(4, c, backward="analytic")
        parts += [nn.WeightStandardization(layer) if kind == "GN + WS" else layer, norm, nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(64, 10, seed=seed + 200))


RUNS = {
    "BN, batch 32": ("BN", 32, 0.2),
    "BN, batch 1": ("BN", 1, 0.01),
    "GN, batch 1": ("GN", 1, 0.01),
    "GN + WS, batch 1": ("GN + WS", 1, 0.01),
}


def experiment(seed):
    data, found = standardized(seed, 800), {}
    (x, t), (test, labels) = ((x[:, None], t) for x, t in data)
    for name, (kind, batch, lr) in RUNS.items():
        run = trained(network(kind, seed), (x, t), test=(test, labels), lr=lr, batch=batch, epochs=1, seed=seed)
        found[name] = accuracy(run)
    return found


# %% [markdown]
# ## The rule
#
# Confirmed, if at one sample a step GroupNorm with standardized weights is better than without in every seed, and no more than 0.02
# behind BatchNorm at 32 in the mean. Bounded, if only the second.


# %%
def rule(f):
    figure = "right after 800 digits: " + ", ".join(f"{f[k].mean():.3f} ({k})" for k in RUNS)
    level = f["GN + WS, batch 1"].mean() >= f["BN, batch 32"].mean() - 0.02
    better = (f["GN + WS, batch 1"] > f["GN, batch 1"]).all()
    if level and better:
        return Verdict("confirmed", figure, "And better than GroupNorm alone, in every seed.")
    if level:
        return Verdict(
            "bounded",
            figure,
            f"As good as BatchNorm at 32; standardizing the weights adds {f['GN + WS, batch 1'].mean() - f['GN, batch 1'].mean():+.3f} to GroupNorm here, not in every seed.",
        )
    return Verdict("refuted here", figure, "Behind BatchNorm at 32.")


claim = Claim(
    title="With weight standardization GroupNorm trains at batch 1 as BatchNorm at a large one",
    says={
        58: "Weight standardization with Group Normalization at one sample a step is as good as Batch Normalization with large batches"
    },
    told_by="its paper",
    source="Qiao et al. 2019 (arXiv:1903.10520): with GroupNorm, one image a GPU against BatchNorm with large batches",
    setting={
        "net": "convolution–norm–ReLU–pool twice (8, 16 channels), linear",
        "data": "800 digits once, 297 held out",
        "SGD": "batch 32 at rate 0.2 (25 steps); batch 1 at rate 0.01 (800 steps)",
    },
    differs="The same samples, not the same steps: 25 against 800. ImageNet and ResNets there.",
    experiment=experiment,
    measure="share of right answers on 297 held-out digits",
    decides="confirmed, if better than GroupNorm alone in every seed and no more than 0.02 behind BN at 32 in the mean; bounded, if only the second; else refuted here",
    rule=rule,
    picture=lambda f: Dots(f, "share of right answers"),
    changes={
        "if standardized weights were behind": {"GN + WS, batch 1": 0.5},
        "if they were level, and no better than without": {"GN + WS, batch 1": "GN, batch 1", "BN, batch 32": "GN, batch 1"},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
