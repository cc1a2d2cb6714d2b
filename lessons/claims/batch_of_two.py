# %% [markdown]
# # A batch of two
#
# BatchNorm needs batches that stand for the data; LayerNorm and GroupNorm do not look at the batch. At two samples a batch x̂ is ±1,
# whatever the numbers were: nothing but their order is left of a feature, and hardly any gradient passes.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict, accuracy, standardized, trained

nn = tn.nn
BATCHES = (2, 4, 32)
NORMS = {"BN": "batch_norm", "LN": "layer_norm", "GN": lambda n: nn.GroupNorm(8, n, backward="analytic")}


def experiment(seed):
    data, found = standardized(seed), {}
    for name, norm in NORMS.items():
        for b in BATCHES:
            net = tn.train.mlp(norm, seed, backward="analytic", hidden=(32, 32), he=1.0)
            run = trained(net, data, lr=0.1 * b / 32, batch=b, epochs=2, seed=seed)
            found[f"{name}, batch {b}"] = 100 * (1 - accuracy(run))
            if name == "BN":
                own = tn.train.score(net, data.test, "accuracy", 297, "batch")
                found[f"BN, batch {b}, by the test's own statistics"] = 100 * (1 - own)
    rng = np.random.default_rng(seed)
    for b in BATCHES:
        x, dy = tn.tensor(rng.normal(size=(b, 200)), requires_grad=True), rng.normal(size=(b, 200))
        y = tn.functional.batch_norm(x, None, None, training=True)
        (dx,) = tn.grad(y, x, dy)
        found[f"share of |x̂| that is 1, batch {b}"] = (np.abs(np.abs(y.data) - 1) < 1e-2).mean()
        found[f"median |dx|, batch {b}"] = np.median(np.abs(dx.data))
    return found


# %% [markdown]
# ## The rule
#
# Confirmed, if BatchNorm's error at batch 2 is more than twice that at 32 in every seed, and that of the other two is less than twice
# theirs.


# %%
def rule(f):
    ratio = {n: f[f"{n}, batch 2"] / f[f"{n}, batch 32"] for n in NORMS}
    figure = "wrong at batch 2 and 32: " + ", ".join(
        f"{n} {f[f'{n}, batch 2'].mean():.0f} and {f[f'{n}, batch 32'].mean():.0f} %" for n in NORMS
    )
    same = all((ratio[n] < 2).all() for n in ("LN", "GN"))
    own = f["BN, batch 2, by the test's own statistics"].mean()
    if (ratio["BN"] > 2).all() and same:
        return Verdict(
            "confirmed",
            figure,
            f"The running statistics are not what breaks it: by the test's own statistics {own:.0f} % are wrong, too. It is x̂ = ±1, and a "
            f"gradient of {f['median |dx|, batch 2'].mean():.1g} where a batch of 32 has {f['median |dx|, batch 32'].mean():.1f}.",
        )
    if (ratio["BN"] > 2).all():
        return Verdict("bounded", figure, "BatchNorm needs the batch; one of the others is not indifferent to it here.")
    return Verdict("refuted here", figure, "BatchNorm is as good at batch 2.")


claim = Claim(
    title="LayerNorm is insensitive to the batch size; BatchNorm needs representative batches",
    says={13: "Layer Normalization is insensitive to the batch size", 14: "Batch Normalization needs representative batches"},
    told_by="all texts that compare the two",
    source="Wu, He 2018 (arXiv:1803.08494), figure 1 and table 2; Ioffe 2017 (arXiv:1702.03275), section 1",
    setting={
        "net": "MLP 2×32, norm before ReLU, He's initial values",
        "data": "1,500 digits, twice; 297 held out",
        "SGD": "lr 0.1·batch/32",
        "batch": BATCHES,
    },
    differs="3,000 samples in all for every batch size, as there; a small net on digits instead of ResNet-50 on ImageNet.",
    experiment=experiment,
    measure="share of wrong answers in inference mode (%); of random batches: how many |x̂| are 1 within 0.01, and the median of |dx| (1/σ)",
    decides="confirmed, if BN's error at batch 2 is more than twice that at 32 in every seed, and LN's and GN's less than twice",
    rule=rule,
    picture=lambda f: Lines(
        {n: {b: f[f"{n}, batch {b}"] for b in BATCHES} for n in NORMS}, "samples in a batch", "wrong answers (%)"
    ),
    changes={
        "if BatchNorm were as good at batch 2": {"BN, batch 2": "BN, batch 32"},
        "if LayerNorm suffered as BatchNorm does": {"LN, batch 2": "BN, batch 2", "LN, batch 32": "BN, batch 32"},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
