"""Whatever the norm, its options, the shape, the dtype and the signature: the record's own gradient is right, and the same with one
entry off by 100 times what rounding explains is not."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.norms import draw, get, names

DTYPES = ("float64", "float32")


@pytest.fixture(autouse=True)
def unexplained(monkeypatch):
    """Whether it is right is asked here; what a wrong one is called, elsewhere."""
    monkeypatch.setattr("tinygrad_norm.check.explanations.EXPLANATIONS", ())


def of_the_record(norm, dy, inputs, options):
    """By input, in the dtype they come in."""
    leaves = {n: tn.tensor(a, requires_grad=a.dtype.kind == "f") for n, a in inputs.items()}
    y = norm.apply(leaves, backward="recorded", **options)
    learned = {n: t for n, t in leaves.items() if t.requires_grad}
    found = tn.grad(y, list(learned.values()), dy, allow_unused=True)
    return {n: np.zeros_like(t.numpy()) if g is None else g.numpy().copy() for (n, t), g in zip(learned.items(), found)}


def ways(norm, options, answer):
    """The same backward in every signature that any norm's inputs can be given in."""

    def inputs_of(arrays):
        wanted = ("input", *norm.parameters(arrays[0].shape, **options))
        return dict(zip(wanted, arrays))

    def by_name(given):
        return {n: given[n] for n in ("input", *norm.parameters(given["input"].shape, **options))}

    def positional(dy, *arrays):
        inputs = inputs_of(arrays)
        found = answer(dy, inputs)
        return tuple(found.get(n) for n in inputs)

    def stepwise(dy, **given):
        yield from ((f"d_{n}", g) for n, g in answer(dy, by_name(given)).items())

    def forward(**given):
        inputs = by_name(given)
        y = norm.apply({n: tn.tensor(a) for n, a in inputs.items()}, backward="recorded", **options)
        return y.numpy(), inputs

    def in_order(inputs, found):
        return tuple(found.get(n) for n in inputs)

    yield "positional", positional, {}
    yield "keywords", lambda dy, **given: list(in_order(by_name(given), answer(dy, by_name(given)))), {}
    yield "cache", lambda dout, cache: in_order(by_name(cache), answer(dout, by_name(cache))), {}
    yield "dict", lambda dy, **given: {f"d_{n}": g for n, g in answer(dy, by_name(given)).items()}, {}
    yield "steps", stepwise, {}
    yield "forward", lambda dout, cache: in_order(cache, answer(dout, cache)), {"forward": forward}


def drawn(norm, rng):
    """Options as one of the norm's samples has them, and a shape, at random where the norm takes it."""
    sample = dict(([{}, *norm.samples])[rng.integers(len(norm.samples) + 1)])
    usual = sample.pop("shape", norm.shape)
    options = {**norm.options, **sample}
    groups = options.get("num_groups", 1)
    sizes = rng.integers(2, 6, size=len(usual)).tolist()
    return options, tuple(n * groups if k == 1 else n for k, n in enumerate(sizes)), usual


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", names())
def test_right_in_every_signature_and_wrong_by_one_entry(name, dtype):
    norm = get(name)
    holds(norm, np.random.default_rng([names().index(name), DTYPES.index(dtype)]), dtype)


@pytest.mark.parametrize("name", ["layer_norm", "softmax"])
def test_right_and_wrong_by_one_entry_of_two_of_them(name):
    holds(get(name), np.random.default_rng(0), "float32")


def holds(norm, rng, dtype):
    options, shape, usual = drawn(norm, rng)
    spoiled = {}

    def answer(dy, inputs):
        found = of_the_record(norm, dy, inputs, options)
        if spoiled and inputs["input"].shape == shape and inputs["input"].dtype == dtype:
            g = found[spoiled["name"]]
            g.reshape(-1)[spoiled["at"] % g.size] += spoiled["by"]
        return found

    every = list(ways(norm, options, answer))
    asked = {**options, "dtype": dtype}
    try:
        wanted = {"input": shape, **norm.parameters(shape, **options)}
        of_the_record(norm, np.ones(()), {n: draw(norm, n, rng, s) for n, s in wanted.items()}, options)
    except (tn.TinygradNormError, ValueError, IndexError) as error:  # not every norm takes every shape
        shape = shape if "cotangent" in str(error) else usual
    for k in rng.permutation(len(every))[:1]:
        way, candidate, more = every[k]
        spoiled.clear()
        verdict = tn.check(candidate, norm, shape=shape, **more, **asked)
        assert verdict.ok, f"{way}, {shape}, {options}: {verdict}"
        learned = [n for n in verdict.judgements if n != "output" and verdict.judgements[n].allowed > 0]
        chosen = learned[rng.integers(len(learned))]
        spoiled.update(name=chosen, at=int(rng.integers(1000)), by=100 * verdict.judgements[chosen].allowed)
        wrong = tn.check(candidate, norm, shape=shape, **more, **asked)
        assert not wrong.judgements[chosen].ok, f"{way}, {shape}, {options}, {chosen}: {wrong}"
