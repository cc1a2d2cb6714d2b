# %% [markdown]
# # Pre- and post-LN, trained; and what a warm-up does
#
# Eight layers, Adam at a high rate, sequences to be said backwards. Pre-LN from the first step on; post-LN so, too, and with a rate that
# rises over the first third.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, last_loss, trained

RUNS = {"pre-LN": (True, 0), "post-LN": (False, 0), "post-LN, warm-up": (False, 20), "no LN": (None, 0)}
STEPS = 60


def experiment(seed):
    x, y = tn.data.reversing(32 * STEPS, seed=seed, length=6)
    found = {}
    for name, (first, warmup) in RUNS.items():
        net = tn.train.transformer(
            "none" if first is None else "layer_norm", seed, backward="analytic", layers=8, norm_first=bool(first), length=6
        )
        run = trained(net, (x, y), optimizer="adam", lr=0.01, batch=32, epochs=1, warmup=warmup, seed=seed)
        found[name] = min(last_loss(run, 10), 9.0)
    return found


# %% [markdown]
# ## The rule
#
# Confirmed, if without a warm-up post-LN's loss at the end is higher than pre-LN's in every seed, and so is that of no LayerNorm.


# %%
def rule(f):
    figure = "loss after 60 steps: " + ", ".join(f"{v.mean():.2f} ({k})" for k, v in f.items())
    worse = {n: (f[n] > f["pre-LN"]).all() for n in RUNS if n != "pre-LN"}
    helps = f["post-LN"] - f["post-LN, warm-up"]
    warm = f"The warm-up takes {helps.mean():.2f} off post-LN's loss" + (
        ", in every seed." if (helps > 0).all() else ", not in every seed."
    )
    if worse["post-LN"] and worse["no LN"]:
        return Verdict("confirmed", figure, f"With eight layers and a high rate its place decides. {warm}")
    if worse["post-LN"]:
        return Verdict(
            "bounded", figure, f"Its place decides; but without any the net trains as well as with pre-LN here. {warm}"
        )
    return Verdict("refuted here", figure, f"Post-LN is not worse in every seed. {warm}")


claim = Claim(
    title="LayerNorm is decisive for training transformers",
    says={38: "Layer Normalization is decisive for the stability of transformers"},
    told_by="two glossaries",
    source="Xiong et al. 2020 (arXiv:2002.04745), section 3.2 and figure 2 (post-LN without warm-up)",
    setting={
        "net": "transformer of 8 layers, width 32, 4 heads, PyTorch's initial values",
        "data": f"{32 * STEPS} sequences of 6 symbols, to be said backwards",
        "Adam": f"lr 0.01, batch 32, {STEPS} steps; warm-up over 20",
    },
    differs="Eight small layers and 60 steps; translation there. Whether a warm-up helps depends on the rate.",
    experiment=experiment,
    measure="mean training loss of the last 10 steps (nats; guessing: 2.08; 9: beyond that, or diverged)",
    decides="confirmed, if post-LN without warm-up and no LayerNorm end higher than pre-LN in every seed; bounded, if only post-LN; else refuted here",
    rule=rule,
    picture=lambda f: Dots(f, "training loss at the end (nats)", at={"guessing": float(np.log(8))}),
    changes={"if post-LN were as good": {"post-LN": "pre-LN"}, "if no LayerNorm were as good": {"no LN": "pre-LN"}},
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
