"""Recurrent networks and their cells, with PyTorch's constructors, results and state_dict; ``norm=`` normalizes inside.

What they compute, and where the normalizations stand, is in ``gates``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..engine import ShapeError, Tensor, concatenate, describe, scope
from ..engine.arguments import floating
from ..engine.functions import dropout, stack
from ..norms.arguments import choice, flag, is_analytic, number
from . import gates
from .by_name import named, norm_of
from .gates import Kind, State, Weights
from .module import Module
from .parameters import layers, real_dtype, seeded, size, zeros

_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _Recurrent(Module):
    """A module with the weights of one or more steps among its attributes, told apart by the ends of their names."""

    kind: Kind
    hidden_size: int
    bias: bool
    norm: Any

    def _begin(
        self, input_size: int, hidden_size: int, bias: bool, dtype: DTypeLike, seed: Any, norm: Any, backward: str
    ) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        self.input_size = size(name, "input_size", input_size)
        self.hidden_size = size(name, "hidden_size", hidden_size, 1)
        self.bias, self.norm, self.backward = flag(name, "bias", bias), norm, backward
        self._rng, self._dtype = seeded(name, seed), real_dtype(name, dtype)

    def _weigh(self, input_size: int, end: str = "") -> None:
        """Weights for inputs of that size, and the normalizations, under names with that end."""
        name, rows = type(self).__name__, self.kind.gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size), "weight_hh": (rows, self.hidden_size)}
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if self.bias else {}
        for what, shape in shapes.items():
            setattr(self, what + end, zeros(name, shape, self._dtype, what + end))
        if named(self.norm):
            for what, times in self.kind.norms.items():
                made = norm_of(name, self.norm, times * self.hidden_size, False, dtype=self._dtype, backward=self.backward)
                setattr(self, what + end, made)

    def reset_parameters(self) -> None:
        """PyTorch's: all uniform between ∓1/√hidden_size; normalizations as they begin. The next numbers of the generator that
        began with ``seed``."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters(recurse=False):
            p.data = self._rng.uniform(-bound, bound, p.shape).astype(p.dtype)

    def _weights(self, end: str = "") -> Weights:
        held = vars(self)
        norms = {n: held[n + end] for n in self.kind.norms if n + end in held} if named(self.norm) else {}
        w_ih, w_hh = (held[n + end] for n in _WEIGHTS[:2])
        b_ih, b_hh = (held.get(n + end) for n in _WEIGHTS[2:])
        return Weights(w_ih, w_hh, b_ih, b_hh, norms)

    def _wants(self, what: str, x: Any, shape: tuple[int | str, ...]) -> Tensor:
        """A tensor of that shape, words standing for any size."""
        t = floating(x, type(self).__name__, what)
        if t.ndim != len(shape) or any(isinstance(n, int) and n != m for n, m in zip(shape, t.shape)):
            raise ShapeError(f"{type(self).__name__}: {what} {describe(t)}; it is ({', '.join(map(str, shape))}).")
        return t

    def _given(self, state: Any) -> tuple[Any, ...]:
        """The tensors of a state; None for those that start at 0."""
        if state is None:
            return (None,) * self.kind.states
        if not isinstance(state, (tuple, list)) or len(state) != self.kind.states:
            raise ShapeError(f"{type(self).__name__}: hx {describe(state)}; it is two tensors, (h, c).")
        return tuple(state)

    def _start(self, lead: tuple[int, ...], dtype: Any) -> Tensor:
        return Tensor(np.zeros((*lead, self.hidden_size), dtype))


# Cells --------------------------------------------------------------------------------------------------------------


class _Cell(_Recurrent):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        seed: int | None = None,
        *,
        norm: Any = "none",
        backward: str = "recorded",
    ) -> None:
        self._begin(input_size, hidden_size, bias, dtype, seed, norm, backward)
        self._weigh(self.input_size)
        self.reset_parameters()

    def _step(self, input: Any, state: Any) -> State:
        x = floating(input, type(self).__name__)
        batch = ("N",) if x.ndim == 2 else ()
        x = self._wants("input", x, (*batch, self.input_size))
        lead = x.shape[:-1]
        old = tuple(
            self._start(lead, x.dtype) if s is None else self._wants(what, s, (*lead, self.hidden_size))
            for what, s in zip(("h", "c"), self._given(state))
        )
        w = self._weights()
        return self.kind.step(w, self.kind.of_input(w, x), old)


class RNNCell(_Cell):
    """h' = tanh(W_ih·x + W_hh·h + b) for x (N, input_size) or (input_size,) and h (N, hidden_size), 0 unless given.

    nonlinearity: "tanh" or "relu"; norm: a normalization of vectors by name, "layer_norm", "rms_norm", …, or a function that
    makes a module of a size.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: DTypeLike = np.float32,
        seed: int | None = None,
        *,
        norm: Any = "none",
        backward: str = "recorded",
    ) -> None:
        self.nonlinearity = choice("RNNCell", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(input_size, hidden_size, bias, dtype, seed, norm=norm, backward=backward)

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        return gates.RNN_TANH if self.nonlinearity == "tanh" else gates.RNN_RELU

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, None if hx is None else (hx,))[0]


class LSTMCell(_Cell):
    """One step of an LSTM: (x, (h, c)) -> (h', c'); see ``RNNCell`` for shapes and ``norm``."""

    kind = gates.LSTM

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, ...]:
        return self._step(input, hx)


class GRUCell(_Cell):
    """One step of a GRU: (x, h) -> h'; see ``RNNCell`` for shapes and ``norm``."""

    kind = gates.GRU

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, None if hx is None else (hx,))[0]


