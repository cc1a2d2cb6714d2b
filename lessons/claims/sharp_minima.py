# %% [markdown]
# # Fewer sharp minima?
#
# Sharpness is usually the largest eigenvalue of the Hessian. Behind a norm, W and s·W are the same function, and the eigenvalue
# at s·W is 1/s² as large: as sharp as you please, and nothing has changed. A measure that says different things of one function
# decides nothing about its minima.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

F = tn.functional
SCALES = (0.1, 1.0, 10.0)


def experiment(seed):
    rng = np.random.default_rng(seed)
    images, labels = tn.data.digits("train", seed)
    x, t = tn.tensor(images[:100].reshape(100, 64)), labels[:100]
    W, V = rng.normal(size=(64, 12)) / 8, tn.tensor(rng.normal(size=(12, 10)) / 3)
    found = {}
    for s in SCALES:

        def loss(w):
            return F.cross_entropy(F.relu(F.layer_norm(x @ w, 12, eps=0.0)) @ V, t)

        v, size = rng.normal(size=W.shape), 0.0
        for _ in range(12):  # power iteration
            v = v / np.linalg.norm(v)
            v = tn.hvp(loss, tn.tensor(s * W), tn.tensor(v))[1].data
            size = np.linalg.norm(v)
        found[f"loss at {s:g}·W"] = loss(tn.tensor(s * W)).item()
        found[f"sharpness at {s:g}·W"] = size
    return found


# %% [markdown]
# ## The rule
#
# Undecided, if at the same loss the sharpness differs by more than a factor of 1000 between 0.1·W and 10·W: then this measure
# cannot tell whether there are fewer sharp minima.


# %%
def rule(f):
    same = np.abs(f["loss at 0.1·W"] - f["loss at 10·W"]).max()
    ratio = f["sharpness at 0.1·W"] / f["sharpness at 10·W"]
    figure = f"one function, one loss (|Δ| {same:.1g}), and a sharpness of {f['sharpness at 10·W'].mean():.1g} or {f['sharpness at 0.1·W'].mean():.2g}"
    if same < 1e-9 and (ratio > 1000).all():
        return Verdict(
            "undecided",
            figure,
            "Sharpness in W depends on ‖W‖, which the function does not. It would take a measure that is the same for W and s·W, and the "
            "minima that training finds, with a norm and without, in networks where they generalize differently.",
        )
    return Verdict("bounded", figure, "The measure is the same at every scale here, and can be asked.")


claim = Claim(
    title="Normalization leads to fewer sharp minima",
    says={29: "Fewer sharp minima"},
    told_by="a glossary, with a reference that does not say so",
    source="Dinh et al. 2017 (arXiv:1703.04933): sharp minima can generalize, as scales of weights make any minimum sharp; van Laarhoven 2017 (arXiv:1706.05350): gradients at s·w are 1/s as long",
    setting={"net": "64–12–LayerNorm–ReLU–10 at its start", "data": "100 digits", "s": SCALES, "ε": 0.0},
    differs="Exact. The papers have deep networks; the argument is the same in one layer.",
    experiment=experiment,
    measure="largest |eigenvalue| of the Hessian in W, by 12 power iterations on tn.hvp",
    decides="undecided, if the losses at 0.1·W and 10·W are equal within 1e-9 and the sharpness 1000 times as large; else bounded",
    rule=rule,
    picture=lambda f: Lines(
        {"LayerNorm": {f"{s:g}": f[f"sharpness at {s:g}·W"] for s in SCALES}},
        "scale s of W (the same function at each)",
        "largest |eigenvalue| of the Hessian",
        log=True,
    ),
    changes={"if the sharpness did not depend on the scale": {"sharpness at 0.1·W": "sharpness at 10·W"}},
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
