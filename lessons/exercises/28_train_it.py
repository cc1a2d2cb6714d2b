# %% [markdown]
# # 28 · Four lines that train
#
# Write one step of training, and the accuracy of a network with BatchNorm and dropout in it.
# `net.train()` and `net.eval()` switch between its two functions (exercise 25);
# `optimizer.zero_grad()`, `optimizer.step()`, `loss.backward()` you know from the lesson.

# %%
import numpy as np

import tinygrad_norm as tn


def step(net, optimizer, x, t):
    """One step on a batch; returns the loss."""
    net.train()
    loss = tn.functional.cross_entropy(net(tn.tensor(x)), t)
    # >>> yours: what is left of the step
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    # --- stub
    # loss.backward()
    # optimizer.step()
    # <<<
    return loss.item()


def accuracy(net, x, t):
    """The share of x whose largest output is at t. (The net may stay in the mode of use: ``step`` switches it.)"""
    # >>> yours: in which of its two functions, and recorded or not?
    net.eval()
    with tn.no_grad():
        return (net(tn.tensor(x)).data.argmax(-1) == t).mean()
    # --- stub
    # return (net(tn.tensor(x)).data.argmax(-1) == t).mean()
    # <<<


# === for the teacher
from tinygrad_norm.learn import Exercise, Facts, Question, Wrong

nn = tn.nn
RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(16, 6)), RNG.integers(0, 3, size=16)


def network():
    return nn.Sequential(
        nn.Linear(6, 5, seed=0, dtype="float64"),
        nn.BatchNorm1d(5, dtype="float64"),
        nn.ReLU(),
        nn.Linear(5, 3, seed=1, dtype="float64"),
    )


class Seen(nn.Module):
    """Hands on what it gets, and knows whether that was on a record."""

    recorded = False

    def forward(self, x):
        self.recorded = x.requires_grad
        return x


class Watched(tn.optim.SGD):
    """lost: a gradient was there and was forgotten before the first step."""

    lost, stepped = False, False

    def zero_grad(self, *args, **options):
        self.lost |= not self.stepped and any(p.grad is not None for group in self.param_groups for p in group["params"])
        super().zero_grad(*args, **options)

    def step(self, *args, **options):
        self.stepped = True
        return super().step(*args, **options)


def trained(one_step, count):
    net = network()
    optimizer = Watched(net.parameters(), lr=0.1)
    return net, [one_step(net, optimizer, X, T) for _ in range(count)], optimizer


def values(net):
    return np.concatenate([p.data.ravel() for p in net.parameters()])


def rule(names):
    net, losses, optimizer = trained(names["step"], 1)
    reference, truth, _ = trained(step, 1)
    yield not optimizer.lost, "zero_grad stands between backward and step: the gradients are gone before the step sees them"
    yield not np.allclose(values(net), values(network())), "nothing moved: after backward the optimizer is to take its step"
    yield np.allclose(losses, truth), "the loss: return the one of this batch, before the step"
    yield np.allclose(values(net), values(reference)), "the first step: backward first, then the optimizer's step, once each"
    net, losses, _ = trained(names["step"], 3)
    reference, truth, _ = trained(step, 3)
    yield (
        np.allclose(values(net), values(reference)),
        "the second step: gradients add up until they are forgotten, so the last batch's is still in it: zero_grad",
    )
    before = {k: np.array(v) for k, v in net.state_dict().items()}
    seen = Seen()
    said = names["accuracy"](nn.Sequential(net, seen), X, T)
    after = net.state_dict()
    yield (
        all(np.array_equal(before[k], np.asarray(after[k])) for k in before),
        "measuring has changed the network: in training mode BatchNorm's running statistics follow the test data, too. net.eval() first",
    )
    yield (
        abs(float(said) - float(accuracy(net, X, T))) < 1e-12,
        "the share: of samples whose largest output is at t, in the mode of use",
    )
    yield not seen.recorded, "measuring is recorded: without tn.no_grad() all of it is kept for a way back that nobody goes"


exercise = Exercise(
    goal="write a training loop, and say what goes wrong without each of its lines",
    lesson="a_training_loop_from_nothing",
    claims=("higher-rates", "faster-convergence"),
    minutes=12,
    judge=Facts(rule),
    hints=(
        "After two calls of backward, what is in .grad: the second gradient, or both?",
        "Way of a step: forget, backward, step. Way of measuring: into the mode of use first.",
        "Shape: zero_grad, backward, step; eval, no_grad, argmax",
        "optimizer.zero_grad() before loss.backward(); net.eval() and with tn.no_grad() in accuracy",
    ),
    wrong=(
        Wrong("", "", "gradients add up until they are forgotten"),
        Wrong("optimizer.step()", "", "nothing moved"),
        Wrong("net.eval()", "", "measuring has changed the network"),
        Wrong("    with tn.no_grad():\n        return", "    if True:\n        return", "measuring is recorded"),
        Wrong(
            "optimizer.zero_grad()\n    loss.backward()",
            "loss.backward()\n    optimizer.zero_grad()",
            "zero_grad stands between backward and step",
        ),
        Wrong("loss.backward()\n    optimizer.step()", "optimizer.step()\n    loss.backward()", "nothing moved"),
    ),
    predict=Question(
        "Without zero_grad, after 100 steps the training is like one with",
        ("a smaller step", "momentum that never fades", "no difference"),
        "momentum that never fades",
        "Every gradient there was is still in the sum.",
    ),
)
