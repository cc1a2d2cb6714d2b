# %% [markdown]
# # 22 · A norm for a series, and one for a graph
#
# A norm is a statement about what does not matter. In a series it is the level, which drifts: but a forecast must give it
# back. In a graph it is what all nodes share: repeated averaging over neighbours leaves little else.

# %%
import numpy as np

import tinygrad_norm as tn

nn = tn.nn

# %% [markdown]
# ## RevIN: there and back
#
# Every window is normalized by its own μ and σ, and the forecast brought back by the same two. What was learned on the
# low beginning of a series that rises is then right at its high end. The last fifth is held out.

# %%
task = tn.train.task("series")
data = task.given(None)
runs = [
    tn.train.fit(task.make(norm=norm, seed=0), data.train, test=data.test, loss="mse", optimizer="adam", lr=3e-3, epochs=10, name=norm, progress=False)
    for norm in ("none", "revin")
]  # fmt: skip
for run in runs:
    print(f"{run.name:6} error {run.losses[-1]:.3f} in training, {run.running:.3f} on what came later")
print(f"{data.says}: {data.baseline:.3f}")

layer = nn.RevIN(1, dtype="float64")
window = np.random.default_rng(0).normal(5, 3, (2, 48, 1))
back = layer(layer(tn.tensor(window)), "denorm")
print("there and back:", float(np.abs(back.data - window).max()))

# %% [markdown]
# ## A graph: what averaging leaves
#
# Each layer of a graph network averages every node with its neighbours. Do it often, and all nodes are alike: the part that
# tells them apart, ‖H − mean‖/‖H‖, goes to nothing. PairNorm subtracts the mean and keeps that part as long as it was.

# %%
adjacency, _, labels = tn.data.karate_club()
a = adjacency + np.eye(34)
spread = a / a.sum(1, keepdims=True)


def apart(norm, times):
    """How much of the features tells the nodes apart, after so many averages."""
    h = tn.tensor(np.random.default_rng(1).normal(size=(34, 8)) + 1)
    for _ in range(times):
        h = norm(tn.tensor(spread) @ h)
    return float(np.linalg.norm(h.data - h.data.mean(0)) / np.linalg.norm(h.data))


found = {name: [apart(norm, n) for n in (1, 8, 32)] for name, norm in (("none", nn.Identity()), ("pair_norm", nn.PairNorm()))}
for name, shares in found.items():
    print(f"{name:9} after 1, 8 and 32 averages: {', '.join(f'{s:.1e}' for s in shares)}")

# %% [markdown]
# ## Who went with whom
#
# Two of the 34 members of the karate club have labels, the two who quarrelled. The network finds the others.

# %%
club = tn.train.task("graph")
given = club.given(None)
for norm in ("graph_norm", "pair_norm"):
    net = club.make(norm=norm, seed=0)
    run = tn.train.fit(net, given.train, test=given.test, optimizer="adam", lr=1e-2, epochs=60, name=norm, progress=False)
    print(f"{norm:10} {run.running:.1%} of the 32 others; {given.says}: {given.baseline:.0%}")
    assert run.running > given.baseline + 0.25

# %% [markdown]
# ## A sentence, put to the test
#
# "The level does not matter" was a sentence about data, and each cell above held it against an experiment. Sentences about norms can
# be treated alike: `tinygrad-norm claims` has some fifty of them, each with an experiment, a rule that judges it, and a verdict.

# %%
assert runs[1].running < runs[0].running / 2, "the level drifts away from what was learned, unless it does not matter"
assert runs[1].running < data.baseline / 2
assert np.allclose(back.data, window), "the way back is the inverse of the way in"
assert found["none"][-1] < 0.01 < 0.99 < found["pair_norm"][-1], "averaging makes all alike; PairNorm keeps them apart"
print("ok: a norm says what does not matter, and may have to give it back")
