"""The wrong line found by editing the source: loops, indices, conditions, names, and code for PyTorch."""

from __future__ import annotations

import inspect
import sys

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check.edits import edits
from tinygrad_norm.check.rewritten import sources

IMAGES = {"shape": (3, 4, 2, 5)}
WRONG = []


def wrong(norm, words, **options):
    """A backward whose wrong line ends in ``# wrong``."""

    def put(function):
        WRONG.append(pytest.param(norm, function, words, options, id=function.__name__))
        return function

    return put


def statistics(x, axis, eps):
    r = 1 / np.sqrt(x.var(axis, keepdims=True) + eps)
    return (x - x.mean(axis, keepdims=True)) * r, r


@wrong("batch_norm", "it starts at 1", **IMAGES)
def a_sample_left_out(dy, x, weight, eps):
    h, r = statistics(x, (0, 2, 3), eps)
    g = dy * weight[:, None, None]
    dw, db = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for n in range(1, x.shape[0]):  # wrong
        dw += (dy[n] * h[n]).sum((1, 2))
        db += dy[n].sum((1, 2))
    return r * (g - g.mean((0, 2, 3), keepdims=True) - h * (g * h).mean((0, 2, 3), keepdims=True)), dw, db


@wrong("rms_norm", "= where += belongs")
def overwritten_by_each_block(dy, x, weight, eps):
    r = (np.mean(x * x, -1, keepdims=True) + eps) ** -0.5
    g, h = dy * weight, x * r
    dw = np.zeros(x.shape[-1])
    for k in range(0, len(x), 2):
        dw = (dy[k : k + 2] * h[k : k + 2]).sum(0)  # wrong
    return r * (g - h * (g * h).mean(-1, keepdims=True)), dw


@wrong("layer_norm", "leaves out the rest of the division")
def the_last_block_left_out(dy, x, weight, eps):
    h, r = statistics(x, -1, eps)
    g, n = dy * weight, x.shape[-1]
    second = np.zeros((len(x), 1))
    for k in range(n // 3):  # wrong
        second = second + (g * h)[:, 3 * k : 3 * k + 3].sum(-1, keepdims=True)
    return r * (g - g.mean(-1, keepdims=True) - h * second / n), (dy * h).sum(0), dy.sum(0)


@wrong("group_norm", "[0] where [n] belongs", num_groups=2, **IMAGES)
def statistics_of_the_first_sample(dy, x, weight, num_groups, eps):
    groups = x.reshape(len(x), num_groups, -1)
    mean, rstd = groups.mean(-1), 1 / np.sqrt(groups.var(-1) + eps)
    dx, dw = np.empty_like(x), np.zeros(x.shape[1])
    for n in range(len(x)):
        h = (groups[n] - mean[0][:, None]) * rstd[0][:, None]  # wrong
        g = (dy[n] * weight[:, None, None]).reshape(num_groups, -1)
        dx[n] = (rstd[0][:, None] * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True))).reshape(x[n].shape)
        dw += (dy[n] * h.reshape(x[n].shape)).sum((1, 2))
    return dx, dw, dy.sum((0, 2, 3))


@wrong("log_softmax", "always, not only if")
def the_first_row_s_sum(dy, x):
    dx, total = np.empty_like(x), None
    for n in range(len(x)):
        p = np.exp(x[n] - np.max(x[n]))
        if total is None:
            total = dy[n].sum()  # wrong
        dx[n] = dy[n] - p / p.sum() * total
    return dx


@wrong("group_norm", "belong the other way round, and the axes with them", num_groups=2, **IMAGES)
def groups_interleaved(dy, x, weight, num_groups, eps):
    n, c, h, w = x.shape
    shape, axes = (n, c // num_groups, num_groups, h, w), (1, 3, 4)  # wrong
    hat, r = statistics(x.reshape(shape), axes, eps)
    g = (dy * weight[:, None, None]).reshape(shape)
    dx = r * (g - g.mean(axes, keepdims=True) - hat * (g * hat).mean(axes, keepdims=True))
    return dx.reshape(x.shape), (dy * hat.reshape(x.shape)).sum((0, 2, 3)), dy.sum((0, 2, 3))


@wrong("instance_norm", "repeat where tile belongs", **IMAGES)
def repeated_where_tiled(dy, x, weight, eps):
    n, c = x.shape[:2]
    h, r = statistics(x.reshape(n * c, -1), 1, eps)
    g = dy.reshape(n * c, -1) * np.repeat(weight, n)[:, None]  # wrong
    dx = r * (g - g.mean(1, keepdims=True) - h * (g * h).mean(1, keepdims=True))
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum((0, 2, 3)), dy.sum((0, 2, 3))


@pytest.mark.parametrize(("norm", "function", "words", "options"), WRONG)
@pytest.mark.costly(1)
def test_the_line_is_found(norm, function, words, options):
    lines, first = inspect.getsourcelines(function)
    at = next(first + k for k, line in enumerate(lines) if "# wrong" in line)
    repairs = tn.check(function, norm, **options).repairs
    assert repairs
    assert all(r.lines[0].number == at and words in r.lines[0].words for r in repairs), repairs


@pytest.mark.thorough
def test_code_for_tensors_gets_its_line_too():
    torch = pytest.importorskip("torch")

    def backward(grad_output, x):
        p = torch.softmax(x, 0)  # wrong
        return grad_output - p * grad_output.sum(-1, keepdim=True)

    (repair,) = tn.check(backward, "log_softmax").repairs
    assert "where −1 belongs" in repair.lines[0].words
    assert "softmax" in repair.lines[0].text


def test_a_function_is_what_it_was_after_every_edit():
    (source,) = (s for s in sources(the_first_row_s_sum) if s.function is the_first_row_s_sum)
    before, tree = the_first_row_s_sum.__code__, source.text
    x = np.random.default_rng(0).normal(size=(2, 3))
    right = the_first_row_s_sum(x, x)
    made = edits(source.tree, source.text)
    assert len(made) > 50
    for edit in made[:150]:
        try:
            with source.with_edit(edit):
                assert the_first_row_s_sum.__code__ is not before
        except (SyntaxError, ValueError):
            continue
    assert the_first_row_s_sum.__code__ is before
    assert source.text == tree
    assert np.array_equal(the_first_row_s_sum(x, x), right)


def test_what_reaches_out_is_not_edited():
    def writes(dy, x):
        with open(sys.argv[0], "a"):
            return dy

    def endless(dy, x):
        while True:
            return dy

    assert not sources(writes)
    assert not sources(endless)


class Stale:
    """Keeps the first batch's x̂."""

    def __init__(self, gamma, beta, eps=1e-5):
        self.gamma, self.beta, self.eps, self.hat = gamma, beta, eps, None

    def forward(self, x):
        self.r = 1 / np.sqrt(x.var(-1, keepdims=True) + self.eps)
        hat = (x - x.mean(-1, keepdims=True)) * self.r
        self.hat = hat if self.hat is None else self.hat
        return hat * self.gamma + self.beta

    def backward(self, dy):
        g, h = dy * self.gamma, self.hat
        self.dgamma, self.dbeta = (dy * h).sum(0), dy.sum(0)
        return self.r * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True))


