# %% [markdown]
# # 19 · BatchNorm in a CNN, in training and in inference
#
# The textbook's network: convolution, BatchNorm, ReLU, twice; pool; linear. With the same weights, batches and rate, once
# with BatchNorm and once without.

# %%
import numpy as np

import tinygrad_norm as tn

train, test = (tn.data.digits(part, dtype="float32") for part in ("train", "test"))
how = {"lr": 0.1, "batch": 32, "epochs": 2, "test": test, "progress": False}
runs, nets = {}, {}
for norm in ("batch_norm", "none"):
    nets[norm] = tn.train.cnn(norm, seed=0, backward="analytic")
    runs[norm] = tn.train.fit(nets[norm], train, name=norm, **how)
print(tn.train.overview(list(runs.values())))
print()
print(tn.train.curves(list(runs.values()), rows=8))

# %% [markdown]
# ## Where the gradient is
#
# At the first step every layer without BatchNorm gets about a tenth of the gradient that it gets with it, the last as well as the
# first. (From the last to the first it shrinks alike in both.) So with the same rate the net without it moves a tenth as far.

# %%
for norm, run in runs.items():
    lengths = {k: v for k, v in run.first.items() if "Conv2d" in k or "Linear" in k}
    print(f"{norm:10}", "   ".join(f"{k} {v:.3f}" for k, v in lengths.items()))

# %% [markdown]
# ## A constant in front of BatchNorm
#
# μ is subtracted, so the convolution's bias changes nothing, and its gradient is zero: BatchNorm brings a β of its own.

# %%
net = nets["batch_norm"].train()
tn.functional.cross_entropy(net(tn.tensor(train[0][:32])), train[1][:32]).backward()
bias, weight = (float(np.abs(p.grad.data).max()) for p in (net[1].bias, net[1].weight))
print(f"largest gradient of the first convolution: of a weight {weight:.1e}, of a bias {bias:.1e}")

# %% [markdown]
# ## Inference is another function
#
# In training each batch is measured by itself; in inference, by running statistics of what was seen in training. On images
# like those both give the same. On images at a quarter of the brightness the batch's statistics take the change back, and the
# running ones, made for others, do not: the same weights, and two functions.

# %%
images, labels = test
measured = {}
for brightness in (1.0, 0.25):
    dimmed = np.float32(brightness) * images
    for statistics in ("running", "batch"):
        measured[brightness, statistics] = tn.train.score(net, (dimmed, labels), "accuracy", 32, statistics)
    print(
        f"brightness {brightness:<4g}  running {measured[brightness, 'running']:.1%}   batch {measured[brightness, 'batch']:.1%}"
    )

# %%
first = {norm: run.first["1 Conv2d"] for norm, run in runs.items()}
assert runs["batch_norm"].running > runs["none"].running + 0.04, "the same net, the same rate, two epochs"
assert first["batch_norm"] > 5 * first["none"], "the first layer hears more of the loss"
last = {norm: run.first["9 Linear"] for norm, run in runs.items()}
assert last["batch_norm"] > 5 * last["none"], "and so does the last"
assert bias < 1e-4 * weight, "a constant in front of BatchNorm is subtracted again"
assert abs(measured[1.0, "batch"] - measured[1.0, "running"]) < 0.03, "images like those of training"
assert measured[0.25, "batch"] > 0.85, "the batch's statistics take the change back"
assert measured[0.25, "running"] < measured[0.25, "batch"] - 0.1, "the running ones do not know of it"
print("ok: all layers hear more of the loss, and inference is another function")
