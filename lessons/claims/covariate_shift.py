# %% [markdown]
# # Less internal covariate shift?
#
# The explanation that all five texts give. If it were so, the gradient of a layer should change less, with BatchNorm, when the layers
# before it are updated; and a net whose activations are shifted and stretched anew at every step, behind its BatchNorm, should lose
# what BatchNorm gave. Both can be measured (Santurkar et al.).

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, standardized

nn = tn.nn
LR, STEPS, DEPTH = 0.3, 100, 10


class Noisy(nn.Module):
    """BatchNorm, and after it another mean and another deviation for each unit at every step: a covariate shift, put in."""

    def __init__(self, size, rng):
        self.norm, self.rng = nn.BatchNorm1d(size, backward="analytic"), rng

    def forward(self, x):
        stretch, shift = self.rng.uniform(0.75, 1.25, x.shape[1]), self.rng.uniform(-0.5, 0.5, x.shape[1])
        return self.norm(x) * stretch.astype(np.float32) + shift.astype(np.float32)


def experiment(seed):
    (x, t), _ = standardized(seed, count=256)
    rng, found = np.random.default_rng(seed), {}
    norms = {"none": "none", "BN": "batch_norm", "noisy BN": lambda n: Noisy(n, rng)}
    for name, norm in norms.items():
        net = tn.train.mlp(norm, seed, backward="analytic", hidden=(64,) * DEPTH, he=1.0)
        named = [(n, p) for n, p in net.named_parameters()]
        params = [p for _, p in named]
        linears = [i for i, (n, p) in enumerate(named) if p.ndim == 2]
        middle, losses, shifts = linears[DEPTH // 2], [], []

        def gradients(net=net, params=params):
            loss = tn.functional.cross_entropy(net(tn.tensor(x)), t)
            return loss.item(), [g.data for g in tn.grad(loss, params)]

        for step in range(STEPS):
            loss, g = gradients()
            losses.append(loss)
            old = [p.data for p in params]
            if step % 10 == 5:  # the layers before the middle one are updated: what becomes of its gradient?
                for p, d in list(zip(params, g))[:middle]:
                    p.data = p.data - np.float32(LR) * d
                new = gradients()[1][middle]
                shifts.append(np.linalg.norm(new - g[middle]) / np.linalg.norm(g[middle]))
            for p, v, d in zip(params, old, g):
                p.data = v - np.float32(LR) * d
        found[f"shift, {name}"], found[f"loss, {name}"] = np.mean(shifts), np.mean(losses[-5:])
    return found


# %% [markdown]
# ## The rule
#
# The explanation fails here, if the net with the shift put in has a larger shift than the one without a norm, and a lower loss all
# the same, in every seed: as with BatchNorm, whose advantage it keeps. It stands, if putting the shift in costs that advantage.


# %%
def rule(f):
    none, bn, noisy = ((f[f"shift, {n}"], f[f"loss, {n}"]) for n in ("none", "BN", "noisy BN"))
    figure = f"loss {none[1].mean():.2f} without, {bn[1].mean():.3f} BN, {noisy[1].mean():.3f} BN with a shift put in; shift {none[0].mean():.2f}, {bn[0].mean():.2f}, {noisy[0].mean():.2f}"
    if not (bn[1] < none[1]).all():
        return Verdict("undecided", figure, "BatchNorm has no advantage in this setting that could be explained.")
    if (noisy[0] > none[0]).all() and (noisy[1] < none[1]).all():
        return Verdict(
            "refuted here",
            figure,
            "With more shift than the net without a norm it still trains almost as well as BatchNorm: less shift is not why.",
        )
    if (bn[0] < none[0]).all() and (noisy[1] >= none[1]).all():
        return Verdict("confirmed", figure, "BatchNorm has less shift, and with a shift put in its advantage is gone.")
    return Verdict("undecided", figure, "The seeds do not agree. It would take a wider net and the paper's 10,000 steps.")


claim = Claim(
    title="BatchNorm works because it reduces internal covariate shift",
    says={27: "The explanation: less internal covariate shift"},
    told_by="all five texts",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 2 (the claim); Santurkar et al. 2018 (arXiv:1805.11604), section 2, definition 2.1 (against)",
    setting={
        "net": f"MLP {DEPTH}×64, norm before ReLU, He's initial values",
        "data": "256 digits, all in every step",
        "SGD": f"lr {LR}, {STEPS} steps",
        "noise": "each unit ·U(0.75, 1.25) + U(−0.5, 0.5), anew every step",
    },
    differs="VGG and a deep linear net there. At a rate of 0.03, where the net without a norm trains well, BatchNorm has no advantage here to be explained. The noise here moves the whole batch of a unit; there each sample, with changing moments.",
    experiment=experiment,
    measure="‖G − G′‖/‖G‖ of the middle layer's gradient before and after the layers below are updated, mean of 10 steps; training loss at the end (nats)",
    decides="refuted here, if the noisy net has a larger shift and a lower loss than none in every seed, and BN a lower loss; confirmed, if BN's shift is smaller in every seed and the noisy net's loss not lower; else undecided",
    rule=rule,
    picture=lambda f: Dots({k: v for k, v in f.items() if k.startswith("loss")}, "training loss at the end (nats)", log=True),
    changes={
        "if BatchNorm's shift were smaller and the noisy net as bad as none": {"shift, BN": 0.1, "loss, noisy BN": "loss, none"},
        "if BatchNorm's loss were not lower": {"loss, BN": "loss, none"},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
