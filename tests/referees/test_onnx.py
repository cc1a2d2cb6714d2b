"""ONNX's test cases for the normalizations: arrays that others computed, and graphs that others wrote.

Our functions are held to the arrays, both ways of going backward. The standard's function bodies run over our engine,
are held to the same arrays, and are differentiated: two graphs of one function must have one gradient. Last, the
place where the bodies, which compute E[x²] − E[x]², stop being that function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import functional as F
from tinygrad_norm.engine import Tensor

onnx = pytest.importorskip("onnx", "1.22", reason="onnx 1.22 or later is not installed: its test cases are not tried")
from tests.referees.onnx_graphs import (  # noqa: E402
    KNOWN,
    MEANING,
    OFFSETS,
    ROW,
    WAYS,
    Case,
    by_body,
    cases,
    count,
    from_pytorch,
    precision_report,
    run,
    table,
)

# ONNX's operators in our words; each gives the outputs in ONNX's order -------------------------------------------


def layer_norm(x: Tensor, w: Any, b: Any, backward: str, axis: int = -1, epsilon: float = 1e-5) -> list[Tensor]:
    """Mean and InvStdDev, too: they are on the record, and only there."""
    y = F.layer_norm(x, x.shape[axis:], w, b, epsilon, backward)
    names = {t.name: t for t in tn.graph(y).tensors}
    return [y, names["μ"], names["rstd"]] if backward == "recorded" else [y]


def rms_norm(x: Tensor, w: Any, backward: str, axis: int = -1, epsilon: float = 1e-5) -> list[Tensor]:
    return [F.rms_norm(x, x.shape[axis:], w, epsilon, backward)]


def batch_norm(
    x: Tensor, w: Any, b: Any, m: Any, v: Any, backward: str, epsilon: float = 1e-5, momentum: float = 0.9, training_mode: int = 0
) -> list[Tensor]:
    """The running statistics it leaves behind are outputs; they are biased, and momentum is the old ones' weight."""
    how = {"momentum": momentum, "eps": epsilon, "momentum_of": "old", "running_correction": 0}
    y = F.batch_norm(x, m, v, w, b, bool(training_mode), backward=backward, **how)
    return [y, m, v] if training_mode else [y]


def group_norm(x: Tensor, w: Any, b: Any, backward: str, num_groups: int, epsilon: float = 1e-5) -> list[Tensor]:
    return [F.group_norm(x, num_groups, w, b, epsilon, backward)]


def instance_norm(x: Tensor, w: Any, b: Any, backward: str, epsilon: float = 1e-5) -> list[Tensor]:
    return [F.instance_norm(x, weight=w, bias=b, eps=epsilon, backward=backward)]


def mean_variance(x: Tensor, backward: str) -> list[Tensor]:
    """Over (N, H, W), with ε = 1e-9 outside the root: LayerNorm of another order of axes."""
    swapped = x.transpose(1, 0, 2, 3)
    y = F.layer_norm(swapped, swapped.shape[1:], eps=1e-9, backward=backward, eps_mode="std")
    return [y.transpose(1, 0, 2, 3)]


def lp(x: Tensor, backward: str, axis: int = -1, p: int = 2) -> list[Tensor]:
    return [F.normalize(x, p, axis, backward=backward)]


