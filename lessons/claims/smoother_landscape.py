# %% [markdown]
# # A smoother landscape
#
# Go from where training stands along the gradient, half a step to four steps, and look at the loss and at the gradient there. Where
# the landscape is smooth, both change little.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, standardized

NORMS = {"none": "none", "BN": "batch_norm", "LN": "layer_norm"}
LR, STEPS = 0.1, 80


def experiment(seed):
    (x, t), _ = standardized(seed)
    found = {}
    for name, norm in NORMS.items():
        net = tn.train.mlp(norm, seed, backward="analytic", hidden=(32,) * 8, he=1.0)
        params, rng = list(net.parameters()), np.random.default_rng(seed)
        ranges, changes = [], []

        def at(values, batch, net=net, params=params):
            for p, v in zip(params, values):
                p.data = v
            loss = tn.functional.cross_entropy(net(tn.tensor(x[batch])), t[batch])
            return loss.item(), [g.data for g in tn.grad(loss, params)]

        for step in range(STEPS):
            batch = rng.integers(0, len(x), 64)
            here = [p.data for p in params]
            _, g = at(here, batch)
            if step % 20 == 10:
                along = [at([v - m * LR * d for v, d in zip(here, g)], batch) for m in (0.5, 1, 2, 4)]
                losses = [value for value, _ in along]
                ranges.append(max(losses) - min(losses))
                changes.append(max(np.sqrt(sum(float(((a - b) ** 2).sum()) for a, b in zip(new, g))) for _, new in along))
            for p, v, d in zip(params, here, g):
                p.data = v - np.float32(LR) * d
        found[f"range of the loss, {name}"], found[f"change of the gradient, {name}"] = np.mean(ranges), np.mean(changes)
    return found


# %% [markdown]
# ## The rule
#
# Smoother is: the range of the loss and the change of the gradient are both smaller than without a norm, in every seed.


# %%
def rule(f):
    ranges, changes = ({n: f[f"{what}, {n}"] for n in NORMS} for what in ("range of the loss", "change of the gradient"))
    times = {n: float(np.mean(ranges["none"]) / np.mean(ranges[n])) for n in ("BN", "LN")}
    figure = f"the loss ranges over {np.mean(ranges['none']):.2f} without, BN 1/{times['BN']:.0f} of it, LN 1/{times['LN']:.1f}"
    smooth = {n: bool((ranges[n] < ranges["none"]).all() and (changes[n] < changes["none"]).all()) for n in ("BN", "LN")}
    if all(smooth.values()):
        less = {n: np.mean(changes["none"]) / np.mean(changes[n]) for n in ("BN", "LN")}
        why = f"With both, in every seed. The gradient changes 1/{less['BN']:.0f} as much with BatchNorm, 1/{less['LN']:.1f} with LayerNorm."
        return Verdict("confirmed", figure, why)
    if smooth["BN"]:
        return Verdict("bounded", figure, "True of BatchNorm, in every seed; of LayerNorm not in every seed of this plain net.")
    return Verdict("refuted here", figure, "Not in every seed.")


claim = Claim(
    title="Normalization makes the loss surface smoother",
    says={28: "A smoother loss surface"},
    told_by="two glossaries",
    source="Santurkar et al. 2018 (arXiv:1805.11604), figure 4 and theorem 4.1",
    setting={
        "net": "MLP 8×32, norm before ReLU, He's initial values",
        "data": "1,500 digits",
        "SGD": f"lr {LR}, batch 64, {STEPS} steps",
        "looked at": "steps 10, 30, 50, 70; ½, 1, 2, 4 steps along the gradient",
    },
    differs="VGG on CIFAR-10 there; the paper is about BatchNorm alone. At a rate of 0.01 the difference would be small.",
    experiment=experiment,
    measure="range of the loss along the step (nats); largest ‖g − g′‖ of all parameters' gradient; means of four places",
    decides="smoother: both smaller than without a norm in every seed; confirmed for BN and LN, bounded for BN alone, else refuted here",
    rule=rule,
    picture=lambda f: Dots(
        {k: v for k, v in f.items() if k.startswith("range")}, "range of the loss along the step (nats)", log=True
    ),
    changes={
        "if BatchNorm's were as without": {f"{w}, BN": f"{w}, none" for w in ("range of the loss", "change of the gradient")},
        "if LayerNorm's were as without": {f"{w}, LN": f"{w}, none" for w in ("range of the loss", "change of the gradient")},
    },
    few=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
