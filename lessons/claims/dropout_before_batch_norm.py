# %% [markdown]
# # Dropout and BatchNorm
#
# "With BatchNorm there is less need of dropout: leave it out." What the two do to each other can be predicted: dropout before BatchNorm
# raises the variance in training, and the running variance remembers it; in inference, without dropout, the variance is smaller by
# v/((v + m²)/(1 − p) − m²), where m and v are mean and variance of what is dropped. Whether that does harm, a training says.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict, accuracy, standardized, trained

nn = tn.nn
SHARES = (0.1, 0.3, 0.5)


def experiment(seed):
    rng, found = np.random.default_rng(seed), {}
    x, W = np.maximum(rng.normal(size=(8000, 64)), 0), rng.normal(size=(64, 32)) / 8
    m, v = x.mean(), x.var()
    for p in SHARES:
        norm = nn.BatchNorm1d(32, momentum=None, dtype="float64")  # the plain average over all batches
        for i in range(0, len(x), 200):
            kept = rng.random((200, 64)) >= p
            norm(tn.tensor((x[i : i + 200] * kept / (1 - p)) @ W))
        found[f"measured, p = {p}"] = np.mean((x @ W).var(0) / norm.running_var.data)
        found[f"predicted, p = {p}"] = v / ((v + m * m) / (1 - p) - m * m)
    data = standardized(seed, 160)
    for name, norm, p in (
        ("none", "none", 0.0),
        ("dropout", "none", 0.3),
        ("BN", "batch_norm", 0.0),
        ("BN, dropout before it", "batch_norm", 0.3),
    ):
        net = tn.train.mlp(norm, seed, backward="analytic", hidden=(64,) * 3, he=1.0)
        layers = [part for m in net for part in ((m, nn.Dropout(p)) if isinstance(m, nn.ReLU) else (m,))]
        run = trained(nn.Sequential(*layers), data, optimizer="momentum", lr=0.1, batch=16, epochs=12, seed=seed)
        found[f"right, {name}"] = accuracy(run)
    return found


# %% [markdown]
# ## The rule
#
# The shift is as predicted within 2 %. The advice holds, if dropout makes the net with BatchNorm worse in every seed; bounded, if the
# shift is real and it does not.


# %%
def rule(f):
    off = np.max([np.abs(f[f"measured, p = {p}"] / f[f"predicted, p = {p}"] - 1) for p in SHARES])
    worse = f["right, BN"] - f["right, BN, dropout before it"]
    figure = f"variance shift at p = 0.5: {f['measured, p = 0.5'].mean():.3f}, predicted {f['predicted, p = 0.5'].mean():.3f}; test {f['right, BN'].mean():.3f} → {f['right, BN, dropout before it'].mean():.3f} with dropout 0.3"
    if off > 0.02:
        return Verdict("undecided", figure, f"The shift is not the predicted one (off by {100 * off:.0f} %).")
    if (worse > 0.01).all():
        return Verdict("confirmed", figure, "The shift is as predicted, and dropout costs in every seed.")
    return Verdict(
        "bounded",
        figure,
        f"The variance shift is real and as predicted; the net is not worse for it in every seed ({-worse.mean():+.3f} in the mean): it need not be left out here.",
    )


claim = Claim(
    title="Leave out dropout when using BatchNorm",
    says={32: "Less need of dropout; leave it out when using Batch Normalization"},
    told_by="a blog",
    source="Li et al. 2019 (arXiv:1801.05134), the variance shift; Ioffe, Szegedy 2015 (arXiv:1502.03167), section 4.2.1",
    setting={
        "shift": "8,000 samples of max(z, 0), 64 → 32, BatchNorm's running average",
        "training": "MLP 3×64, 160 digits, momentum 0.9, lr 0.1, batch 16, 120 steps",
        "p": SHARES,
    },
    differs="The paper's nets are deep, and there the shifts add up from layer to layer.",
    experiment=experiment,
    measure="variance in inference ÷ running variance; share of right answers on 297 held-out digits",
    decides="confirmed, if the shift is within 2 % of the formula and dropout costs more than 0.01 in every seed; bounded, if only the first; else undecided",
    rule=rule,
    picture=lambda f: Lines(
        {k: {p: f[f"{k}, p = {p}"] for p in SHARES} for k in ("measured", "predicted")},
        "dropped share p",
        "variance in inference ÷ in training",
    ),
    changes={
        "if dropout cost in every seed": {"right, BN, dropout before it": 0.5},
        "if the shift were another": {"measured, p = 0.5": 1.0},
    },
    few=5,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
