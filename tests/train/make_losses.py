"""Writes losses.json: the losses of PyTorch's first steps on each network of ``tn.train.TASKS``, from the same weights and batches.

    python -m tests.train.make_losses

The networks are written down once more here, in PyTorch and by the papers' formulas; nothing but the numbers of the weights, their
names and the data come from the package.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import tinygrad_norm as tn

PLACE = Path(__file__).with_name("losses.json")
STEPS, BATCH = 5, 16
CASES = [(name, task.norm) for name, task in tn.train.TASKS.items()] + [(n, "none") for n in tn.train.TASKS]


def given(name, norm):
    """The network in float64, the same batches for everybody, and the task."""
    task = tn.train.task(name)
    (x, t), *_ = task.given(None)
    x = x.astype(np.float64) if x.dtype.kind == "f" else x
    t = t.astype(np.float64) if t.dtype.kind == "f" else t
    return task.make(norm=norm, seed=3, dtype="float64"), x, t, task


def forwards():
    import torch
    from torch import nn
    from torch.nn import functional as F

    def bn(x, p, i):
        return x if f"{i}.weight" not in p else F.batch_norm(x, None, None, p[f"{i}.weight"], p[f"{i}.bias"], True)

    def ln(x, p, name):
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"]) if f"{name}.weight" in p else x

    def lin(x, p, name):
        return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    def mlp(x, p, norm):
        x = x.flatten(1)
        for i in (1, 4):
            x = torch.relu(bn(lin(x, p, i), p, i + 1))
        return lin(x, p, 7)

    def cnn(x, p, norm):
        x = x[:, None]
        for i in (1, 4):
            x = torch.relu(bn(F.conv2d(x, p[f"{i}.weight"], p[f"{i}.bias"], padding=1), p, i + 1))
        return lin(F.max_pool2d(x, 2).flatten(1), p, 9)

    def cell(kind):
        def run(x, p, norm):
            w = {k.removeprefix("cells."): v for k, v in p.items() if k.startswith("cells.")}
            w_ih, w_hh, b_ih, b_hh = (w[f"{k}_l0"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            if norm == "none":
                model = getattr(nn, kind)(8, 64, batch_first=True).double()
                y, _ = torch.func.functional_call(model, w, (x,))
                return lin(y[:, -1], p, "head")
            h = c = torch.zeros(len(x), 64, dtype=torch.float64)
            for t in range(x.shape[1]):
                a, b = x[:, t] @ w_ih.T, h @ w_hh.T
                if kind == "RNN":
                    h = torch.tanh(ln(a + b, w, "norm_l0") + b_ih + b_hh)
                elif kind == "LSTM":
                    i, f, g, o = (ln(a, w, "norm_ih_l0") + b_ih + ln(b, w, "norm_hh_l0") + b_hh).chunk(4, -1)
                    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                    h = o.sigmoid() * ln(c, w, "norm_c_l0").tanh()
                else:
                    gates = ln(a[:, :128], w, "norm_ih_l0") + b_ih[:128] + ln(b[:, :128], w, "norm_hh_l0") + b_hh[:128]
                    r, z = gates.sigmoid().chunk(2, -1)
                    new = ln(a[:, 128:], w, "norm_in_l0") + b_ih[128:] + r * (ln(b[:, 128:], w, "norm_hn_l0") + b_hh[128:])
                    h = (1 - z) * new.tanh() + z * h
            return lin(h, p, "head")

        return run

    def transformer(x, p, norm):
        y = p["symbols.weight"][x] + p["places.weight"][: x.shape[1]]
        for i in range(2):
            own = {k.removeprefix(f"blocks.{i}."): v for k, v in p.items() if k.startswith(f"blocks.{i}.")}
            layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True).double()
            if norm == "none":
                layer.norm1 = layer.norm2 = nn.Identity()
            y = torch.func.functional_call(layer, own, (y,))
        return lin(ln(y, p, "norm"), p, "head").flatten(0, 1)

    def series(x, p, norm):
        if norm == "revin":
            mean, std = x.mean(1, keepdim=True), (x.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
            x = (x - mean) / std * p["norm.affine_weight"] + p["norm.affine_bias"]
        y = lin(torch.relu(lin(x.swapaxes(1, 2), p, "hidden")), p, "head").swapaxes(1, 2)
        if norm == "revin":
            y = (y - p["norm.affine_bias"]) / (p["norm.affine_weight"] + 1e-10) * std + mean
        return y

    def graph(x, p, norm):
        a = torch.tensor(tn.data.karate_club()[0]) + torch.eye(34, dtype=torch.float64)
        a = a / (a.sum(0)[:, None] * a.sum(0)).sqrt()
        h = torch.eye(34, dtype=torch.float64)
        for i in range(2):
            h = a @ h @ p[f"maps.{i}.weight"].T + p[f"maps.{i}.bias"]
            if norm == "graph_norm":
                c = h - p[f"norms.{i}.mean_scale"] * h.mean(0)
                h = p[f"norms.{i}.weight"] * c / ((c**2).mean(0) + 1e-5).sqrt() + p[f"norms.{i}.bias"]
            h = h.relu()
        return lin(a @ h, p, "head")[x]

    cells = {"rnn": cell("RNN"), "lstm": cell("LSTM"), "gru": cell("GRU")}
    return {"mlp": mlp, "cnn": cnn, **cells, "transformer": transformer, "series": series, "graph": graph}


def theirs(name, norm):
    import torch

    model, x, t, task = given(name, norm)
    p = {k: torch.tensor(v.data, requires_grad=True) for k, v in model.named_parameters()}
    mover = torch.optim.Adam(p.values(), task.lr) if task.optimizer == "adam" else torch.optim.SGD(p.values(), task.lr)
    losses, forward = [], forwards()[name]
    for i in range(STEPS):
        part = slice(i * BATCH % len(x), i * BATCH % len(x) + BATCH)
        mover.zero_grad()
        y, target = forward(torch.tensor(x[part]), p, norm), torch.tensor(t[part])
        loss = (
            torch.nn.functional.mse_loss(y, target)
            if task.loss == "mse"
            else torch.nn.functional.cross_entropy(y, target.flatten())
        )
        loss.backward()
        mover.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    PLACE.write_text(
        json.dumps({f"{name} {norm}": theirs(name, norm) for name, norm in CASES}, indent=1) + "\n", encoding="utf-8"
    )
