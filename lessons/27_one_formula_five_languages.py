# %% [markdown]
# # 27 · One formula, five languages
#
# A derived formula is a list of lines. To run it fast is to choose in which order they go over the arrays: that choice is a
# *schedule*, and it is the same in every language. Here it is made once, and written in NumPy, C, Triton, PyTorch and JAX (and in
# Numba, which compiles it here).

# %%
import os
import time

import numpy as np

import tinygrad_norm as tn

norm = os.environ.get("NORM", "layer_norm")
k = tn.kernel(norm)
print(k.schedule)

# %% [markdown]
# ## Read it
#
# A **row** is what shares its statistics. A **pass** goes over a row once. σ² needs μ, which needs all of x: so the forward takes
# three passes, and no cleverness removes one without losing the digits of a large mean. The backward reads μ and rstd, which the
# forward saved, two numbers a row; x̂ costs less to compute again than to store and to load.
#
# γ and β are shared by all rows, so their gradients are sums over rows: they are added to, row by row.

# %%
saved = [a.letter for a in k.schedule.forward.saved]
print("saved:", ", ".join(saved) or "nothing")

# %% [markdown]
# ## The same letters
#
# NumPy, PyTorch and JAX say a line for whole arrays; C and Numba say it for one entry, inside the passes; in Triton a program
# holds a row at once.


# %%
def lines_with(text, word):
    return [
        line.strip() for line in text.splitlines() if word in line and "=" in line and not line.strip().startswith(("#", '"'))
    ]


for language in ("numpy", "torch", "jax", "triton", "c", "numba"):
    text = k.source(language)
    found = [line for line in lines_with(text, "dx") if "rstd" in line or "/" in line]
    print(f"{language:6} {len(text.splitlines()):4} lines    {found[-1] if found else ''}")

# %% [markdown]
# ## What each costs
#
# The pieces are the same; what differs is how often the arrays go through memory. NumPy makes an array of every line. A kernel
# makes one pass for several lines. (Timed with what is installed here.)

# %%
rng = np.random.default_rng(0)
x, w, b, dy = (rng.normal(size=s).astype(np.float32) for s in ((256, 512), (512,), (512,), (256, 512)))


def cost(run, times=5):
    run()
    start = time.process_time()
    for _ in range(times):
        run()
    return (time.process_time() - start) / times * 1e6


costs = {}
if norm == "layer_norm":
    leaves = [tn.tensor(a, requires_grad=True) for a in (x, w, b)]
    for backward in ("recorded", "analytic"):
        costs[backward] = cost(
            lambda how=backward: tn.grad(tn.functional.layer_norm(leaves[0], 512, *leaves[1:], backward=how), leaves, dy)
        )
    costs[f"kernel in {k.language}"] = cost(lambda: (k.forward(x, w, b), k.backward(dy, x, w, b)))
    for name, t in costs.items():
        print(f"{name:16} {t:8.0f} µs")

# %% [markdown]
# ## Is it right?
#
# The verdict does not care where a backward comes from. It judges the text that was written, from outside.

# %%
names = {}
exec(compile(k.source("numpy"), f"{norm}.py", "exec"), names)
verdict = tn.check(names[f"{norm}_backward"], norm)
print(verdict)

# %% [markdown]
# `tinygrad-norm derive layer_norm --format torch --out layer_norm.py` writes a file that needs PyTorch only, with its test.
# `F.layer_norm(x, 64, w, b, backward="compiled")` takes the kernel where Numba is installed; its rules stay the formula, so that
# every order of derivative is right.
#
# **Try:** `NORM=softmax`, `NORM=batch_norm`. Which axis lies closest in memory, and what does the schedule make of it?

# %%
assert verdict.ok
print("ok: one formula, and it says the same in every language")
