# %% [markdown]
# # 7 · The gradient of a gradient
#
# The gradient says which way is down. It does not say how far to go. Its own gradient does: the
# *Hessian* H, whose entry (i, j) says how the slope along i changes when you move along j.
#
# Here is a valley that bends, Rosenbrock's: easy to fall into, hard to walk along.

# %%
import html
import tempfile
from pathlib import Path

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
#
# ## Its picture
#
# Darker is lower. Written by hand: an SVG is text.


# %%
def picture(paths, width=640, tall=400, cells=64):
    left, right, bottom, top = -1.6, 1.6, -3.6, 1.6

    def at(p):
        return f"{(p[0] - left) / (right - left) * width:.1f},{(top - p[1]) / (top - bottom) * tall:.1f}"

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {tall}" font-family="sans-serif" font-size="15">']
    for i, a in enumerate(np.linspace(left, right, cells)):
        for j, b in enumerate(np.linspace(top, bottom, cells)):
            shade = 90 + round(15 * np.log10(1e-1 + valley(np.array([a, b])))) * 3
            x, y = i * width / cells, j * tall / cells
            lines.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{width / cells + 0.5:.1f}" height="{tall / cells + 0.5:.1f}" fill="rgb({shade},{shade},{min(255, shade + 15)})"/>'
            )
    lines.append(f'<rect x="12" y="{tall - 72}" width="190" height="60" rx="6" fill="#2b2b33"/>')
    for row, (name, path), color in zip((1, 2), paths.items(), ("#ff6b6b", "#ffffff")):
        lines.append(f'<polyline points="{" ".join(map(at, path))}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        if len(path) < 20:
            lines += [f'<circle cx="{at(p).split(",")[0]}" cy="{at(p).split(",")[1]}" r="4" fill="{color}"/>' for p in path]
        label = html.escape(f"{name}: {len(path) - 1} steps")
        lines.append(f'<text x="24" y="{tall - 72 + 24 * row}" fill="{color}">{label}</text>')
    for word, p in (("start", start), ("bottom", (1.0, 1.0))):
        x, y = at(p).split(",")
        lines.append(f'<text x="{x}" y="{y}" dx="{10 if word == "bottom" else -50}" dy="20" fill="#2b2b33">{word}</text>')
    return "\n".join([*lines, "</svg>\n"])


with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "valley.svg"
    file.write_text(picture(paths), encoding="utf-8")
    print(
        file.name,
        file.stat().st_size // 1000,
        "kB; keep one with Path('valley.svg').write_text(picture(paths), encoding='utf-8')",
    )

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
