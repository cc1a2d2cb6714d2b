# %% [markdown]
# # 24 · Two answers that share an ancestor
#
# Lesson 23 made Jv out of the pullbacks. So there are two codes, forward and backward, and ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ for every u and v: the
# same number, read from two ends. Engineers check such codes against each other so. Does it find a wrong pullback here? (An *oracle* knows
# the answer by other means: from values alone.)

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.check import adjoint_test
from tinygrad_norm.engine import Op

x = np.random.default_rng(0).normal(size=(2, 4))


def f(x):
    return tn.functional.layer_norm(x, 4).tanh()


right = adjoint_test(f, x)
doubled = Op("doubled", "wrong({0})", np.tanh, (lambda g, out, x: 2 * g * (1 - out**2),))
bent = Op("bent", "wrong({0})", np.tanh, (lambda g, out, x: g * g * (1 - out**2),))
for name, function in {"f": f, "slope doubled": doubled, "not linear in g": bent}.items():
    adjoint, oracles = adjoint_test(function, x), tn.check_grads(function, x, order=1)
    print(
        f"{name:<16} adjoint test: {'passes' if adjoint.ok else 'FAILS':<8} outside oracles: {'agree' if oracles.ok else 'DISAGREE'}"
    )

# %% [markdown]
# It cannot: our Jv is *made of* the pullbacks, so a doubled slope is doubled at both ends. What it does find
# is a pullback that is not linear, on which the whole trick rests. Two answers that share an ancestor
# prove little when they agree. That is why `tn.check_grads` asks oracles that know values only.

# %%
assert right.ok
assert adjoint_test(doubled, x).ok, "the adjoint test cannot see a wrong slope"
assert not adjoint_test(bent, x).ok, "but it sees what is not linear"
assert not tn.check_grads(doubled, x, order=1).ok, "an oracle that knows values only sees it"
print("ok: agreement is worth what the two do not share")
