# %% [markdown]
# # O(n), unlike BatchNorm?
#
# Count the numbers that a forward and a backward pass compute, on the record. With twice the features it is twice as many, for
# LayerNorm and for BatchNorm.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

F = tn.functional
SIZES = (64, 128, 256, 512)
NORMS = {"LN": lambda x, n: F.layer_norm(x, n), "BN": lambda x, n: F.batch_norm(x, None, None, training=True)}


def experiment(seed):
    found = {}
    for name, norm in NORMS.items():
        for n in SIZES:
            x, dy = (tn.tensor(np.random.default_rng(seed).normal(size=(16, n)), requires_grad=True) for _ in "xy")
            (dx,) = tn.grad(norm(x, n), x, dy, create_graph=True)
            found[f"{name}, n = {n}"] = sum(np.prod(node.shape) for node in tn.graph(dx).nodes if node.op is not None)
    return found


# %% [markdown]
# ## The rule
#
# Linear is what at most doubles when n does (within 5 %, as what does not depend on n is counted, too).


# %%
def rule(f):
    ratio = {k: np.array([f[f"{k}, n = {2 * n}"] / f[f"{k}, n = {n}"] for n in SIZES[:-1]]) for k in NORMS}
    linear = {k: bool((r <= 2.1).all()) for k, r in ratio.items()}
    figure = f"twice the features: LN ×{ratio['LN'].max():.2f}, BN ×{ratio['BN'].max():.2f} numbers to compute"
    if linear["LN"] and linear["BN"]:
        return Verdict("corrected", figure, "O(n), and so is BatchNorm: the same numbers are added up along another axis.")
    if linear["LN"]:
        return Verdict("confirmed", figure, "LayerNorm is linear and BatchNorm is not.")
    return Verdict("refuted here", figure, "LayerNorm is not linear.")


claim = Claim(
    title="LayerNorm is O(n), unlike BatchNorm",
    says={39: "Layer Normalization costs O(n), unlike Batch Normalization"},
    told_by="an encyclopedia",
    source="Ba et al. 2016 (arXiv:1607.06450), eqs. 2 and 3: both are sums over the batch, or over the layer",
    setting={"x": "(16, n), float64", "n": SIZES},
    differs="Exact: a count. How long it takes also depends on the order in memory.",
    experiment=experiment,
    measure="numbers computed in forward and backward, over all recorded operations",
    decides="corrected, if neither grows by more than 2.1 when n doubles; confirmed, if only LayerNorm does not",
    rule=rule,
    picture=lambda f: Lines(
        {k: {n: f[f"{k}, n = {n}"] for n in SIZES} for k in NORMS}, "features n (16 samples)", "numbers computed", log=True
    ),
    changes={"if BatchNorm's cost grew as n²": {"BN, n = 512": 4e6}, "if LayerNorm's did": {"LN, n = 512": 4e6}},
    seeds=2,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