# Whole sequences ----------------------------------------------------------------------------------------------------


class _Layers(_Recurrent):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DTypeLike = np.float32,
        seed: int | None = None,
        *,
        norm: Any = "none",
        backward: str = "recorded",
    ) -> None:
        name = type(self).__name__
        self._begin(input_size, hidden_size, bias, dtype, seed, norm, backward)
        self.num_layers = layers(name, num_layers)
        self.batch_first = flag(name, "batch_first", batch_first)
        self.dropout = number(name, "dropout", dropout, 0, 1)
        self.bidirectional = flag(name, "bidirectional", bidirectional)
        for layer in range(self.num_layers):
            for end in self._ends(layer):
                self._weigh(self.input_size if layer == 0 else self.hidden_size * len(self._ends(0)), end)
        self.reset_parameters()

    def _ends(self, layer: int) -> tuple[str, ...]:
        return (f"_l{layer}", f"_l{layer}_reverse") if self.bidirectional else (f"_l{layer}",)

    def _run(self, input: Any, state: Any) -> tuple[Tensor, list[list[Tensor]]]:
        """The outputs, time first; and of each tensor of the state its last values, by layer and direction."""
        x = floating(input, type(self).__name__)
        times = ("N", "T") if self.batch_first else ("T", "N")
        x = self._wants("input", x, (*(times if x.ndim == 3 else ("T",)), self.input_size))
        if self.batch_first and x.ndim == 3:
            x = x.swapaxes(0, 1)
        lead, ends = x.shape[1:-1], [self._ends(layer) for layer in range(self.num_layers)]
        count = sum(map(len, ends))
        old = [
            [self._start(lead, x.dtype)] * count
            if s is None
            else list(self._wants(f"{what}_0", s, (count, *lead, self.hidden_size)))
            for what, s in zip(("h", "c"), self._given(state))
        ]
        last: list[list[Tensor]] = [[] for _ in old]
        for layer, directions in enumerate(ends):
            if layer and self.dropout:
                x = dropout(x, self.dropout, self.training)
            outputs = []
            for end in directions:
                begin = tuple(s[len(last[0])] for s in old)
                y, final = self._along(x, begin, end)
                outputs.append(y)
                for kept, s in zip(last, final):
                    kept.append(s)
            x = outputs[0] if len(outputs) == 1 else concatenate(outputs, -1)
        return x, last

    def _along(self, x: Tensor, state: State, end: str) -> tuple[Tensor, State]:
        """One layer in one direction."""
        w, back = self._weights(end), end.endswith("_reverse")
        given = self.kind.of_input(w, x)
        outputs = []
        for g in _each(given, back):
            with scope(f"step{end}"):
                state = self.kind.step(w, g, state)
            outputs.append(state[0])
        if not outputs:
            return self._start(x.shape[:-1], x.dtype), state
        return stack(outputs[::-1] if back else outputs), state

    def _result(self, input: Any, state: Any) -> tuple[Tensor, list[Tensor]]:
        y, last = self._run(input, state)
        return (y.swapaxes(0, 1) if self.batch_first and y.ndim == 3 else y), [stack(s) for s in last]


def _each(given: Tensor, back: bool) -> Any:
    steps = range(len(given))
    return (given[t] for t in (reversed(steps) if back else steps))


class RNN(_Layers):
    """x (T, N, input_size) -> the outputs (T, N, D·hidden_size) and the last state (D·layers, N, hidden_size).

    ``batch_first``: (N, T, …) in and out, but for the state; without a batch (T, input_size). D is 2 if ``bidirectional``.
    nonlinearity, norm: as for ``RNNCell``; dropout: between the layers, in training. Parameters weight_ih_l0, …, as PyTorch.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DTypeLike = np.float32,
        seed: int | None = None,
        *,
        norm: Any = "none",
        backward: str = "recorded",
    ) -> None:
        self.nonlinearity = choice("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))
        among = (input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        super().__init__(*among, dtype, seed, norm=norm, backward=backward)

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        return gates.RNN_TANH if self.nonlinearity == "tanh" else gates.RNN_RELU

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, (h,) = self._result(input, None if hx is None else (hx,))
        return y, h


class LSTM(_Layers):
    """As ``RNN``, with a state of two tensors: x, (h_0, c_0) -> outputs, (h_n, c_n)."""

    kind = gates.LSTM

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, (h, c) = self._result(input, hx)
        return y, (h, c)


class GRU(_Layers):
    """As ``RNN``."""

    kind = gates.GRU

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, (h,) = self._result(input, None if hx is None else (hx,))
        return y, h
