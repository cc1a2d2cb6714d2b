"""LayerNorm and RMSNorm as fused Triton kernels, right and with one mistake each, beside the same in NumPy.

Without a GPU they run in Triton's interpreter, which has to be asked for before Triton is imported.
"""

from __future__ import annotations

import os

import numpy as np
import torch

GPU = torch.cuda.is_available()
if not GPU:
    os.environ["TRITON_INTERPRET"] = "1"

import triton  # noqa: E402
import triton.language as tl  # noqa: E402

MISTAKES = ("the block's size for N", "no variance term", "γ forgotten", "dγ of x")
RIGHT = -1


@triton.jit
def forward_kernel(X, Y, W, B, MEAN, RSTD, n, eps, CENTRED: tl.constexpr, BLOCK: tl.constexpr):
    row, cols = tl.program_id(0), tl.arange(0, BLOCK)
    inside = cols < n
    x = tl.load(X + row * n + cols, mask=inside, other=0.0).to(tl.float32)
    mean = tl.sum(x, axis=0) / n if CENTRED else 0.0
    c = tl.where(inside, x - mean, 0.0)
    rstd = 1 / tl.sqrt(tl.sum(c * c, axis=0) / n + eps)
    y = c * rstd * tl.load(W + cols, mask=inside, other=0.0).to(tl.float32)
    if CENTRED:
        y += tl.load(B + cols, mask=inside, other=0.0).to(tl.float32)
        tl.store(MEAN + row, mean)
    tl.store(RSTD + row, rstd)
    tl.store(Y + row * n + cols, y, mask=inside)


@triton.jit
def backward_kernel(DX, DW, DY, X, W, MEAN, RSTD, n, CENTRED: tl.constexpr, MISTAKE: tl.constexpr, BLOCK: tl.constexpr):
    row, cols = tl.program_id(0), tl.arange(0, BLOCK)
    inside, at = cols < n, row * n + cols
    x = tl.load(X + at, mask=inside, other=0.0).to(tl.float32)
    dy = tl.load(DY + at, mask=inside, other=0.0).to(tl.float32)
    w = tl.load(W + cols, mask=inside, other=0.0).to(tl.float32)
    rstd = tl.load(RSTD + row)
    mean = tl.load(MEAN + row) if CENTRED else 0.0
    h = tl.where(inside, (x - mean) * rstd, 0.0)
    g = dy if MISTAKE == 2 else dy * w
    count = BLOCK if MISTAKE == 0 else n
    dx = g
    if CENTRED:
        dx -= tl.sum(g, axis=0) / count
    if MISTAKE != 1:
        dx -= h * tl.sum(g * h, axis=0) / count
    tl.store(DX + at, dx * rstd, mask=inside)
    tl.store(DW + at, dy * (x if MISTAKE == 3 else h), mask=inside)


def fused(centred, mistake=RIGHT):
    """As a ``torch.autograd.Function``; ``mistake``: an index of ``MISTAKES``."""

    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input, weight, bias=None, eps=1e-5):
            x, n = input.contiguous(), input.shape[-1]
            rows = x.numel() // n
            y, mean, rstd = torch.empty_like(x), *(torch.empty(rows, dtype=torch.float32, device=x.device) for _ in range(2))
            ctx.block = triton.next_power_of_2(n)
            forward_kernel[(rows,)](x, y, weight, weight if bias is None else bias, mean, rstd, n, eps, centred, ctx.block)
            ctx.save_for_backward(x, weight, mean, rstd)
            return y

        @staticmethod
        def backward(ctx, dy):
            x, weight, mean, rstd = ctx.saved_tensors
            n, dy = x.shape[-1], dy.contiguous()
            dx, dw = torch.empty_like(x), torch.empty_like(x)
            backward_kernel[(x.numel() // n,)](dx, dw, dy, x, weight, mean, rstd, n, centred, mistake, ctx.block)
            return dx, dw.reshape(-1, n).sum(0), dy.reshape(-1, n).sum(0) if centred else None, None

    return Fused


def in_numpy(centred, mistake=RIGHT):
    """The same, over arrays."""

    def backward(dy, x, weight, eps):
        n = x.shape[-1]
        mean = x.mean(-1, keepdims=True) if centred else 0.0
        r = 1 / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps)
        h, g = (x - mean) * r, dy if mistake == 2 else dy * weight
        count = 1 << (n - 1).bit_length() if mistake == 0 else n
        dx = g - g.sum(-1, keepdims=True) / count if centred else g
        if mistake != 1:
            dx = dx - h * (g * h).sum(-1, keepdims=True) / count
        rows = tuple(range(x.ndim - 1))
        found = dx * r, (dy * (x if mistake == 3 else h)).sum(rows)
        return (*found, dy.sum(rows)) if centred else found

    return backward