def test_a_class_that_wants_its_parameters_is_made_with_them_and_asked_for_a_second_batch():
    verdict = tn.check(Stale, "layer_norm")
    assert verdict.judged
    assert not verdict.judgements["input"].ok
    assert "wrong for the next one" in verdict.judgements["input"].lines[0]
    assert verdict.judgements["bias"].ok


@pytest.mark.thorough
def test_a_root_is_never_negative():
    def backward(dy, x, weight, eps):
        h, r = statistics(x, -1, eps)
        g = dy * weight
        signs = np.where(np.arange(len(x))[:, None] % 2, -1.7, 0.6)
        return signs * r * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True)), (dy * h).sum(0), dy.sum(0)

    said = "\n".join(tn.check(backward, "layer_norm").judgements["input"].lines)
    assert "has another rstd" not in said
    assert "has another σ" not in said


def edited(function, *of, **options):
    """The words of the first line that the verdict names."""
    verdict = tn.check(function, *of, **options)
    assert not verdict.ok
    (line,) = dict.fromkeys(r.lines[0] for r in verdict.repairs)
    lines, first = inspect.getsourcelines(function)
    assert "# wrong" in lines[line.number - first] or any("# wrong" in lines[k - first] for k in line.also)
    return line.words


def back_in_another_order(dy, x, weight, eps):
    h, r = statistics(x.transpose(0, 2, 3, 1), (0, 1, 2), eps)
    d = dy.transpose(0, 2, 3, 1)
    g = d * weight
    dx = r * (g - g.mean((0, 1, 2), keepdims=True) - h * (g * h).mean((0, 1, 2), keepdims=True))
    return dx.transpose(0, 3, 2, 1), (d * h).sum((0, 1, 2)), d.sum((0, 1, 2))  # wrong


def letters_of_an_einsum(dy, x):
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    jacobian = np.eye(x.shape[1])[None] - p[:, None, :]
    return np.einsum("bij,bj->bi", jacobian, dy)  # wrong


def rest_of_a_division(dw, v, g):
    n = np.sqrt((v * v).sum(1, keepdims=True))
    dot = (dw * v).sum(1, keepdims=True)
    covered = v.shape[1] // 4 * 4  # wrong
    live = (np.arange(v.shape[1]) < covered) * 1.0
    return g / n * (dw - live * v * dot / (n * n)), dot / n


def zeros_that_fill_up(dy, x):
    pad = -x.shape[1] % 4
    wide = np.concatenate([x, np.full((len(x), pad), 0.0)], axis=1)  # wrong
    e = np.exp(wide - x.max(1, keepdims=True))
    p = (e / e.sum(1, keepdims=True))[:, : x.shape[1]]
    return p * (dy - (p * dy).sum(1, keepdims=True))


def never_set_back(dy, x, weight, eps):
    columns, dws, total = [], [], 0.0  # wrong
    for k in range(x.shape[1]):
        h, r = statistics(x[:, k], 0, eps)
        total = total + (dy[:, k] * h).sum()  # wrong
        columns.append(weight[k] * r * (dy[:, k] - dy[:, k].mean() - h * (dy[:, k] * h).mean()))
        dws.append(total)
    return np.stack(columns, 1), np.stack(dws), dy.sum(0)


def of_all_pairs(dy, p):
    inner = dy @ p.T  # wrong
    return dy * p - inner @ p


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("function", "norm", "options", "words"),
    [
        (back_in_another_order, "batch_norm", {"shape": (2, 3, 4, 4)}, "the axes in the order (0, 3, 2, 1) where (0, 3, 1, 2)"),
        (letters_of_an_einsum, "log_softmax", {}, "where 'bji,bj->bi' belongs"),
        (rest_of_a_division, "weight_norm", {}, "leaves out the rest of the division"),
        (zeros_that_fill_up, "softmax", {"shape": (4, 7)}, "0 where −inf belongs"),
        (never_set_back, "batch_norm", {"shape": (4, 8)}, "not set back to zero"),
        (of_all_pairs, "softmax", {}, "the first thing on the way to dx that the right backward does not compute"),
    ],
)
def test_more_that_people_write(function, norm, options, words):
    assert words in edited(function, norm, **options)
