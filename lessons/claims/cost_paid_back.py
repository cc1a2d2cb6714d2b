# %% [markdown]
# # The cost of BatchNorm, paid back
#
# A blog warns of the extra cost. Count it: the numbers a step computes, multiply-adds of the convolutions included. Then count the
# steps to the same loss.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, standardized, steps_to, trained

NORMS = {"none": "none", "BN": "batch_norm"}
# of 3×3 convolutions 1 → 16 → 32 on 8×8 and of the linear layer, a sample, forward and twice as much backward
PRODUCTS = 3 * (64 * 16 * 9 + 64 * 32 * 16 * 9 + 512 * 10)


def computed(net):
    """Numbers computed in a step for a sample: products, and every recorded operation's output once forward and twice backward."""
    x = tn.tensor(np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32))
    nodes = tn.graph(net(x)).nodes
    return PRODUCTS + 3 * sum(np.prod(n.shape) for n in nodes if n.op is not None) / 4


def experiment(seed):
    data, found = standardized(seed, 1280), {}
    for name, norm in NORMS.items():
        runs = [
            trained(tn.train.cnn(norm, seed, backward="analytic"), data.train, lr=lr, batch=32, epochs=2, seed=seed)
            for lr in (0.03, 0.1)
        ]
        found[f"a step, {name}"] = computed(tn.train.cnn(norm, seed))
        found[f"steps to loss 0.5, {name}"] = min(min(steps_to(r, 0.5) for r in runs), 999.0)
    return found


# %% [markdown]
# ## The rule
#
# Confirmed, if a step costs more with BatchNorm, and all the steps to a loss of 0.5 together cost less, in every seed.


# %%
def rule(f):
    step = f["a step, BN"] / f["a step, none"]
    whole = step * f["steps to loss 0.5, BN"] / f["steps to loss 0.5, none"]
    figure = f"a step ×{step.mean():.2f}, all steps to loss 0.5 ×{whole.mean():.2f} ({f['steps to loss 0.5, BN'].mean():.0f} for {f['steps to loss 0.5, none'].mean():.0f} steps)"
    if (step > 1).all() and (whole < 1).all():
        return Verdict(
            "confirmed",
            figure,
            "Each at the better of two rates. In time a step costs more than the count says: reductions are slow.",
        )
    if (step > 1).all():
        return Verdict("bounded", figure, "It costs, and is not paid back in every seed.")
    return Verdict("refuted here", figure, "It costs nothing.")


claim = Claim(
    title="BatchNorm costs extra work, and pays it back",
    says={43: "Batch Normalization costs extra, and pays it back in fewer steps"},
    told_by="a blog",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 4.2.2, figure 2: steps to the same accuracy",
    setting={
        "net": "convolution–BN–ReLU twice (16, 32 channels), pool, linear",
        "data": "1,280 digits",
        "SGD": "batch 32, 80 steps, the better of the rates 0.03 and 0.1",
    },
    differs="Work is counted, not timed: time depends on the machine. Digits instead of ImageNet, where the paper has 14 times fewer steps.",
    experiment=experiment,
    measure="numbers and multiply-adds a step computes for a sample; steps until the mean of 5 losses is below 0.5 (999: never)",
    decides="confirmed, if a step costs more and the steps together less, in every seed; bounded, if only the first; else refuted here",
    rule=rule,
    picture=lambda f: Dots({k: f[k] for k in f if k.startswith("steps")}, "steps to a loss of 0.5"),
    changes={
        "if it took as many steps": {"steps to loss 0.5, BN": "steps to loss 0.5, none"},
        "if a step cost no more": {"a step, BN": "a step, none"},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
