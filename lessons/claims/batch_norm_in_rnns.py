# %% [markdown]
# # BatchNorm in a recurrent network
#
# "Hard to use in recurrent networks." The state at the first step is not distributed as the state at the fortieth. One set of running
# statistics for all steps fits none of them; one set for each step fits, as long as no sequence is longer than those of training.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

nn = tn.nn
STEPS, HIDDEN = 40, 32
SHOWN = (1, 2, 5, 10, 40)


def experiment(seed):
    rng = np.random.default_rng(seed)
    cell = nn.LSTMCell(8, HIDDEN, dtype="float64", seed=seed)
    cell.bias_hh.data = np.repeat([0.0, 2.0, 0.0, 0.0], HIDDEN)  # it remembers: its forget gates begin open
    x = rng.normal(size=(256, STEPS, 8))
    state, states = None, []
    with tn.no_grad():
        for t in range(STEPS):
            state = cell(tn.tensor(x[:, t]), state)
            states.append(state[1].data)
    seen, new = (np.array([s[part].var(0) for s in states]) for part in (slice(128), slice(128, None)))  # (step, unit)
    found = {}
    for t in SHOWN:
        found[f"one for all, step {t}"] = np.sqrt((new[t - 1] / seen.mean(0)).mean())
        found[f"one for each, step {t}"] = np.sqrt((new[t - 1] / seen[t - 1]).mean())
    return found


# %% [markdown]
# ## The rule
#
# σ of the normalized cell state should be 1. Bounded, if by shared statistics it is off by more than a factor of 2 at the first
# step, and by statistics for each step it is 1.


# %%
def rule(f):
    shared, own = f["one for all, step 1"], np.array([f[f"one for each, step {t}"] for t in SHOWN])
    figure = f"σ of the normalized cell state at step 1: {shared.mean():.2f} with one set of statistics, {own[0].mean():.2f} with one a step"
    if not np.allclose(own, 1, atol=0.2):
        return Verdict("confirmed", figure, "Not even statistics for each step fit.")
    if (shared < 0.5).all():
        return Verdict(
            "bounded",
            figure,
            "Hard with one set of statistics for all steps. With one for each it has been done (Cooijmans et al.), for bounded lengths.",
        )
    return Verdict("refuted here", figure, "One set fits all steps.")


claim = Claim(
    title="BatchNorm is hard to use in recurrent networks",
    says={35: "Batch Normalization is hard to use in recurrent networks"},
    told_by="a blog",
    source="Cooijmans et al. 2016 (arXiv:1603.09025), section 3 and figure 1: statistics differ in the first steps",
    setting={
        "net": f"LSTM of {HIDDEN} units at its start, forget bias 2",
        "x": f"256 sequences of {STEPS} random steps, 128 for the statistics and 128 to be normalized",
        "dtype": "float64",
    },
    differs="At the start: the reason, not a training. The paper normalizes gates and cell, here it is the cell state.",
    experiment=experiment,
    measure="root of the mean over the units of σ² at a step, divided by the statistics' σ²",
    decides="bounded, if below 0.5 at step 1 with the mean of all steps' variances, and 1 within 0.2 with those of the step",
    rule=rule,
    picture=lambda f: Lines(
        {n: {t: f[f"{n}, step {t}"] for t in SHOWN} for n in ("one for all", "one for each")},
        "step",
        "σ of the normalized cell state (no unit)",
    ),
    changes={
        "if one set fitted all steps": {"one for all, step 1": 1.0},
        "if one for each did not": {"one for each, step 1": 3.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
