# %% [markdown]
# # 16 · From twenty operations to three terms
#
# Lesson 6 said: add up the four routes by hand, cancel the fourth, and three terms are left. Here is the adding up, one
# rewriting at a time. **You are asked for each before it is shown**: stop at every question, write the next line on paper,
# then run the next cell. No formula below was typed in: every line comes from the record, and the number to the right of it
# says how far it is, on random numbers, from the line before (a definition: from what was recorded).

# %%
import numpy as np

import tinygrad_norm as tn

d = tn.derive("layer_norm")  # dx; for dγ: tn.derive("layer_norm", wrt="weight")
rewritten = [s for s in d.steps if s.kind == "rewrite"]


def show(steps):
    for s in steps:
        print(f"  {s.left + ' = ' + d.writer(s.expr):<82} {s.off:.0e}")


def ask(rule, question):
    """The line before this rule is applied, and a question."""
    k = next(k for k, s in enumerate(rewritten) if rule in s.rule)
    print(f"  dx = {d.writer(rewritten[k - 1].expr)}\n? {question}")


def answer(rule):
    """The rule, why it is allowed, and the line it leads to."""
    step = next(s for s in rewritten if rule in s.rule)
    print(f"[{step.rule}] {step.reason}")
    show([step])
    print()


# %% [markdown]
# ## The forward pass, and the chain rule at each node
#
# Σ and mean are over N, the entries of one row. Read the second block from the top: each line uses only what stands above it.
# As it stands, this *is* a backward pass, and what the engine computes.

# %%
show(s for s in d.steps if s.kind == "forward")
print()
show(s for s in d.steps if s.kind == "chain")
print(f"\nforward and gradient: {d.operations[0]} operations, {d.passes[0]} of them over whole arrays")

# %% [markdown]
# ## One line instead of six
#
# **Asked:** put each line into the next, until only dy, γ and what the forward computed are left. How many terms are there?
# One for each route from x to y (lesson 5).

# %%
for s in d.steps:
    if s.kind == "route":
        print(f"  {s.left}  {s.rule + ':':<26} {d.writer(s.expr)}")
print()
show(rewritten[:1])

# %% [markdown]
# ## Rewriting 1

# %%
ask("linear", "There is a difference inside a Σ. What may a Σ do with it?")

# %%
answer("linear")

# %% [markdown]
# Four terms: A, B, C, D.
#
# ## Rewriting 2

# %%
ask("leaves the sum", "Σ runs over the entries of a row. Of what it sums, what is one and the same number for the whole row?")

# %%
answer("leaves the sum")

# %% [markdown]
# ## Rewriting 3

# %%
ask("known", "One sum in this line has a value that you know, whatever x is. Which, and why?")

# %%
answer("known")

# %% [markdown]
# That was route D, and the only step that needs a fact; the others only write the same thing in another way. What is known of
# a sum is called a *lemma*, and a lemma is proved before it is used.
#
# ## Rewriting 4

# %%
ask("has a name", "In the last term there are three rstd and two c. What did the forward call rstd·c?")

# %%
answer("has a name")

# %% [markdown]
# ## Rewriting 5

# %%
ask("mean", "What is a sum, divided by how many there are?")

# %%
answer("mean")

# %% [markdown]
# ## Rewriting 6

# %%
ask("g for", "Is there a dy without its γ? What is the pair, seen from x̂? (The first line of the chain rule says it.)")

# %%
answer("g for")

# %% [markdown]
# ## Rewriting 7

# %%
ask("common factor", "What is in every term?")

# %%
answer("common factor")

# %% [markdown]
# ## What the algebra bought
#
# Counted are the forward and the gradient together, for the engine's record and for the formula. (`print(d)` shows all of the
# above at once, as `tinygrad-norm derive layer_norm --wrt x` does in a terminal.)

# %%
print(f"operations                 {d.operations[0]} → {d.operations[1]}")
print(f"of them over whole arrays  {d.passes[0]} → {d.passes[1]}")

# %% [markdown]
# ## Your formula
#
# You have another one on paper? `d.equals` *proves* that two formulas are the same, or says by how much they differ. Write
# yours as a function of `dy` and of the inputs by their names in PyTorch (`input`, `weight`, `bias`: those you need). It is
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


def term_missing(dy, input, weight):
    c, r, g = parts(dy, input, weight)
    return r * (g - c * r * mean(g * c * r))


def no_epsilon(dy, input, weight):
    c, r, g = parts(dy, input, weight)
    return r * (g - mean(g) - c * mean(g * c) / mean(c**2))


yours = rearranged  # change me

