# %% [markdown]
# # 25 · The gradient of a gradient
#
# The gradient says which way is down. It does not say how far to go. Its own gradient does: the
# *Hessian* H, whose entry (i, j) says how the slope along i changes when you move along j.
#
# Here is a valley that bends, Rosenbrock's: easy to fall into, hard to walk along.

# %%

import numpy as np

import tinygrad_norm as tn


def valley(p):
    a, b = p[0], p[1]
    return (1 - a) ** 2 + 100 * (b - a**2) ** 2


start = np.array([-1.2, 1.0])
height, pullback = tn.vjp(valley, start)
(slope,) = pullback(1.0)
bend = tn.hessian(valley, start)
print("height", height.item(), " slope", slope.data)
print(bend.data)

# %% [markdown]
# Where did H come from? The backward pass of `valley` was itself recorded, and differentiated: once for
# each entry of the gradient. No rule for second derivatives exists anywhere in this library.
#
# ## When H is too big to write down
#
# A model with a million parameters has a Hessian of a million million entries. But H times *one*
# vector v is cheap, because ⟨∇f, v⟩ is a plain number, and its gradient is Hv:

# %%
v = np.array([0.6, -0.8])
_, hv = tn.hvp(valley, start, v)
print("H @ v :", bend.data @ v)
print("hvp   :", hv.data)

# %% [markdown]
# ## Newton's step
#
# Near p the function is almost the parabola with that slope s and that bend H. Its lowest point is
# at p − H⁻¹s. So go there. Plain descent can only go some small way along −s.


# %%
def newton(p):
    (s,) = tn.vjp(valley, p)[1](1.0)
    return p - np.linalg.solve(tn.hessian(valley, p).data, s.data)


def descent(p, rate=1e-3):
    (s,) = tn.vjp(valley, p)[1](1.0)
    return p - rate * s.data


def walk(step, steps):
    path = [start]
    for _ in range(steps):
        path.append(step(path[-1]))
    return np.array(path)


def heights(path):
    return [valley(tn.tensor(p)).item() for p in path]


paths = {"Newton": walk(newton, 6), "descent": walk(descent, 2000)}
for name, path in paths.items():
    print(f"{name:<8} {len(path) - 1:>5} steps, ends at {path[-1].round(4)}, height {heights(path)[-1]:.1e}")
print("Newton, step by step:", "  ".join(f"{h:.1e}" for h in heights(paths["Newton"])))

# %% [markdown]
# The second step goes *up*: the parabola was a bad likeness there. Then the number of right digits
# doubles with each step. (Far from the bottom H may even bend downwards, and Newton would walk to a
# saddle. People who use it check.)

# %% [markdown]
# ## What LayerNorm's Hessian knows
#
# Adding one number to every entry of a row does not change y. So it changes no gradient either: along
# that direction the Hessian of *any* loss behind a LayerNorm is zero. One `hvp` shows it.

# %%
rng = np.random.default_rng(0)
x, dy = rng.normal(size=8), rng.normal(size=8)


def loss(x):
    return (tn.functional.layer_norm(x, 8) ** 3 * dy).sum()


_, along_ones = tn.hvp(loss, x, np.ones(8))
_, along_random = tn.hvp(loss, x, rng.normal(size=8))
print(f"‖H·1‖ = {np.linalg.norm(along_ones.data):.1e}   ‖H·random‖ = {np.linalg.norm(along_random.data):.1e}")
print(tn.check_grads(loss, x, order=2))

# %%
closed = [[2 - 400 * (start[1] - 3 * start[0] ** 2), -400 * start[0]], [-400 * start[0], 200.0]]
assert np.allclose(bend.data, closed, rtol=1e-14), "the Hessian is the one on paper"
assert np.allclose(hv.data, bend.data @ v, rtol=1e-12), "hvp is H·v without H"
assert np.allclose(paths["Newton"][-1], 1, atol=1e-6), "Newton is at the bottom after six steps"
assert heights(paths["Newton"])[2] > heights(paths["Newton"])[1], "having gone up once"
assert heights(paths["descent"])[-1] > 1e-3, "descent is not there after two thousand"
assert np.linalg.norm(along_ones.data) < 1e-10 < 1e-2 < np.linalg.norm(along_random.data), "no curvature along ones"
assert tn.check_grads(loss, x).ok, "and outside oracles agree, up to the third order"
print("ok: the slope of the slope says how far")
