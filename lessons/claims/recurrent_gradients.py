# %% [markdown]
# # LayerNorm against vanishing and exploding gradients in time
#
# How much of the gradient at the end is left at the first of 64 steps, before anything is trained? An LSTM and a plain tanh network,
# with orthogonal recurrent weights times s, reading digits pixel by pixel.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

nn = tn.nn
HIDDEN, STEPS = 32, 64
CASES = {"LSTM": (nn.LSTMCell, 4, 1.0), "RNN": (nn.RNNCell, 1, 1.0), "RNN, weights ×2": (nn.RNNCell, 1, 2.0)}


def share(make, gates, scale, norm, seed):
    """‖∂loss/∂h‖ at the first step, relative to the last."""
    g = tn.Generator(seed)
    cell = make(1, HIDDEN, norm=norm, dtype="float64", seed=seed, backward="analytic")
    parts = [
        nn.init.orthogonal_(tn.tensor(np.zeros((HIDDEN, HIDDEN)), requires_grad=True), generator=g).data for _ in range(gates)
    ]
    cell.weight_hh.data = scale * np.concatenate(parts)
    if gates == 4:
        cell.bias_ih.data = np.repeat([0.0, 1.0, 0.0, 0.0], HIDDEN)  # a forget gate that begins rather open
    pixels, labels = tn.data.digit_pixels("train", seed)
    state = tuple(tn.tensor(np.zeros((16, HIDDEN)), requires_grad=True) for _ in range(2 if gates == 4 else 1))
    states = []
    for t in range(STEPS):
        x = tn.tensor(pixels[:16, t])
        state = cell(x, state) if gates == 4 else (cell(x, state[0]),)
        states.append(state[0])
    head = tn.tensor(np.random.default_rng(seed).normal(size=(HIDDEN, 10)) / np.sqrt(HIDDEN))
    loss = tn.functional.cross_entropy(state[0] @ head, labels[:16])
    first, last = tn.grad(loss, (states[0], states[-1]))
    return np.linalg.norm(first.data) / np.linalg.norm(last.data)


def experiment(seed):
    return {f"{name}, {norm}": share(*case, norm, seed) for name, case in CASES.items() for norm in ("none", "layer_norm")}


# %% [markdown]
# ## The rule
#
# Sound is a share between a hundredth and a hundred. Confirmed, if LayerNorm makes all three sound that were not; bounded, if it does
# one of them and brings each of the others nearer to 1; all in every seed.


# %%
def rule(f):
    far = {k: np.abs(np.log10(f[k])) for k in f}
    figure = "left after 64 steps: " + "; ".join(
        f"{n} {np.median(f[f'{n}, none']):.1g} → {np.median(f[f'{n}, layer_norm']):.1g} with LN" for n in CASES
    )
    sound = [n for n in CASES if (far[f"{n}, layer_norm"] < 2).all()]
    nearer = [n for n in CASES if (far[f"{n}, layer_norm"] < far[f"{n}, none"]).all()]
    if len(sound) == len(CASES):
        return Verdict("confirmed", figure, "In all three.")
    if sound and len(nearer) >= 2:
        return Verdict(
            "bounded",
            figure,
            f"Sound with LayerNorm: {', '.join(sound)}; nearer to 1: {', '.join(nearer)}. It divides by σ at every step, which lengthens what is short and shortens what is long: where σ < 1, as in the plain network, gradients grow.",
        )
    return Verdict("refuted here", figure, "No case is made sound.")


claim = Claim(
    title="LayerNorm mitigates vanishing and exploding gradients in recurrent networks",
    says={34: "Layer Normalization mitigates vanishing and exploding gradients in RNN, LSTM, GRU; better on long sequences"},
    told_by="two glossaries and an encyclopedia",
    source="Ba et al. 2016 (arXiv:1607.06450), section 3.1 and supplement, eqs. 20 to 22",
    setting={
        "cells": f"{HIDDEN} units, orthogonal recurrent weights times s; the LSTM's forget bias 1",
        "x": "16 digits, 64 pixels one after another",
        "dtype": "float64",
    },
    differs="Before training. The paper shows trainings; see recurrent-training.",
    experiment=experiment,
    measure="‖∂loss/∂h‖ at step 1 ÷ at step 64 (no unit)",
    decides="sound: between 0.01 and 100 in every seed; confirmed, if all three are sound with LN; bounded, if some are and at least two nearer to 1; else refuted here",
    rule=rule,
    picture=lambda f: Dots(
        {k.replace("layer_norm", "LN"): v for k, v in f.items()}, "gradient at step 1 ÷ at step 64", log=True, at={"1": 1.0}
    ),
    changes={
        "if all were sound with LayerNorm": {f"{n}, layer_norm": 0.5 for n in CASES},
        "if LayerNorm changed nothing": {f"{n}, layer_norm": f"{n}, none" for n in CASES},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
