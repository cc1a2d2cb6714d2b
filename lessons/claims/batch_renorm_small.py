# %% [markdown]
# # Batch Renormalization at small batches
#
# BatchRenorm corrects the batch's statistics towards the running ones, with two bounds that are opened as training goes on. At two
# samples a batch, where BatchNorm fails: does it train?

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict, accuracy, standardized, trained

nn = tn.nn
BATCHES = (2, 4, 32)


def bounds(step, batch):
    """BatchNorm for a fifth of the training; then up to rmax 3 and dmax 5."""
    total = 3000 / batch
    share = np.clip((step / total - 0.2) / 0.4, 0, 1)
    return 1 + 2 * share, 5 * share


def experiment(seed):
    data, found = standardized(seed), {}
    for b in BATCHES:
        norms = {
            "BN": "batch_norm",
            "BRN": lambda n, b=b: nn.BatchRenorm1d(
                n, momentum=min(0.1, 0.1 * b / 8), schedule=lambda step: bounds(step, b), backward="analytic"
            ),
        }
        for name, norm in norms.items():
            net = tn.train.mlp(norm, seed, backward="analytic", hidden=(32, 32), he=1.0)
            found[f"{name}, batch {b}"] = 100 * (1 - accuracy(trained(net, data, lr=0.1 * b / 32, batch=b, epochs=2, seed=seed)))
    return found


# %% [markdown]
# ## The rule
#
# Confirmed, if at batch 2 BatchRenorm's error is less than half of BatchNorm's in every seed, and no more than twice its own at 32.
# Bounded, if only the first.


# %%
def rule(f):
    half = f["BRN, batch 2"] / f["BN, batch 2"]
    own = f["BRN, batch 2"] / f["BRN, batch 32"]
    figure = f"wrong at batch 2: BN {f['BN, batch 2'].mean():.0f} %, BRN {f['BRN, batch 2'].mean():.0f} %; at 32: {f['BN, batch 32'].mean():.0f} and {f['BRN, batch 32'].mean():.0f} %"
    if (half < 0.5).all() and (own <= 2).all():
        return Verdict("confirmed", figure, "As good at batch 2 as at 32, or nearly.")
    if (half < 1).all():
        return Verdict(
            "bounded",
            figure,
            f"Better than BatchNorm at batch 2 in every seed, and still {own.mean():.1f} times its own error at 32.",
        )
    return Verdict("refuted here", figure, "Not better than BatchNorm in every seed.")


claim = Claim(
    title="Batch Renormalization cures small batches",
    says={57: "Batch Renormalization makes small batches train as large ones"},
    told_by="its paper, in a milder form",
    source="Ioffe 2017 (arXiv:1702.03275), section 4.2: microbatches of 4",
    setting={
        "net": "MLP 2×32, norm before ReLU, He's initial values",
        "data": "1,500 digits, twice; 297 held out",
        "SGD": "lr 0.1·batch/32",
        "bounds": "rmax 1 → 3, dmax 0 → 5 between a fifth and three fifths",
        "batch": BATCHES,
    },
    differs="Batch 2 is harder than the paper's 4, and 1,500 steps are few: its schedule has 40,000.",
    experiment=experiment,
    measure="share of wrong answers on 297 held-out digits in inference mode (%)",
    decides="confirmed, if at batch 2 less than half of BN's error and at most twice its own at 32, in every seed; bounded, if less than BN's; else refuted here",
    rule=rule,
    picture=lambda f: Lines(
        {n: {b: f[f"{n}, batch {b}"] for b in BATCHES} for n in ("BN", "BRN")}, "samples in a batch", "wrong answers (%)"
    ),
    changes={
        "if it were as good at 2 as at 32": {"BRN, batch 2": "BRN, batch 32"},
        "if it were as bad as BatchNorm": {"BRN, batch 2": "BN, batch 2"},
    },
    few=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
