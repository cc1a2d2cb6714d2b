# %% [markdown]
# # 26 · What must be kept: forward beside backward
#
# Between the way forward and the way back lies everything that the way back will read. That is the memory a layer
# costs in training, and the question behind every fused kernel: what is kept, and what is computed again?

# %%
import numpy as np

import tinygrad_norm as tn

rng = np.random.default_rng(0)
x = tn.tensor(rng.normal(size=(8, 64)), requires_grad=True, name="x")
gamma = tn.tensor(rng.normal(size=64), requires_grad=True, name="γ")
beta = tn.tensor(rng.normal(size=64), requires_grad=True, name="β")
y = tn.functional.layer_norm(x, 64, gamma, beta)
graph = tn.graph(y)


def kept(g):
    """The names of what was computed and must be kept."""
    return {g.nodes[i].label for i in g.reads().cached}


print(graph.reads().note)

# %% [markdown]
# Nothing here is a table of who needs what: each operation's rule was run once on numbers that remember who looked at
# them. `rsqrt`'s rule reads its own result (−½·rstd³), `pow`'s reads its input (2c), `mean`'s reads neither: a mean does
# not care what it averaged. So μ, c², σ² and σ² + ε may be dropped as soon as they have been used.
#
# The picture is a ladder: forward down the left side, backward up the right side, and across what is read.

# %%
ladder = graph.to_svg(ladder=True, title="LayerNorm")
print(f"{len(ladder)} characters; graph.save('ladder.svg', ladder=True) keeps them, tinygrad-norm graph --ladder draws them")
ladder  # a notebook shows it

# %% [markdown]
# **Who asks decides.** x̂ is kept for γ's gradient alone. Let γ be a constant:

# %%
frozen = tn.tensor(gamma.data, name="γ")
without = tn.graph(tn.functional.layer_norm(x, 64, frozen, beta))
print("with γ's gradient:   ", sorted(kept(graph)))
print("without γ's gradient:", sorted(kept(without)))

# %% [markdown]
# **Fewer operations, less to keep.** RMSNorm takes out no mean. It reads x itself, which whoever made it keeps anyway.
# The hand-derived node keeps nothing of its own: it reads x and γ, and computes the statistics again.

# %%
rms = tn.graph(tn.functional.rms_norm(x, 64, gamma))
fused = tn.graph(tn.functional.layer_norm(x, 64, gamma, beta, backward="analytic"))
for name, g in {"LayerNorm": graph, "RMSNorm": rms, "LayerNorm, one node": fused}.items():
    n = g.reads().numbers
    print(f"{name:<20} keeps {n.kept:>5} of {n.computed:>5} computed numbers, {n.kept_bytes / 1024:.1f} KiB")

# %% [markdown]
# **The same function, another record.** What is kept depends on how the forward is written, not only on what it
# computes. Before you run the next cell: which of these two keeps less, and why?


# %%
def by_product(x):
    c = (x - x.mean(-1, keepdims=True)).named("c")
    return c * ((c * c).mean(-1, keepdims=True) + 1e-5).rsqrt().named("rstd")


def by_quotient(x):
    c = (x - x.mean(-1, keepdims=True)).named("c")
    return c / ((c * c).mean(-1, keepdims=True) + 1e-5).sqrt().named("σ")


records = {f.__name__: tn.graph(f(x).named("x̂")) for f in (by_product, by_quotient)}
for name, g in records.items():
    print(f"{name:<12}", sorted(kept(g)), g.reads().numbers.kept)

# %% [markdown]
# A product's rule reads its two operands. A quotient's rule reads the divisor and, for the divisor's own gradient, the
# quotient: −(a/b)/b. So `by_quotient` keeps x̂ besides c.
#
# Without `rsqrt`, and with no more than c and two numbers a row? A power's rule reads what it was given:


# %%
def by_power(x):
    c = (x - x.mean(-1, keepdims=True)).named("c")
    v = ((c * c).mean(-1, keepdims=True) + 1e-5).named("v")
    return c * v**-0.5


answer = tn.graph(by_power(x).named("x̂"))
print("by_power    ", sorted(kept(answer)))

# %%
assert kept(graph) == {"c", "rstd", "x̂"}, "what LayerNorm's way back reads"
assert kept(without) == {"c", "rstd"}, "without γ's gradient, nobody reads x̂"
assert kept(rms) == {"rstd", "x̂"}, "x is given"
assert kept(fused) == set(), "one node computes its statistics again"
assert kept(records["by_product"]) == {"c", "rstd"}
assert kept(records["by_quotient"]) == {"c", "σ", "x̂"}
assert answer.reads().numbers.kept <= 8 * 64 + 2 * 8, "c, and two numbers a row"
np.testing.assert_allclose(by_power(x).data, by_quotient(x).data, rtol=1e-12)
print("ok: three of nine tensors lie between forward and backward; the rest may go")