def lrn(x: Tensor, backward: str, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> list[Tensor]:
    return [F.local_response_norm(x, size, alpha, beta, bias, backward)]


def cross_entropy(
    x: Tensor, target: Any, w: Any = None, *, backward: str, reduction: str = "mean", ignore_index: int = -100
) -> list[Tensor]:
    """Without ``ignore_index`` every class counts; −100 is none. The logarithms are the second output, where asked for."""
    return [
        F.cross_entropy(x, target, w, ignore_index=ignore_index, reduction=reduction, backward=backward),
        F.log_softmax(x, 1, backward),
    ]


OURS: dict[str, Callable[..., list[Tensor]]] = {
    "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm,
    "BatchNormalization": batch_norm,
    "GroupNormalization": group_norm,
    "InstanceNormalization": instance_norm,
    "MeanVarianceNormalization": mean_variance,
    "Softmax": lambda x, backward, axis=-1: [F.softmax(x, axis, backward)],
    "LogSoftmax": lambda x, backward, axis=-1: [F.log_softmax(x, axis, backward)],
    "LpNormalization": lp,
    "LRN": lrn,
    "SoftmaxCrossEntropyLoss": cross_entropy,
}
"""All of ``KNOWN`` but NegativeLogLikelihoodLoss: its inputs are no log-probabilities, and we have no function that
takes any other. Its bodies run."""

CASES = [c for c in cases() if not c.body and c.op in OURS]
CONVERTED, CONVERTED_OP = from_pytorch(), "models of PyTorch's"
BODIES = [c for c in cases() if c.body]
WITH_GRADIENT = [c for c in BODIES if c.op in OURS]


def named(which: list[Case]) -> Any:
    return pytest.mark.parametrize("case", which, ids=[c.name for c in which])


def ours(case: Case, inputs: list[Any], backward: str) -> list[Tensor]:
    """Our outputs, as many as the case has (or we have: a formula keeps no statistics)."""
    return OURS[case.op](*inputs, backward=backward, **case.attributes)[: len(case.outputs)]


def tensors(case: Case, arrays: list[np.ndarray]) -> list[Any]:
    """Real inputs as tensors, of which those that a gradient flows to require one; classes stay arrays."""
    constant = {"BatchNormalization": 3, "SoftmaxCrossEntropyLoss": 1}.get(case.op, len(arrays))  # from there on
    return [
        tn.tensor(a, requires_grad=i < constant, name=name) if a.dtype.kind == "f" else a
        for i, (name, a) in enumerate(zip(case.inputs, arrays))
    ]


def close(mine: Any, theirs: np.ndarray, what: str) -> None:
    """A hundred times closer than the standard asks (1e-3)."""
    a = mine.data if isinstance(mine, Tensor) else np.asarray(mine)
    assert (a.shape, a.dtype) == (theirs.shape, theirs.dtype), what
    np.testing.assert_allclose(a, theirs, rtol=1e-5, atol=1e-6 * max(1.0, np.abs(theirs).max()), err_msg=what)


# The summary: one line per operator at the end of the run ---------------------------------------------------------


class Summary:
    """Counts what ran, from the reports."""

    @staticmethod
    def pytest_terminal_summary(terminalreporter: Any) -> None:
        reports = (r for status in ("passed", "failed") for r in terminalreporter.stats.get(status, ()))
        ran = Counter(value for r in reports if r.when == "call" for key, value in r.user_properties if key == "onnx")
        terminalreporter.section("ONNX's test cases")
        for op in (*KNOWN, CONVERTED_OP):
            arrays, analytic, bodies, gradients = (ran[op, what] for what in ("recorded", "analytic", "body", "gradient"))
            terminalreporter.write_line(
                f"{op:<28} {arrays:>3} recorded, {analytic:>3} analytic, {bodies:>3} bodies, {gradients:>3} of them differentiated"
            )


@pytest.fixture(scope="module", autouse=True)
def _summary(request):
    request.config.pluginmanager.register(Summary(), "onnx_summary")


# The tests ------------------------------------------------------------------------------------------------------


def test_all_known_cases_are_there():
    found = count()
    assert all(n >= m for op in KNOWN for n, m in zip(found[op], KNOWN[op])), found
    tried = {c.op for c in CASES}
    assert tried == set(KNOWN) - {"NegativeLogLikelihoodLoss"}
    assert Counter(c.op for c in CONVERTED) == {"BatchNormalization": 5, "Softmax": 3, "LogSoftmax": 3}
    assert {c.op for c in BODIES} == {op for op, (_, bodies) in KNOWN.items() if bodies}


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@named(CASES)
def test_our_functions(case, backward, record_property):
    record_property("onnx", (case.op, backward))
    found = ours(case, tensors(case, list(case.inputs.values())), backward)
    only_y = case.op == "LayerNormalization" and backward == "analytic"
    assert len(found) == (1 if only_y else len(case.outputs))
    for k, (mine, theirs) in enumerate(zip(found, case.outputs)):
        close(mine, theirs, f"output {k}")


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@named(CONVERTED)
def test_our_functions_on_models_of_pytorch(case, backward, record_property):
    record_property("onnx", (CONVERTED_OP, backward))
    (found,) = ours(case, tensors(case, list(case.inputs.values())), backward)
    close(found, case.outputs[0], "y")


@named(BODIES)
def test_bodies(case, record_property):
    record_property("onnx", (case.op, "body"))
    found = run(case)
    assert len(found) == len(case.outputs)
    for k, (mine, theirs) in enumerate(zip(found, case.outputs)):
        close(mine, theirs, f"output {k}")


def test_bodies_use_every_word():
    words: set[str] = set()
    for case in BODIES:
        run(case, words=words)
    assert words == {*MEANING, "Cast", "Constant", "LogSoftmax", "NegativeLogLikelihoodLoss"}


@named(WITH_GRADIENT)
def test_gradient_of_the_body_is_ours(case, record_property):
    """Random inputs in float64, random cotangents for every output, statistics too; then the second derivative."""
    record_property("onnx", (case.op, "gradient"))
    rng = np.random.default_rng(7)
    arrays = [rng.normal(0.4, 1.1, a.shape) if a.dtype.kind == "f" else a for a in case.inputs.values()]
    if case.op == "SoftmaxCrossEntropyLoss":
        arrays[2:] = [rng.uniform(0.5, 2, a.shape) for a in arrays[2:]]  # weights of classes are positive
    inputs = tensors(case, arrays)
    leaves = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    theirs = run(case, dict(zip(case.inputs, inputs)), real=np.float64)
    mine = ours(case, inputs, "recorded")
    assert len(mine) == len(theirs)
    dy = [rng.normal(size=y.shape) for y in theirs]
    v = [rng.normal(size=x.shape) for x in leaves]

    firsts, seconds = [], []
    for outputs in (theirs, mine):
        g = tn.grad(outputs, leaves, dy, create_graph=True)
        firsts.append(g)
        along = sum((a * d).sum() for a, d in zip(g, v))
        seconds.append(tn.grad(along, leaves[0])[0])
    for leaf, a, b in zip(leaves, *firsts):
        agree(a, b, f"gradient of {leaf.name}")
    agree(*seconds, "second derivative")


def agree(theirs: Tensor, mine: Tensor, what: str) -> None:
    scale = np.abs(mine.data).max()
    assert scale > 1e-6, f"{what} is zero: nothing is compared"
    np.testing.assert_allclose(theirs.data, mine.data, rtol=1e-9, atol=1e-11 * scale, err_msg=what)


@named([c for c in WITH_GRADIENT if c.op in ("LayerNormalization", "RMSNormalization", "GroupNormalization", "Softmax")])
def test_gradient_of_the_body_is_the_formula(case):
    """As above for y alone: the hand-derived backward against others' graph."""
    rng = np.random.default_rng(8)
    inputs = tensors(case, [rng.normal(-0.3, 0.9, a.shape) for a in case.inputs.values()])
    dy = rng.normal(size=case.outputs[0].shape)
    theirs = tn.grad(run(case, dict(zip(case.inputs, inputs)), real=np.float64)[0], inputs, dy)
    y = ours(case, inputs, "analytic")[0]
    for create_graph in (False, True):  # over arrays a kernel may stand in for the formula
        for leaf, a, b in zip(inputs, theirs, tn.grad(y, inputs, dy, create_graph=create_graph)):
            agree(a, b, f"gradient of {leaf.name}")


# Where the bodies lose their digits --------------------------------------------------------------------------------

BY_BODY, BY_US = list(WAYS)[:3], list(WAYS)[3:]


def test_the_bodies_break_on_a_row_around_4096():
    """σ² is 1.25, and E[x²] − E[x]² in float32 is 0: the body divides by √ε."""
    row = (ROW + 4096).astype(np.float32)
    for way in BY_US:
        np.testing.assert_allclose(WAYS[way](row), [-1.3416, -0.4472, 0.4472, 1.3416], atol=1e-4)
    for name in ("layer_normalization_2d_axis1_expanded", "layer_normalization_2d_axis1_expanded_ver18",
                 "group_normalization_example_expanded"):  # fmt: skip
        np.testing.assert_allclose(by_body(name, row), ROW / np.sqrt(1e-5), rtol=1e-3)


def test_so_does_their_gradient():
    """dx of the row around 4096, in float32, against float64: right to rounding from our record, of no use from the body."""
    (case,) = (c for c in BODIES if c.name == "layer_normalization_2d_axis1_expanded")
    dy = np.random.default_rng(9).normal(size=(1, 4))
    found = {}
    for dtype in (np.float32, np.float64):
        arrays = [(ROW + 4096).reshape(1, 4), np.array([0.5, 2.0, -1.0, 1.5]), np.zeros(4)]
        inputs = tensors(case, [a.astype(dtype) for a in arrays])
        outputs = {"body": run(case, dict(zip(case.inputs, inputs)), real=dtype)[0]}
        outputs |= {way: F.layer_norm(inputs[0], 4, *inputs[1:], backward=way) for way in ("recorded", "analytic")}
        for way, y in outputs.items():
            found[way, dtype] = tn.grad(y, inputs[0], dy.astype(dtype))[0].data
    truth = found["recorded", np.float64]
    for way in ("recorded", "analytic"):
        np.testing.assert_allclose(found[way, np.float32], truth, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["body", np.float64], truth, rtol=1e-6)
    assert np.abs(found["body", np.float32] - truth).max() > 100 * np.abs(truth).max()


def test_precision_report():
    """The error grows with the square of the offset in the bodies, and not with it in our mean of squares."""
    report = precision_report()
    print("\n" + table(report))
    assert [offset for offset, _ in report] == list(OFFSETS)
    for offset, errors in report:
        assert max(errors[way] for way in BY_US) < 1e-6
        for way in BY_BODY:
            assert errors[way] < 1e-6 if offset <= 1024 else errors[way] > 0.1, (offset, way)


def test_precision_report_of_many_numbers():
    """A row whose mean is no round number. Ours: some roundings of the mean; theirs: of its square.

    In whatever order the sums are taken, both terms of E[x²] − E[x]² are float32: the difference is a multiple of their
    spacing, and the nearest one is still so far from σ². Where it is negative, the body gives NaN.
    """
    row = np.random.default_rng(1).standard_normal(256)
    report = precision_report(row)
    print("\n" + table(report))
    for offset, errors in report:
        rounding = np.finfo(np.float32).eps * (1 + offset)
        assert max(errors[way] for way in BY_US) < 4 * rounding, offset
        if offset >= 256:  # below, the rounding of the mean counts as much
            x = (row + offset).astype(np.float32).astype(np.float64)
            spacing = float(np.spacing(np.float32(x.mean() ** 2)))
            nearest = spacing * (np.floor(x.var() / spacing) + np.arange(2))
            least = np.abs(1 / np.sqrt(nearest + 1e-5) - 1 / np.sqrt(x.var() + 1e-5)).min() * np.abs(x - x.mean()).max()
            for way in BY_BODY:
                assert not errors[way] < least / 2, (offset, way)
    assert least > 1, "at last no digit is right"
