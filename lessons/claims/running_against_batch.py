# %% [markdown]
# # BatchNorm is another function in inference
#
# In training by the batch, in inference by running averages of what was seen: while the weights move fast, those averages are of
# other weights. The same net, judged three ways: by the running statistics, by the test's own, and by running statistics that
# were taken anew, over 40 batches, without learning.

# %%

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, standardized, trained

WAYS, STEPS = ("running", "own", "running, taken anew"), (10, 40)


def experiment(seed):
    found = {}
    for steps in STEPS:
        data = standardized(seed, 32 * steps)
        net = tn.train.mlp("batch_norm", seed, backward="analytic", hidden=(32,) * 4, he=1.0)
        trained(net, data.train, lr=0.5, batch=32, epochs=1, seed=seed)
        ways = [tn.train.score(net, data.test, "accuracy", 297, how) for how in ("running", "batch")]
        net.train()
        with tn.no_grad():  # 40 forward passes alone: only the running statistics move
            for _ in range(40 // steps):
                for x, _ in tn.data.batches(*data.train, size=32, shuffle=True, seed=seed):
                    net(tn.tensor(x))
        ways.append(tn.train.score(net, data.test, "accuracy", 297, "running"))
        found |= {f"{way}, {steps} steps": right for way, right in zip(WAYS, ways)}
    return found


# %% [markdown]
# ## The rule
#
# There is a discrepancy if the running statistics give fewer right answers than the test's own, in every seed. Bounded, if at 10 steps
# there is one that forward passes give at least half of back, or if at 40 steps there is none any more.


# %%
def rule(f):
    gap = {s: f[f"own, {s} steps"] - f[f"running, {s} steps"] for s in STEPS}
    back = f["running, taken anew, 10 steps"] - f["running, 10 steps"]
    figure = f"after 10 steps right: {f['running, 10 steps'].mean():.2f} running, {f['own, 10 steps'].mean():.2f} by the test's own, {f['running, taken anew, 10 steps'].mean():.2f} taken anew"
    if not (gap[10] > 0.01).all():
        return Verdict("refuted here", figure, "None, even while the weights move fast.")
    if (gap[40] > 0.01).all() and back.mean() < gap[10].mean() / 2:
        return Verdict("confirmed", figure, "And it stays.")
    return Verdict(
        "bounded",
        figure,
        f"Real while the weights move fast; after 40 steps it is {gap[40].mean():+.3f}, and forward passes without learning take it away at once. "
        "It is not what breaks a batch of two (batch-of-two).",
    )


claim = Claim(
    title="BatchNorm has a discrepancy between training and inference",
    says={15: "A discrepancy between training and inference (of Batch Normalization)"},
    told_by="a glossary and a blog",
    source="Ioffe 2017 (arXiv:1702.03275), section 1; Wu, Johnson 2021 (arXiv:2105.07576), section 3 (“precise BN”)",
    setting={
        "net": "MLP 4×32, BatchNorm before ReLU, He's initial values",
        "data": "320 or 1,280 digits once, 297 held out",
        "SGD": "lr 0.5, batch 32, 10 or 40 steps",
        "momentum": 0.1,
    },
    differs="The first steps of a small net; in the papers it is the end of a long training, small batches, and other data in inference.",
    experiment=experiment,
    measure="share of right answers on 297 held-out digits",
    decides="discrepancy: own above running by more than 0.01 in every seed; bounded, if so at 10 steps and gone at 40 or given back by half by forward passes; confirmed, if it stays; refuted here, if not even at 10",
    rule=rule,
    picture=lambda f: Dots(f, "share of right answers"),
    changes={
        "if both statistics were as good after 10 steps": {"running, 10 steps": "own, 10 steps"},
        "if it stayed, whatever is done": {"running, 40 steps": 0.5, "running, taken anew, 10 steps": "running, 10 steps"},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
