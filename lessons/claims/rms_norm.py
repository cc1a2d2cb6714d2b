# %% [markdown]
# # RMSNorm: the same quality for less work
#
# RMSNorm leaves out the mean. The record says how much work that saves; trainings at three rates, whether anything is lost.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, accuracy, standardized, trained

F = tn.functional
NORMS = {"LN": "layer_norm", "RMS": "rms_norm"}
RATES = (0.03, 0.1, 0.3)


def counted(norm):
    """Operations, and reductions among them, of forward and gradient."""
    x, dy = (tn.tensor(np.random.default_rng(s).normal(size=(4, 8)), requires_grad=True) for s in (0, 1))
    (dx,) = tn.grad(norm(x, 8), x, dy, create_graph=True)
    ops = [n.op for n in tn.graph(dx).nodes if n.op is not None]
    return len(ops), sum(op in ("mean", "sum", "unbroadcast") for op in ops)


def experiment(seed):
    data, found = standardized(seed, 1280), {}
    for name, norm in NORMS.items():
        found[f"operations, {name}"], found[f"reductions, {name}"] = counted({"LN": F.layer_norm, "RMS": F.rms_norm}[name])
        for lr in RATES:
            net = tn.train.mlp(norm, seed, backward="analytic", hidden=(64,) * 3, he=1.0)
            found[f"{name} at {lr:g}"] = accuracy(trained(net, data, lr=lr, batch=32, epochs=4, seed=seed))
    return found


# %% [markdown]
# ## The rule
#
# Less work is fewer operations and fewer reductions. The same quality: at its best rate (of the means) RMSNorm is no more than 0.02
# behind.


# %%
def rule(f):
    best = {n: max(f[f"{n} at {lr:g}"].mean() for lr in RATES) for n in NORMS}
    ops = [(f[f"{w}, LN"][0], f[f"{w}, RMS"][0]) for w in ("operations", "reductions")]
    figure = f"right {best['LN']:.3f} with LN, {best['RMS']:.3f} with RMS; operations {ops[0][0]:.0f} and {ops[0][1]:.0f}, reductions {ops[1][0]:.0f} and {ops[1][1]:.0f}"
    if not all(a > b for a, b in ops):
        return Verdict("refuted here", figure, "It is not less work.")
    if best["RMS"] >= best["LN"] - 0.02:
        return Verdict(
            "confirmed", figure, "Each at its best of three rates. What the fewer operations save in time depends on the machine."
        )
    return Verdict("bounded", figure, "Less work, and in this net less quality.")


claim = Claim(
    title="RMSNorm has the same quality as LayerNorm for less work",
    says={44: "RMSNorm: the same quality, less work"},
    told_by="a glossary",
    source="Zhang, Sennrich 2019 (arXiv:1910.07467), eq. 4",
    setting={
        "net": "MLP 3×64, norm before ReLU, He's initial values",
        "data": "1,280 digits, 297 held out",
        "SGD": "batch 32, 160 steps",
        "rates": RATES,
    },
    differs="Digits; translation, question answering and captions there, with 7 to 64 % less time.",
    experiment=experiment,
    measure="share of right answers on 297 held-out digits; operations on the record of forward and gradient",
    decides="confirmed, if fewer operations and reductions, and the best mean of three rates no more than 0.02 behind; bounded, if only the first; else refuted here",
    rule=rule,
    picture=lambda f: Dots({k: f[k] for k in f if " at " in k}, "share of right answers"),
    changes={
        "if RMSNorm were behind at every rate": {f"RMS at {lr:g}": 0.7 for lr in RATES},
        "if it took as many operations": {"operations, RMS": "operations, LN"},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
