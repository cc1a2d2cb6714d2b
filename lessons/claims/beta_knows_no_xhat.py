# %% [markdown]
# # β knows nothing of x̂
#
# "∂y/∂γ and ∂y/∂β are both tied to x̂." The first is x̂. The second is 1, for every x: β is added.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F = tn.functional


def experiment(seed):
    rng = np.random.default_rng(seed)
    dy, w = rng.normal(size=(8, 6)), rng.normal(size=6)

    def gradients(x):
        leaves = [tn.tensor(v, requires_grad=True) for v in (w, np.zeros(6))]
        return [g.data for g in tn.grad(F.layer_norm(tn.tensor(x), 6, *leaves), leaves, dy)]

    one, other = gradients(rng.normal(size=(8, 6))), gradients(rng.normal(size=(8, 6)))
    return {name: np.abs(a - b).max() for name, a, b in zip(("dγ", "dβ"), one, other)}


# %% [markdown]
# ## The rule
#
# The same cotangent with two inputs: what is tied to x̂ changes, what is not does not.


# %%
def rule(f):
    figure = f"another x: dγ changes by {f['dγ'].mean():.1f}, dβ by {f['dβ'].max():g}"
    if (f["dγ"] > 0.1).all() and (f["dβ"] == 0).all():
        return Verdict("corrected", figure, "∂y/∂γ = x̂ and ∂y/∂β = 1: dβ is the sum of the cotangent, whatever x is.")
    if (f["dβ"] > 0.1).all():
        return Verdict("confirmed", figure, "Both change with x.")
    return Verdict("undecided", figure, "dγ did not change either: these two inputs tell nothing.")


claim = Claim(
    title="∂y/∂γ and ∂y/∂β are both tied to x̂",
    says={5: "∂y/∂γ and ∂y/∂β are both tied to x̂"},
    told_by="an article that derives LayerNorm's backward",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 3, the last two lines of the gradients",
    setting={"x": "two random inputs of 8 samples and 6 features", "dy, γ": "random, the same for both", "dtype": "float64"},
    differs="Exact. For LayerNorm; the paper has the same two lines for BatchNorm.",
    experiment=experiment,
    measure="largest change of the gradient between the two inputs",
    decides="corrected, if dγ changes by more than 0.1 and dβ by exactly 0; confirmed, if both change",
    rule=rule,
    picture=lambda f: Dots(f, "largest change of the gradient (units of dy)"),
    changes={"if dβ changed with x": {"dβ": 1.0}, "if dγ did not": {"dγ": 0.0}},
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
