# %% [markdown]
# # The noise of the batch as a regularizer
#
# In small batches μ and σ are noisy, and noise regularizes, some texts say; one says it of LayerNorm, which has no such noise. If
# it is so, a net that overfits should do better on the test at batch 16 than at full batch, and better than without a norm.

# %%

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, accuracy, standardized, trained

COUNT = 160
RUNS = {
    "BN, batch 8": ("batch_norm", 8),
    "BN, batch 16": ("batch_norm", 16),
    "BN, full batch": ("batch_norm", COUNT),
    "LN, batch 16": ("layer_norm", 16),
    "none, batch 16": ("none", 16),
}


def experiment(seed):
    data, found = standardized(seed, COUNT), {}
    for name, (norm, batch) in RUNS.items():
        net = tn.train.mlp(norm, seed, backward="analytic", hidden=(64,) * 3, he=1.0)
        steps = 120
        run = trained(
            net,
            data.train,
            test=data.test,
            optimizer="momentum",
            lr=0.1 if batch < COUNT else 0.3,
            batch=batch,
            epochs=steps * batch // COUNT,
            seed=seed,
        )
        found[f"test, {name}"] = accuracy(run)
        found[f"trained, {name}"] = tn.train.score(net, data.train, "accuracy", COUNT)
    return found


# %% [markdown]
# ## The rule
#
# Confirmed, if BatchNorm at batch 16 is better on the test than at full batch in every seed. Refuted here, if its mean is not better.


# %%
def rule(f):
    gain = f["test, BN, batch 16"] - f["test, BN, full batch"]
    figure = "right on the test: " + ", ".join(
        f"{f[f'test, BN, {b}'].mean():.3f} at {b}" for b in ("full batch", "batch 16", "batch 8")
    )
    if (f["trained, BN, full batch"] < 0.99).any():
        return Verdict("undecided", figure, "The net does not overfit: there is nothing to regularize.")
    if (gain > 0).all():
        return Verdict("confirmed", figure, f"The noise gains {gain.mean():.3f}.")
    if gain.mean() <= 0:
        return Verdict(
            "refuted here",
            figure,
            f"With 160 digits the noise costs {-gain.mean():.3f}, in a net that has learned them all. (LayerNorm has no noise of the batch at all.)",
        )
    return Verdict("undecided", figure, f"It gains {gain.mean():.3f}, not in every seed; some 30 seeds would tell.")


claim = Claim(
    title="The noise of the batch regularizes",
    says={31: "Batch noise regularizes (one text says it of Layer Normalization)"},
    told_by="a glossary and a blog of BatchNorm, a glossary of LayerNorm",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 3.4; Luo et al. 2018 (arXiv:1809.00846)",
    setting={
        "net": "MLP 3×64, norm before ReLU, He's initial values",
        "data": f"{COUNT} digits, 297 held out",
        "SGD": "momentum 0.9, 120 steps, lr 0.1 (0.3 at full batch)",
    },
    differs="160 digits, far fewer than ImageNet; the papers' gain is in long trainings of large nets.",
    experiment=experiment,
    measure="share of right answers on 297 held-out digits, paired by seed; and on those trained on",
    decides="confirmed, if batch 16 is better than full batch in every seed; refuted here, if not in the mean; undecided between, or if full batch has not learned 99 %",
    rule=rule,
    picture=lambda f: Dots(
        {k.removeprefix("test, "): v for k, v in f.items() if k.startswith("test")}, "share of right answers on the test"
    ),
    changes={
        "if batch 16 were better in every seed": {"test, BN, batch 16": 0.99},
        "if the net had not learned its digits": {"trained, BN, full batch": 0.8},
    },
    few=4,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