tried = {f.__name__: d.equals(f) for f in (rearranged, term_missing, no_epsilon, yours)}
for name, equality in tried.items():
    print(f"{name:<13} {equality}")

# %% [markdown]
# ## The same rules, other norms
#
# RMSNorm subtracts no mean: there is no c whose sum is known, one lemma fewer, one term fewer. Softmax divides by a sum instead
# of a root. No rule is new. (Algebra does not always save operations: look at softmax. It saves passes over whole arrays.)

# %%
others = {name: tn.derive(name) for name in ("layer_norm", "rms_norm", "softmax")}
rules = {name: {s.rule for s in [s for s in o.steps if s.kind == "rewrite"][1:]} for name, o in others.items()}
for name, o in others.items():
    print(f"{o.title}: {o.formula}")
    print(f"    lemmas: {len(o.lemmas)}; operations {o.operations[0]} → {o.operations[1]}; passes {o.passes[0]} → {o.passes[1]}")
    print("    rules:", ", ".join(sorted(rules[name])))

# %% [markdown]
# ## The formula as a program
#
# It needs NumPy and nothing else. Held against the engine's gradient:

# %%
source = d.numpy_source()
print(source)

program = {}
exec(source, program)
rng = np.random.default_rng(0)
dy, x, w = rng.normal(size=(4, 8)), rng.normal(2.0, 3.0, size=(4, 8)), rng.normal(size=8)
leaf = tn.tensor(x, requires_grad=True)
(truth,) = tn.grad(tn.functional.layer_norm(leaf, 8, tn.tensor(w)), leaf, dy)
gap = np.abs(program["layer_norm_dx"](dy, x, w) - truth.data).max()
print(f"max |Δ| to the record: {gap:.1e}")

# %% [markdown]
# ## Exercise: a norm nobody thought of
#
# Divide by the mean absolute deviation instead of σ, with |c| rounded off at zero so that it has a derivative. What you give a
# name with `.named()` has that name in the formula.
#
# 1. Before you run the cell: does route D, through the μ *inside* the deviation, vanish here, too?
# 2. The derivation stops where its rules end. Go on: with t = c/a, write the formula as (…)/m, and have it proved. Here is a
#    first try, with three terms as in LayerNorm.


# %%
def deviation_norm(x):
    c = (x - mean(x).named("μ")).named("c")
    a = (c**2 + 1e-5).sqrt().named("a")
    return c / mean(a).named("m")


own = tn.derive(deviation_norm, inputs={"x": ("B", "N")})  # the names of the axes; the formula holds for any sizes
print(own)


def first_try(dy, x):
    c = x - mean(x)
    a = (c**2 + 1e-5).sqrt()
    t, m = c / a, mean(a)
    return (dy - mean(dy) - t * mean(dy * c) / m) / m  # change me


print("\nfirst try:", own.equals(first_try))

# %% [markdown]
# ### Solution
#
# D does not vanish. What route D sums is no longer c but c/a, nearly the sign of c, and a row may well have more entries
# above its mean than below. No lemma is found, and the fourth term stays. LayerNorm has three terms because the derivative of
# a *square* is c itself.


# %%
def solution(dy, x):
    c = x - mean(x)
    a = (c**2 + 1e-5).sqrt()
    t, m = c / a, mean(a)
    return (dy - mean(dy) - (t - mean(t)) * mean(dy * c) / m) / m


print("solution:", own.equals(solution))

# %%
assert d.ok, "every line equals the one before, and the last equals the record's gradient"
assert all(s.off < 1e-12 for s in d.steps), "to rounding"
assert str(d.formula) == "dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ"
assert d.operations[1] < d.operations[0], "fewer operations"
assert d.passes[1] < d.passes[0], "and fewer passes over whole arrays"
assert tried[yours.__name__].proved, "yours is not the gradient"
assert not tried["term_missing"], "a missing term is noticed"
assert tried["term_missing"].off > 0.01, "it is large"
assert not tried["no_epsilon"], "and a forgotten ε is"
assert tried["no_epsilon"].off < 1e-3, "though it is small"
assert len(d.lemmas) == 1, "LayerNorm needs Σ(c) = 0"
assert len(others["rms_norm"].lemmas) == 0, "RMSNorm needs nothing"
assert rules["rms_norm"] | rules["softmax"] <= rules["layer_norm"], "no rule is new"
assert gap < 1e-12, "the program computes it"
assert own.ok, "and all of it holds for a norm of one's own"
assert len(own.lemmas) == 0, "where no sum is known"
assert own.equals(solution).proved, "and the fourth term stays"
print("ok: seven rewritings, one fact about deviations, three terms")
