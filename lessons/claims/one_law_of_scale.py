# %% [markdown]
# # One law behind scale and rate: lr/s²
#
# Behind a norm the scale s of a weight matrix does nothing to the forward pass; its gradient is 1/s as long. A step of lr then turns
# it by lr/s² as much. So W·10 with lr·100 is the same training, loss by loss, and "insensitive to initial values" and
# "higher rates" are one statement.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F = tn.functional
NORMS = {
    "BN": lambda a: F.batch_norm(a, None, None, training=True, eps=0.0),
    "LN": lambda a: F.layer_norm(a, 32, eps=0.0),
    "RMS": lambda a: F.rms_norm(a, 32, eps=0.0),
    "none": lambda a: a,
}
STEPS = 20


def losses(norm, s, lr, seed):
    rng = np.random.default_rng(seed)
    images, labels = tn.data.digits("train", seed)
    x, t = images[:200].reshape(200, 64), labels[:200]
    W, V = (tn.tensor(rng.normal(size=z) / np.sqrt(z[0]), requires_grad=True) for z in ((64, 32), (32, 10)))
    W.data = s * W.data
    found, length = [], None
    for _ in range(STEPS):
        i = rng.permutation(200)[:50]
        loss = F.cross_entropy(F.relu(NORMS[norm](tn.tensor(x[i]) @ W)) @ V, t[i])
        dW, dV = tn.grad(loss, (W, V))
        length = np.linalg.norm(dW.data) if length is None else length
        W.data, V.data = W.data - lr * dW.data, V.data - 0.1 * dV.data
        found.append(loss.item())
    return np.array(found), length


def experiment(seed):
    found = {}
    for norm in NORMS:
        one, length = losses(norm, 1, 0.1, seed)
        ten, shorter = losses(norm, 10, 10.0, seed)
        same = losses(norm, 10, 0.1, seed)[0]
        found[f"{norm}: W·10, lr·100"] = np.abs(one - ten).max()
        found[f"{norm}: W·10, lr the same"] = np.abs(one - same).max()
        found[f"{norm}: 10·‖dW‖ at W·10"] = 10 * shorter / length
    return found


# %% [markdown]
# ## The rule
#
# Confirmed, if with each norm the losses are the same ones (to 1e-9) and the gradient a tenth as long, and without one they are not.


# %%
def rule(f):
    norms = [n for n in NORMS if n != "none"]
    law = np.max([f[f"{n}: W·10, lr·100"] for n in norms])
    short = np.max([np.abs(f[f"{n}: 10·‖dW‖ at W·10"] - 1) for n in norms])
    figure = f"W·10 and lr·100: losses differ by {law:.1g} with a norm, {f['none: W·10, lr·100'].min():.1f} without"
    if law < 1e-9 and short < 1e-9:
        if (f["none: W·10, lr·100"] > 0.01).all() and (f["none: 10·‖dW‖ at W·10"] > 1.1).all():
            return Verdict("confirmed", figure, "Activations do not know s, gradients are 1/s, and the rate acts as lr/s².")
        return Verdict("undecided", figure, "Without a norm it comes out so, too.")
    return Verdict("refuted here", figure, "The losses are not the same.")


claim = Claim(
    title="A norm decouples the scale of activations and gradients from that of the weights",
    says={
        23: "Decouples the scale of activations and gradients",
        54: "The one law behind it: a scale s of the weights acts as a rate lr/s²",
    },
    told_by="a glossary",
    source="van Laarhoven 2017 (arXiv:1706.05350): effective rate η/‖w‖²; Ba et al. 2016 (arXiv:1607.06450), section 5.2",
    setting={"net": "64–32–norm–ReLU–10, no bias", "data": "200 digits, batch 50", "SGD": f"lr 0.1, {STEPS} steps", "ε": 0.0},
    differs="Exact, in float64 and with ε = 0; with ε the law holds while σ² ≫ ε.",
    experiment=experiment,
    measure="largest difference of a loss over all steps; 10·‖dW‖ at W·10 relative to ‖dW‖ at W",
    decides="confirmed, if losses and lengths are within 1e-9 with every norm, and not without one",
    rule=rule,
    picture=lambda f: Dots({k: v for k, v in f.items() if "lr" in k}, "largest difference of a loss (nats)", log=True),
    changes={
        "if LayerNorm's losses differed": {"LN: W·10, lr·100": 0.1},
        "if it held without a norm, too": {"none: W·10, lr·100": 0.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
