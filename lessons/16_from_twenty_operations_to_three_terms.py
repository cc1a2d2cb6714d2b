# %% [markdown]
# # 16 · From twenty operations to three terms
#
# Lesson 6 said: add up the four routes by hand, cancel the fourth, and three terms are left. Here is the adding up, one
# rewriting at a time. No formula below was typed in: every line comes from the record, and the number to the right of it says how
# far it is, on random numbers, from the line before. Stop at each line and write the next one on paper first; or be asked for it,
# and told what is wrong with yours: `tinygrad-norm derive layer_norm --wrt x --ask`.

# %%
import numpy as np

import tinygrad_norm as tn

d = tn.derive("layer_norm")  # dx; for dγ: tn.derive("layer_norm", wrt="weight")


def show(steps):
    for s in steps:
        print(f"  {s.left + ' = ' + d.writer(s.expr):<82} {s.off:.0e}")


# %% [markdown]
# ## The forward pass, and the chain rule at each node
#
# Σ and mean are over N, the entries of one row. Read the second block from the top: each line uses only what stands above it.
# As it stands, this *is* a backward pass, and what the engine computes.

# %%
show(s for s in d.steps if s.kind == "forward")
print()
show(s for s in d.steps if s.kind == "chain")

# %% [markdown]
# ## One line, and seven rewritings
#
# Put each line into the next, and there is a term for each route from x to y (lesson 5). Then only one step needs a fact: that
# Σ(c) = 0, deviations from a mean. What is known of a sum is called a *lemma*, and is proved before it is used. All other steps
# write the same thing in another way.

# %%
rewritten = [s for s in d.steps if s.kind == "rewrite"]
show(rewritten[:1])
for s in rewritten[1:]:
    print(f"[{s.rule}] {s.reason}")
    show([s])

# %% [markdown]
# ## What the algebra bought
#
# Counted are the forward and the gradient together, for the engine's record and for the formula.

# %%
print(f"operations                 {d.operations[0]} → {d.operations[1]}")
print(f"of them over whole arrays  {d.passes[0]} → {d.passes[1]}")

# %% [markdown]
# ## Your formula
#
# You have another one on paper? `d.equals` *proves* that two formulas are the same, or says by how much they differ. Both are
# brought to a normal form, in which equal formulas are written alike, so that a proof needs no tolerance. `no_epsilon` has
# c²/σ² where x̂² belongs: many a test with a tolerance would let that pass.


# %%
def mean(a):
    return a.mean(dim=-1, keepdim=True)


def parts(dy, input, weight):
    c = input - mean(input)
    return c, (mean(c**2) + 1e-5).rsqrt(), dy * weight


def rearranged(dy, input, weight):
    """No rstd, no x̂, and the variance as mean(x²) − mean(x)²."""
    c, _, g = parts(dy, input, weight)
    v = mean(input**2) - mean(input) ** 2 + 1e-5
    return (g - mean(g) - c * mean(c * g) / v) / v.sqrt()


def no_epsilon(dy, input, weight):
    c, r, g = parts(dy, input, weight)
    return r * (g - mean(g) - c * mean(g * c) / mean(c**2))


tried = {f.__name__: d.equals(f) for f in (rearranged, no_epsilon)}
for name, equality in tried.items():
    print(f"{name:<13} {equality}")

# %% [markdown]
# ## A norm nobody thought of
#
# Divide by the mean absolute deviation instead of σ, with |c| rounded off at zero so that it has a derivative. Before you run the
# cell: does route D, through the μ *inside* the deviation, vanish here, too?


# %%
def deviation_norm(x):
    c = (x - mean(x).named("μ")).named("c")
    a = (c**2 + 1e-5).sqrt().named("a")
    return c / mean(a).named("m")


own = tn.derive(deviation_norm, inputs={"x": ("B", "N")})  # the names of the axes; the formula holds for any sizes
print(own.formula)

# %% [markdown]
# It does not. What route D sums is no longer c but c/a, nearly the sign of c, and a row may well have more entries above its mean
# than below. No lemma is found, and the fourth term stays. LayerNorm has three terms because the derivative of a *square* is c.

# %%
assert d.ok, "every line equals the one before, and the last equals the record's gradient"
assert all(s.off < 1e-12 for s in d.steps), "to rounding"
assert str(d.formula) == "dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ"
assert np.all(np.array(d.operations[1:] + d.passes[1:]) < [d.operations[0], d.passes[0]]), "fewer operations, and fewer passes"
assert tried["rearranged"].proved, "another way to write it"
assert not tried["no_epsilon"], "a forgotten ε is noticed"
assert tried["no_epsilon"].off < 1e-3, "though it is small"
assert (len(d.lemmas), len(own.lemmas)) == (1, 0), "LayerNorm needs Σ(c) = 0; where no sum is known, the fourth term stays"
print("ok: seven rewritings, one fact about deviations, three terms")
