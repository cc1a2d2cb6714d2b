"""Backwards as people write them: the wrong ones are rejected and the wrong term is named, the right ones are accepted."""

from __future__ import annotations

import pytest

import tinygrad_norm as tn

from .people import CASES


def _parameter(case):
    marks = [pytest.mark.xfail(strict=False, reason=case.missing)] if case.missing else []
    return pytest.param(case.norm, case, id=case.name, marks=marks)


@pytest.mark.parametrize(("norm", "case"), [_parameter(c) for c in CASES if c.words])
@pytest.mark.costly(2)
def test_the_wrong_term_is_named(norm, case):
    verdict = tn.check(case.candidate, norm, **case.options)
    assert verdict.judged, verdict.error
    assert not verdict.ok
    said = "\n".join(line for j in verdict.judgements.values() for line in j.lines)
    assert "no known mistake" not in said, said
    assert all(word in said for word in case.words), said


@pytest.mark.parametrize(("norm", "case"), [_parameter(c) for c in CASES if not c.words])
@pytest.mark.costly(6)
def test_a_right_one_is_accepted(norm, case):
    verdict = tn.check(case.candidate, norm, **case.options)
    assert verdict.ok, verdict.text()


def test_one_for_tensors_of_a_weight():
    torch = pytest.importorskip("torch")

    def for_tensors(grad_w, v, g):
        n = torch.linalg.vector_norm(v.flatten(1), dim=1).view_as(g)
        dg = (grad_w * v).flatten(1).sum(1).view_as(g) / n
        return g / n * (grad_w - v / n * dg), dg

    assert tn.check(for_tensors, "weight_norm", dim=0, shape=(4, 6)).ok


def test_names_are_unique():
    names = [c.name for c in CASES]
    assert len(set(names)) == len(names)
