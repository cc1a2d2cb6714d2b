"""What is equal is proved: 242 pairs that a reader wrote down before any was tried, and every forward's own gradient."""

from __future__ import annotations

import inspect
from collections import Counter
from contextlib import suppress

import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import DerivationError, NotSymbolicError, derive
from tinygrad_norm.norms import names

from .forwards import FORWARDS
from .true_pairs import DOMAIN, PAIRS, Other

BY_ID = {p[0]: p for p in PAIRS}
PRODUCT, ITSELF = "a product of matrices in the forward has no formula over named axes", "an axis meets itself, as in x·xᵀ"
LINEAR, LESS = "F.softplus is x above 20, where they differ", "x.var(0) of a tensor divides by N − 1, of an array by N"
NOT_PROVED = {  # the answer, and why
    **dict.fromkeys(("flash-attention-dq", "attention-dq-sqrtd", "attention-scores-cos", "info-nce"), ("error", PRODUCT)),
    **dict.fromkeys(("gdn", "variance-pairs"), ("error", ITSELF)),
    **dict.fromkeys(("l2-outer-form", "softmax-jacobian"), ("not proved", ITSELF)),
    "ln-numpy-functions": ("equal under", "float(N) is a plain number, which might be compared with one"),
    **dict.fromkeys(("softplus-functional", "bce-softplus", "logcosh", "mish-paper"), ("not proved", LINEAR)),
    **dict.fromkeys(("bn-paper", "bn-caffe", "bn-renorm", "ln-pre-norm-residual"), ("not equal", LESS)),
    **dict.fromkeys(
        ("ln-sum-is-zero", "ln-cs231n-staged"), ("error", "np.zeros_like and np.ones_like are no recorded operations")
    ),
    "rms-torch-size": ("error", "x.size is NumPy's, a number"),
    "mish-aten": ("error", "there is no F.mish"),
    "l2-three-times": ("not equal", "F.normalize divides by no less than 1e-12"),
    "softmax-of-log": ("not proved", "the forward has a gradient where log x has none"),
    "pearson": ("not proved", "roots of a product of sums that may each be negative"),
}


def compared(id):
    _, inputs, forward, candidate, _ = BY_ID[id]
    lemmas = ["Σ_N(t) = 1"] if DOMAIN.get(id, {}).get("t") == "simplex" else []
    d = derive(forward, inputs=inputs, lemmas=lemmas)
    if isinstance(candidate, Other):
        return d.equals(derive(candidate.forward, inputs=inputs, lemmas=lemmas))
    by_place = dict(zip(inspect.signature(candidate).parameters, ("dy", *inputs)))
    return d.equals(candidate, {n: own for n, own in by_place.items() if n != own})


@pytest.mark.parametrize("id", BY_ID)
@pytest.mark.costly(3)
def test_a_true_pair_is_proved(id):
    kind, why = NOT_PROVED.get(id, ("proved", ""))
    if kind == "error":
        with pytest.raises((tn.TinygradNormError, TypeError, AttributeError)):
            compared(id)
        return
    verdict = compared(id)
    under = verdict.kind == "equal under" and "COND" in BY_ID[id][-1]  # which the reader gave, too
    assert verdict.kind == kind or (kind == "proved" and under), (str(verdict), why)


def test_nine_out_of_ten():
    assert len(PAIRS) == 242
    assert len(NOT_PROVED) <= len(PAIRS) // 10
    assert set(NOT_PROVED) <= set(BY_ID)
    assert max(Counter(p[0] for p in PAIRS).values()) == 1


def own(forward, of):
    """The record's own gradient, as a function."""

    def gradient(dy, **given):
        return tn.grad(forward(**given), given[of], dy, create_graph=True)[0]

    return gradient


def as_said(d, verdict):
    """Proved; or, of a forward that has other branches elsewhere, equal under what the derivation says itself."""
    return verdict.proved or (verdict.kind == "equal under" and set(verdict.assumptions) <= set(d.assumptions))


@pytest.mark.parametrize("name", FORWARDS)
@pytest.mark.costly(2)
def test_a_forwards_own_gradient_is_proved(name):
    forward, inputs = FORWARDS[name]
    for of in inputs:
        with suppress(DerivationError):  # does not depend on it
            d = derive(forward, of, inputs=inputs)
            for same in (derive(forward, of, inputs=inputs), own(forward, of)):
                assert as_said(d, d.equals(same))


@pytest.mark.parametrize("name", names())
@pytest.mark.costly(2)
def test_a_norms_own_gradient_is_proved(name):
    with suppress(NotSymbolicError):
        d = tn.derive(name)
        assert as_said(d, d.equals(tn.derive(name)))
