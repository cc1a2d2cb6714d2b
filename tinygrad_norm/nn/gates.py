"""One step of a recurrent network, as functions of its weights; plain as in PyTorch, or normalized as in Ba, Kiros, Hinton 2016.

    RNN     h' = tanh(N(W_ih·x + W_hh·h) + b)                                            eq. 4
    LSTM    i, f, g, o = N(W_ih·x) + N(W_hh·h) + b                                        supplement, eqs. 20 to 22
            c' = σ(f)·c + σ(i)·tanh(g)        h' = σ(o)·tanh(N(c'))
    GRU     r, z = σ(N(W_ih·x) + N(W_hh·h) + b)                                           supplement, eqs. 23 to 25
            n = tanh(N(W_in·x) + b + r·(N(W_hn·h) + b))        h' = (1 − z)·n + z·h

N is one normalization over all the rows that stand together (an LSTM's four gates), each with a γ and a β of its own; without it
what remains is PyTorch's. The two biases b_ih and b_hh are PyTorch's. GRU's z weighs the old state, as in PyTorch; the
paper's weighs the new.

What does not depend on the state, N(W_ih·x) + b, is computed for all steps at once.

Source: Ba, Kiros, Hinton 2016, "Layer Normalization" (arXiv:1607.06450). LSTM: Hochreiter, Schmidhuber 1997. GRU: Cho et al.
2014 (arXiv:1406.1078), in the form of torch.nn.GRU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..engine import Tensor, concatenate
from ..engine.functions import linear, relu, sigmoid, tanh
from .module import Module

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class Weights:
    """What one layer has in one direction: weight_ih (k·H, input), weight_hh (k·H, H), bias_ih and bias_hh (k·H,) or None, k
    gates; and its normalizations by name, none or all."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    norms: Mapping[str, Module]

    def of_input(self, x: Tensor) -> Tensor:
        return self._sum("norm_ih", x, self.weight_ih, self.bias_ih)

    def of_state(self, h: Tensor) -> Tensor:
        return self._sum("norm_hh", h, self.weight_hh, self.bias_hh)

    def _sum(self, norm: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """N(W·x) + b."""
        if norm not in self.norms:
            return linear(x, weight, bias)
        y: Tensor = self.norms[norm](linear(x, weight))
        return y if bias is None else y + bias


@dataclass(frozen=True)
class Kind:
    """A way to step.

    gates:     how many rows of weights there are for each entry of the state
    states:    how many tensors are handed on; the first is the output
    norms:     by name, for how many entries each stands, in states' sizes
    of_input:  what x adds, (weights, x) -> tensor, for one step or all
    step:      (weights, that, the old state) -> the new state
    """

    gates: int
    states: int
    norms: Mapping[str, int]
    of_input: Callable[[Weights, Tensor], Tensor]
    step: Callable[[Weights, Tensor, State], State]


def _plain(activation: Callable[[Tensor], Tensor]) -> Kind:
    def of_input(w: Weights, x: Tensor) -> Tensor:
        return linear(x, w.weight_ih, None if w.norms else w.bias_ih)

    def step(w: Weights, given: Tensor, state: State) -> State:
        (h,) = state
        if not w.norms:
            return (activation(given + linear(h, w.weight_hh, w.bias_hh)),)
        a: Tensor = w.norms["norm"](given + linear(h, w.weight_hh))
        return (activation(a if w.bias_ih is None or w.bias_hh is None else a + w.bias_ih + w.bias_hh),)

    return Kind(1, 1, {"norm": 1}, of_input, step)


def _lstm(w: Weights, given: Tensor, state: State) -> State:
    h, c = state
    n = h.shape[-1]
    a = given + w.of_state(h)
    i_and_f, out = sigmoid(a[..., : 2 * n]), sigmoid(a[..., 3 * n :])
    c = i_and_f[..., n:] * c + i_and_f[..., :n] * tanh(a[..., 2 * n : 3 * n])
    return out * tanh(w.norms["norm_c"](c) if w.norms else c), c


def _gru_parts(w: Weights, x: Tensor, weight: Tensor, bias: Tensor | None, which: str) -> tuple[Tensor, Tensor]:
    """What x adds to r and z, and to the new state."""
    n = 2 * w.weight_hh.shape[1]
    a = linear(x, weight, None if w.norms else bias)
    gates, new = a[..., :n], a[..., n:]
    if w.norms:
        gates, new = w.norms[f"norm_{which}h"](gates), w.norms[f"norm_{which}n"](new)
        if bias is not None:
            gates, new = gates + bias[:n], new + bias[n:]
    return gates, new


def _gru_input(w: Weights, x: Tensor) -> Tensor:
    return concatenate(_gru_parts(w, x, w.weight_ih, w.bias_ih, "i"), -1) if w.norms else w.of_input(x)


def _gru(w: Weights, given: Tensor, state: State) -> State:
    (h,) = state
    n = h.shape[-1]
    gates, new = _gru_parts(w, h, w.weight_hh, w.bias_hh, "h")
    r_and_z = sigmoid(given[..., : 2 * n] + gates)
    candidate = tanh(given[..., 2 * n :] + r_and_z[..., :n] * new)
    return (candidate + r_and_z[..., n:] * (h - candidate),)


RNN_TANH, RNN_RELU = _plain(tanh), _plain(relu)
LSTM = Kind(4, 2, {"norm_ih": 4, "norm_hh": 4, "norm_c": 1}, Weights.of_input, _lstm)
GRU = Kind(3, 1, {"norm_ih": 2, "norm_in": 1, "norm_hh": 2, "norm_hn": 1}, _gru_input, _gru)
