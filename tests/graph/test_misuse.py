"""What a graph is asked for and does not have is refused by name."""

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.engine import GradientError
from tinygrad_norm.graph import graph
from tinygrad_norm.graph.graph import FormatError

x = tn.tensor([[1.0, 2.0, 4.0]], requires_grad=True, name="x")
G = graph(tn.functional.layer_norm(x, 3))
OTHER = tn.tensor([1.0], name="other")

CALLS = [
    (lambda: G.node(OTHER), GradientError, r"graph.node: other \(1,\) float64 is not part of this graph of .*; take one of its"),
    (lambda: G.node([0, 5]), GradientError, r"graph.node: \[0, 5\] is not part"),
    (lambda: G.count_routes("x"), GradientError, "graph.node: 'x' is not part"),
    (lambda: G.routes((-2,)), GradientError, r"graph.routes: \(-2,\) is not part"),
    (lambda: G.routes(x, limit="a"), tn.DTypeError, "routes: limit='a'; it is a number from 0 on"),
    (lambda: G.between(np.ones(2), x), GradientError, r"graph.between: \(2,\) float64 is not part"),
    (lambda: G.between("a" * 99, "x"), GradientError, "nothing here is called 'aaa"),
    (lambda: G.passing({}), tn.DTypeError, "graph: the edge={}; it is a whole number from 0 to"),
    (lambda: G.passes(slice(None)), tn.DTypeError, "graph: the edge=slice"),
    (lambda: G.joins(10**9), tn.OptionError, "graph: the edge=1000000000; it is a whole number from 0 to"),
    (lambda: G.outlets(-1), tn.OptionError, "graph: the node=-1; it is a whole number from 0 to"),
    (lambda: G.cotangent(""), tn.DTypeError, "graph: cotangent '' for .* give an array of its shape"),
    (lambda: G.gradients(slice(None)), tn.DTypeError, "graph: cotangent slice"),
    (lambda: G.fold(np), tn.DTypeError, "fold: depth=module numpy; it is a whole number from 0 on"),
    (lambda: G.fold(-1), tn.OptionError, "fold: depth=-1; it is a whole number from 0 on"),
    (lambda: G.save({"a": 1}), FormatError, "save: {'a': 1} is no path; give one such as"),
]


@pytest.mark.parametrize(("call", "kind", "words"), CALLS, ids=[words for *_, words in CALLS])
def test_what_is_not_there_is_named(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
