# %% [markdown]
# # 17 · A backward that is no gradient
#
# Lesson 16: a gradient is of a function, and somebody chooses which. PowerNorm goes one step further.

# %%
import numpy as np

import tinygrad_norm as tn

F = tn.functional
rng = np.random.default_rng(0)
x = tn.tensor(rng.normal(1.0, 2.0, size=(8, 3)), requires_grad=True, name="x")
gamma = tn.tensor(rng.normal(size=3), requires_grad=True, name="γ")
beta = tn.tensor(rng.normal(size=3), requires_grad=True, name="β")
dy = rng.normal(size=(8, 3))

# %% [markdown]
# PowerNorm divides by a *running* quadratic mean ψ. Held constant, the gradient is g/ψ. The paper publishes
#
#     dx = (g − ν·x̂)/ψ,    ν ← ν·(1 − (1 − α)·Γ) + (1 − α)·Λ,    Γ = mean(x̂²),  Λ = mean(g·x̂)
#
# ν remembers how much of the gradient lay along x̂ in *earlier* batches. No function of x has this derivative. The library
# says so, and still judges the rest:

# %%
report = tn.compare("power_norm")
print(report)

# %% [markdown]
# So what is it an approximation *of*? Of PN-V, where ψ is the batch's own and moves with x: dx = (g − x̂·Λ)/ψ. Three
# backward passes for almost the same values:

# %%
phi = (x.data**2).mean(0) * np.array([0.8, 1.0, 1.3])  # ψ²: a running mean square that is not quite this batch's
nu = np.array([0.1, -0.2, 0.05])


def gradient_of(y):
    return tn.grad(y, x, dy)[0].data


exact = gradient_of(F.power_norm_v(x, gamma, beta))
true = gradient_of(F.power_norm(x, phi, nu, gamma, beta))
published = gradient_of(F.power_norm(x, phi, nu, gamma, beta, backward="analytic"))


def off(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


print(f"published against the gradient with ψ constant: {off(published, true):.0%}")
print(f"published against PN-V's exact gradient:        {off(published, exact):.0%}")

# %% [markdown]
# Where does ν come from, if a backward pass may write nothing? Here ν is an *input*, which the values ignore, and what
# flows back to it is a pseudo-gradient: the step it should take, Λ − ν·Γ. Feed one batch again and again: ψ becomes the
# batch's own, ν becomes Λ, and the published backward becomes PN-V's exact one.

# %%
alpha, distances = 0.9, []
for step in range(1, 201):
    memory = tn.tensor(nu, requires_grad=True, name="ν")
    out = F.power_norm(x, phi, memory, gamma, beta, backward="analytic")
    published_dx, pseudo = tn.grad(out, [x, memory], dy)
    distances.append(off(published_dx.data, exact))
    nu, phi = nu + (1 - alpha) * pseudo.data, alpha * phi + (1 - alpha) * (x.data**2).mean(0)
    if step in (1, 10, 50, 200):
        print(f"batch {step:3d}: ν = {nu.round(4)}, off from PN-V by {distances[-1]:.1e}")

# %% [markdown]
# Batches differ, of course, and then it stays an approximation. `tn.nn.PowerNorm` does the bookkeeping; ν is in its
# `state_dict` but not among its `parameters`, because an optimizer would step *against* the pseudo-gradient.

# %%
layer, seen = tn.nn.PowerNorm(3, warmup_iters=0, dtype="float64"), []
for _ in range(400):
    batch = tn.tensor(rng.normal(1.0, 2.0, size=(32, 3)), requires_grad=True)
    out = layer(batch)
    out.backward(0.2 * out.data + rng.normal(size=out.shape))  # a cotangent that leans towards x̂
    seen.append(layer.state_dict()["nu"])
print("ν after 400 different batches:", seen[-1].round(3), " largest ever:", np.abs(seen).max().round(3))

# %%
assert report.ok
assert {p.gradient for p in report.pairs if p.by_design} == {"dx"}, "only dx may differ"
assert off(published, true) > 0.02, "the published backward is not the gradient"
assert off(published, exact) > 0.02, "and not PN-V's either"
assert distances[-1] < 1e-4, "but on one batch, repeated, it becomes that"
assert np.abs(seen).max() < 1, "ν stays bounded"
assert [n for n, _ in layer.named_parameters()] == ["weight", "bias"]
print("ok: published, and judged as what it is")
