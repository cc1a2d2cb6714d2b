# %% [markdown]
# # Faster convergence
#
# The case BatchNorm was made for: a deep net of sigmoids, whose gradients vanish. Without a norm it does not learn at all here,
# at either rate. And the ReLU net, each at its own best rate.

# %%

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, accuracy, standardized, steps_to, trained

NORMS = {"none": "none", "BN": "batch_norm", "LN": "layer_norm"}
RATES = {"sigmoid": (0.3, 1.0), "ReLU": (0.1, 0.3, 1.0)}


def experiment(seed):
    data, found = standardized(seed), {}
    for act, module, depth in (("sigmoid", tn.nn.Sigmoid, 4), ("ReLU", tn.nn.ReLU, 8)):
        for name, norm in NORMS.items():
            runs = []
            for lr in RATES[act]:
                net = tn.train.mlp(
                    norm,
                    seed,
                    backward="analytic",
                    hidden=(32,) * depth,
                    activation=module,
                    he=1.0 if act == "ReLU" else 0.5**0.5,
                )
                runs.append(trained(net, data, lr=lr, batch=32, epochs=4, seed=seed))
            found[f"{act}, {name}: right"] = max(map(accuracy, runs))
            found[f"{act}, {name}: steps to loss 0.5"] = min(min(steps_to(r, 0.5) for r in runs), 999.0)
    return found


# %% [markdown]
# ## The rule
#
# Faster is fewer steps to a loss of 0.5, each at its best rate, in every seed, in both nets. (999: never in 188 steps.)


# %%
def rule(f):
    steps = {(a, n): f[f"{a}, {n}: steps to loss 0.5"] for a in RATES for n in NORMS}
    shown = {k: "never" if (v >= 999).all() else f"{v.mean():.0f}" for k, v in steps.items()}
    figure = "steps to loss 0.5: " + "; ".join(f"{a} " + ", ".join(f"{n} {shown[a, n]}" for n in NORMS) for a in RATES)
    faster = {n: all(bool((steps[a, n] < steps[a, "none"]).all()) for a in RATES) for n in ("BN", "LN")}
    if all(faster.values()):
        return Verdict("confirmed", figure, "With both, in both nets.")
    if faster["BN"]:
        return Verdict("bounded", figure, "True of BatchNorm in both nets, in every seed. Not of LayerNorm in these plain nets.")
    return Verdict("refuted here", figure, "Not in every seed in these nets.")


claim = Claim(
    title="Normalization makes convergence faster",
    says={25: "Faster convergence"},
    told_by="all five texts",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 4.1 (sigmoids) and figure 2; Ba et al. 2016 (arXiv:1607.06450), section 6.6",
    setting={
        "nets": "MLP 4×32 sigmoid and 8×32 ReLU",
        "data": "1,500 digits",
        "SGD": "batch 32, 188 steps, the best of these rates",
        "rates": "0.3, 1 (sigmoid); 0.1, 0.3, 1 (ReLU)",
    },
    differs="Digits instead of MNIST and ImageNet; LayerNorm's paper has mostly recurrent networks.",
    experiment=experiment,
    measure="steps until the mean of 5 losses is below 0.5 (999: never); share of right answers on the held-out digits",
    decides="faster: fewer steps in every seed, in both nets; confirmed for BN and LN, bounded for BN alone, else refuted here",
    rule=rule,
    picture=lambda f: Dots(
        {k.removesuffix(": right"): v for k, v in f.items() if k.endswith("right")},
        "share of right answers after 188 steps",
        at={"chance": 0.1},
    ),
    changes={
        "if LayerNorm were as fast as BatchNorm": {f"{a}, LN: steps to loss 0.5": f"{a}, BN: steps to loss 0.5" for a in RATES},
        "if BatchNorm were as slow as none": {"ReLU, BN: steps to loss 0.5": "ReLU, none: steps to loss 0.5"},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
