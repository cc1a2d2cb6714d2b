# %% [markdown]
# # Weight decay behind a norm
#
# "Weight decay keeps the weights small, and so the function simple." Behind a norm the function does not know how long W is. What decay
# does there is to set how far a step turns W: it finds a length at which growth and decay are even, wherever it began.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

F = tn.functional
STARTS, DECAYS, STEPS = (0.3, 3.0), (0.0, 0.05), 300


def experiment(seed):
    images, labels = tn.data.digits("train", seed)
    x, t = images[:200].reshape(200, 64), labels[:200]
    found = {}
    for decay in DECAYS:
        for s in STARTS:
            rng = np.random.default_rng(seed)
            W, V = (tn.tensor(rng.normal(size=z) / np.sqrt(z[0]), requires_grad=True) for z in ((64, 32), (32, 10)))
            W.data = s * W.data
            steps = tn.optim.SGD([{"params": [W], "weight_decay": decay}, {"params": [V], "lr": 0.1}], lr=0.5)

            def loss(i, W=W, V=V):
                return F.cross_entropy(F.relu(F.layer_norm(tn.tensor(x[i]) @ W, 32, eps=0.0)) @ V, t[i])

            for _ in range(STEPS):
                steps.zero_grad()
                loss(rng.permutation(200)[:50]).backward()
                steps.step()
            found[f"‖W‖, decay {decay:g}, from ×{s:g}"] = np.linalg.norm(W.data)
            here = loss(np.arange(200)).item()
            W.data = W.data / 10
            found[f"loss at W/10 − loss, decay {decay:g}, from ×{s:g}"] = abs(loss(np.arange(200)).item() - here)
    return found


# %% [markdown]
# ## The rule
#
# Corrected, if W/10 has the same loss to rounding, and with decay the lengths from both starts come at least three times nearer to each
# other than without.


# %%
def rule(f):
    ratio = {d: f[f"‖W‖, decay {d:g}, from ×3"] / f[f"‖W‖, decay {d:g}, from ×0.3"] for d in DECAYS}
    same = np.max([v for k, v in f.items() if k.startswith("loss")])
    figure = f"starts ten times apart: ‖W‖ ends ×{ratio[0.0].mean():.1f} apart without decay, ×{ratio[0.05].mean():.2f} with; loss at W/10 differs by {same:.1g}"
    if same > 1e-9:
        return Verdict("confirmed", figure, "The function does know how long W is.")
    if (np.log(ratio[0.0]) > 3 * np.abs(np.log(ratio[0.05]))).all():
        return Verdict(
            "corrected",
            figure,
            "The function is the same at every length. Decay lets ‖W‖ find an equilibrium, and so sets the effective rate lr/‖W‖².",
        )
    return Verdict("undecided", figure, "The lengths have not met in 300 steps; more would tell.")


claim = Claim(
    title="Weight decay keeps the weights small and regularizes, with a norm as without",
    says={56: "Weight decay regularizes the weights in front of a norm"},
    told_by="common advice",
    source="van Laarhoven 2017 (arXiv:1706.05350): the effective rate, and the equilibrium of ‖w‖",
    setting={
        "net": "64–32–LayerNorm–ReLU–10, no bias",
        "data": "200 digits, batch 50",
        "SGD": f"lr 0.5, {STEPS} steps; decay on the first matrix",
        "decay": DECAYS,
        "start": STARTS,
    },
    differs="One layer, float64, ε = 0; the paper has BatchNorm on CIFAR-10.",
    experiment=experiment,
    measure="‖W‖ at the end; change of the loss at W/10 (nats)",
    decides="corrected, if the loss at W/10 is within 1e-9, and decay brings the logarithms of both lengths three times nearer, in every seed; confirmed, if W/10 has another loss",
    rule=rule,
    picture=lambda f: Lines(
        {f"decay {d:g}": {f"from ×{s:g}": f[f"‖W‖, decay {d:g}, from ×{s:g}"] for s in STARTS} for d in DECAYS},
        "start",
        "‖W‖ after 300 steps",
        log=True,
    ),
    changes={
        "if the loss at W/10 were another": {
            f"loss at W/10 − loss, decay {d:g}, from ×{s:g}": 0.5 for d in DECAYS for s in STARTS
        },
        "if decay did not bring the lengths together": {
            "‖W‖, decay 0.05, from ×3": "‖W‖, decay 0, from ×3",
            "‖W‖, decay 0.05, from ×0.3": "‖W‖, decay 0, from ×0.3",
        },
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
