"""Relatives laid over each other."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive.recording import recorder
from tinygrad_norm.engine import GradientError
from tinygrad_norm.graph import Graph, graph
from tinygrad_norm.graph.aligned import Family
from tinygrad_norm.norms import get, names

from ..draw.samples import leaf, nested_branches, residual, square


@cache
def record(name):
    return Graph(recorder(name, None, get(name).shape, "recorded", 0, {}, ())().output)


def labels(family, ids):
    return {family.nodes[i].label for i in ids}


def check(family):
    """Every node has a place of its own, every edge is drawn once and leads where it should, sources come first."""
    assert all(e.source < e.target for e in family.edges)
    assert [n.id for n in family.nodes] == list(range(len(family.nodes)))
    for m in family.members:
        assert sorted(m.place) == [n.id for n in m.graph.nodes]
        assert len(set(m.place.values())) == len(m.place)
        drawn = [mine for mine in m.lines.values() if mine is not None]
        assert sorted(drawn) == list(range(len(m.graph.edges)))
        assert not m.passed & set(m.place.values())
        for k, mine in m.lines.items():
            if mine is None:
                assert family.edges[k].target in m.passed
                continue
            own, at = m.graph.edges[mine], family.edges[k].source
            assert m.place[own.target] == family.edges[k].target
            while at != m.place[own.source]:  # back through what it lacks
                assert at in m.passed
                (at,) = {family.edges[i].source for i in m.lines if family.edges[i].target == at}


def test_what_rms_norm_lacks():
    family = Family({"LayerNorm": record("layer_norm"), "RMSNorm": record("rms_norm"), "BatchNorm": record("batch_norm")})
    check(family)
    assert len(family.nodes) == len(record("layer_norm").nodes)
    layer, rms, batch = family.members
    every = set(range(len(family.nodes)))
    assert labels(family, every - set(rms.place.values())) == {"β", "μ", "c", "y"}
    assert labels(family, rms.passed) == {"c"}
    assert not layer.passed | batch.passed
    assert set(layer.lines) == set(batch.lines) == set(range(len(family.edges)))
    pairs = {rms.graph.nodes[i].label: family.nodes[at].label for i, at in rms.place.items()}
    assert pairs == {
        "x": "x", "γ": "γ", "x²": "c²", "ms": "σ²", "t4": "σ² + 1e-05", "rstd": "rstd", "x̂": "x̂", "y": "x̂·γ",
    }  # fmt: skip


def test_statistics_held_constant_stand_where_they_are_computed():
    family = Family({"LayerNorm": record("layer_norm"), "DetachNorm": record("detach_norm")})
    check(family)
    held = family.members[1]
    assert {held.graph.nodes[i].label: family.nodes[at].label for i, at in held.place.items()}["μ"] == "μ"
    lines = {(family.nodes[family.edges[k].source].label, family.nodes[family.edges[k].target].label) for k in held.lines}
    assert ("μ", "c") in lines
    assert ("x", "μ") not in lines


@pytest.mark.parametrize("name", names())
def test_any_two_norms(name):
    for other in names():
        if other != name:
            check(Family({name: record(name), other: record(other)}))


def test_repeated_edges_and_other_shapes():
    check(Family({"a": square(), "b": graph(leaf("a", 3) * leaf("b", 3))}))
    check(Family({"a": nested_branches(), "b": residual(), "c": square()}))
    check(Family({"a": square(), "b": square()}))


def test_mistakes():
    with pytest.raises(GradientError, match="name at least two records to lay beside each other"):
        Family({"LayerNorm": record("layer_norm")})
    family = Family({"a": record("layer_norm"), "b": record("rms_norm")})
    with pytest.raises(GradientError, match="a family has no gradients of its own; ask its members' graphs"):
        family.gradients()
    x = tn.tensor(np.ones(3), requires_grad=True, name="x")
    assert len(Family({"a": graph(x * 2.0), "b": graph(x + 1.0)}).nodes) == 3
