# %% [markdown]
# # 7 · From twenty operations to three terms
#
# Lesson 6 said: add up the four routes by hand, cancel the fourth, and three terms are left. Here is the adding up. No formula
# below was typed in: every line comes from the record, and the number to the right of it says how far it is, on random numbers,
# from the line before.

# %%
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
# write the same thing in another way. Here is what each of them does; what it then says is for you to write.

# %%
rewritten = [s for s in d.steps if s.kind == "rewrite"]
show(rewritten[:1])
for s in rewritten[1:]:
    print(f"[{s.rule}] {s.reason}")

# %% [markdown]
# ## Your line
#
# `tinygrad-norm derive layer_norm --wrt x --ask 1` shows the first line and asks for the second, `--ask 2` for the third, to the
# last; and it says which term of yours is wrong. Here is the last: rstd is in every term of the line before. Is this right?

# %%
before_last, last = rewritten[-2], rewritten[-1]
show([before_last])
yours = "rstd*(g - mean(g) + xhat*mean(g*xhat))"  # in ASCII, or as above
print(d.ask().answer(yours))
mended = "rstd*(g - mean(g) - xhat*mean(g*xhat))"
print(d.ask().answer(mended))
show([last])
(n, m), (of_n, of_m) = d.operations, d.passes
print(f"operations: {n} → {m}, of them over whole arrays: {of_n} → {of_m}, forward and gradient together")

# %% [markdown]
# ## Your formula
#
# Another form? `d.equals` *proves* that it is the same, or says by how much it differs, by a normal form in which equal formulas are
# written alike. `no_epsilon` has c²/σ² where x̂² belongs: many a test with a tolerance would let that pass.


# %%
def mean(a):
    return a.mean(dim=-1, keepdim=True)


def parts(dy, input, weight):
    c = input - mean(input)
    return c, (mean(c**2) + 1e-5).rsqrt(), dy * weight


def rearranged(dy, input, weight):
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
# It does not: D sums c/a, nearly the sign of c. No lemma is found. LayerNorm has three terms because the derivative of a *square* is c.

# %%
assert d.ok, "every line equals the one before, to rounding, and the last equals the record's gradient"
assert str(d.formula) == "dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ"
assert m < n
assert d.ask().answer(mended), "your line is the next one"
assert tried["rearranged"].proved, "another way to write it"
assert not tried["no_epsilon"], "a forgotten ε is noticed"
assert (len(d.lemmas), len(own.lemmas)) == (1, 0), "LayerNorm needs Σ(c) = 0; where no sum is known, the fourth term stays"
print("ok: seven rewritings, one fact about deviations, three terms")
