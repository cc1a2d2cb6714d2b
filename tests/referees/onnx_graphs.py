"""ONNX's own test cases, and its function bodies as programs for our engine.

The standard defines an operator twice: in words with test cases (input and output arrays), and for many operators as
a *body*, a graph of smaller operators. A body is a normalization that others wrote down in primitives, so it can be
run here, recorded, and differentiated. ``MEANING`` says what each primitive of the bodies means in our words.

    python -m tests.referees.onnx_graphs        how many cases there are, and where the bodies lose their digits
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.backend.test.case import node as generators

import tinygrad_norm as tn

# The cases ------------------------------------------------------------------------------------------------------

KNOWN = {
    "LayerNormalization": (19, 38),
    "RMSNormalization": (19, 19),
    "BatchNormalization": (4, 0),
    "GroupNormalization": (2, 2),
    "InstanceNormalization": (2, 0),
    "MeanVarianceNormalization": (1, 2),
    "Softmax": (7, 14),
    "LogSoftmax": (7, 14),
    "LpNormalization": (6, 0),
    "LRN": (2, 0),
    "SoftmaxCrossEntropyLoss": (34, 34),
    "NegativeLogLikelihoodLoss": (18, 18),
}
"""Operator → how many cases it has at least, and how many of them come again as bodies (some for several opsets)."""

_MODULES = (
    *("batchnorm", "batchnormalization", "groupnormalization", "instancenorm", "instancenormalization", "layernormalization"),
    *("logsoftmax", "lpnormalization", "lrn", "meanvariancenormalization", "negativeloglikelihoodloss", "rmsnormalization"),
    *("softmax", "softmaxcrossentropy", "softmaxcrossentropyloss"),
)
"""The generators' modules, without underscores: some have been renamed."""


@dataclass(frozen=True, eq=False)
class Case:
    """One test case: a model of one node, or (``body``) of the node's body; its input and output arrays."""

    name: str
    op: str
    attributes: Mapping[str, Any]
    model: Any
    body: bool
    inputs: Mapping[str, np.ndarray]
    outputs: Sequence[np.ndarray]


@lru_cache(maxsize=1)
def cases() -> tuple[Case, ...]:
    """Every case of the operators in ``KNOWN``. The generators run when their modules are imported, from a fixed seed.

    ``collect_testcases`` would import all operators' modules, which takes long and warns; only ours are.
    """
    random = np.random.get_state()  # noqa: NPY002 - the generators seed NumPy's global generator
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a generator divides by zero
        for module in pkgutil.iter_modules(generators.__path__, generators.__name__ + "."):
            if module.name.rpartition(".")[2].replace("_", "") in _MODULES:
                importlib.import_module(module.name)
    np.random.set_state(random)  # noqa: NPY002

    found, of_name = [], {}
    for case in generators._NodeTestCases:  # a body follows the node that it is the body of
        plain = case.name.split("_expanded")[0]
        if plain == case.name:
            of_name[plain] = case.model.graph.node[0]
        op = of_name[plain].op_type
        if op in KNOWN:
            ((inputs, outputs),) = case.data_sets
            names = [i.name for i in case.model.graph.input]
            short = case.name.removeprefix("test_")
            found.append(
                Case(short, op, _attributes(of_name[plain]), case.model, plain != case.name, dict(zip(names, inputs)), outputs)
            )
    return tuple(found)


def from_pytorch() -> list[Case]:
    """Models that PyTorch exported, with what it computed, as far as they are one node of ours; they are of opset 6."""
    found = []
    for folder in sorted(Path(onnx.__file__).parent.glob("backend/test/data/pytorch-converted/*")):
        model = onnx.load(folder / "model.onnx")
        op, attributes = model.graph.node[0].op_type, _attributes(model.graph.node[0])
        if len(model.graph.node) > 1 or op not in KNOWN:
            continue
        x, y = (_read(folder / "test_data_set_0" / f"{which}_0.pb") for which in ("input", "output"))
        arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        inputs = {i.name: arrays.get(i.name, x) for i in model.graph.input}
        attributes.pop("is_test", None)
        if "softmax" in op.lower():  # before opset 13 it went over this axis and all that follow, as one
            attributes["axis"] = tuple(range(attributes["axis"] % x.ndim, x.ndim))
        found.append(Case(folder.name.removeprefix("test_"), op, attributes, model, False, inputs, [y]))
    return found


def _read(path: Path) -> np.ndarray:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return np.asarray(numpy_helper.to_array(tensor))


def count() -> dict[str, tuple[int, int]]:
    return {op: (sum(c.op == op and not c.body for c in cases()), sum(c.op == op and c.body for c in cases())) for op in KNOWN}


def _attributes(node: Any) -> dict[str, Any]:
    """A node's attributes as Python values and arrays."""
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    for name, value in values.items():
        if isinstance(value, onnx.TensorProto):
            values[name] = numpy_helper.to_array(value)
        elif isinstance(value, bytes):
            values[name] = value.decode()
    return values


# What the primitives mean ---------------------------------------------------------------------------------------
# Real numbers are tensors of ours; integers and answers (shapes, axes, classes, masks) are arrays: nothing flows
# through them.


def _axes(axes: Any) -> Any:
    return None if axes is None else tuple(int(a) for a in np.ravel(axes))


def _reduction(method: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axes=None, keepdims=1: method(x, _axes(axes), keepdims=bool(keepdims))


def _shape(x: Any, start: int = 0, end: int | None = None) -> Any:
    return np.array(x.shape[start:end], np.int64)


def _reshape(x: Any, shape: Any) -> Any:
    return x.reshape(tuple(int(n) or x.shape[i] for i, n in enumerate(shape)))  # 0 keeps the size


def _flatten(x: Any, axis: int = 1) -> Any:
    lead = int(np.prod(x.shape[:axis]))
    return x.reshape(lead, x.size // max(1, lead))


def _squeeze(x: Any, axes: Any) -> Any:
    gone = [a % x.ndim for a in _axes(axes)]
    return x.reshape(tuple(n for a, n in enumerate(x.shape) if a not in gone))


def _unsqueeze(x: Any, axes: Any) -> Any:
    sizes = iter(x.shape)
    new = [a % (x.ndim + len(axes)) for a in _axes(axes)]
    return x.reshape(tuple(1 if a in new else next(sizes) for a in range(x.ndim + len(axes))))


def _slice(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    index = [slice(None)] * x.ndim
    axes = range(len(starts)) if axes is None else axes
    for a, start, end, step in zip(axes, starts, ends, np.ones(len(starts), int) if steps is None else steps):
        index[int(a)] = slice(int(start), int(end), int(step))
    return x[tuple(index)]


def _concat(*xs: Any, axis: int) -> Any:
    return tn.concatenate(xs, axis) if any(isinstance(x, tn.Tensor) for x in xs) else np.concatenate(xs, axis)


def _div(a: Any, b: Any) -> Any:
    return a // b if isinstance(a, np.ndarray) else a / b  # sizes are whole and positive


def _where(condition: Any, a: Any, b: Any) -> Any:
    return (np.where if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) else tn.where)(condition, a, b)


MEANING: dict[str, Callable[..., Any]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": _div,
    "Neg": lambda x: -x,
    "Pow": lambda x, n: x ** n.item(),
    "Sqrt": lambda x: x.sqrt(),
    "Reciprocal": lambda x: 1 / x,
    "Exp": lambda x: x.exp(),
    "Log": lambda x: x.log(),
    "ReduceMean": _reduction(tn.Tensor.mean),
    "ReduceSum": _reduction(tn.Tensor.sum),
    "ReduceMax": _reduction(tn.Tensor.max),
    "Where": _where,
    "Equal": np.equal,
    "Identity": lambda x: x,
    "Transpose": lambda x, perm: x.transpose(*perm),
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Slice": _slice,
    "Concat": _concat,
    "Gather": lambda x, indices, axis=0: x[(slice(None),) * (axis % x.ndim) + (indices,)],
    "GatherElements": lambda x, indices, axis=0: tn.functional.take_along_dim(x, indices, axis),
    "Shape": _shape,
    "Size": lambda x: np.array(x.size),
    "Range": lambda start, limit, step: np.arange(int(start), int(limit), int(step)),
    "ConstantOfShape": lambda shape, value: np.full(tuple(int(n) for n in shape), value.item()),
}
"""ONNX's word → ours. ``Cast`` and ``Constant`` are in ``run``: they have to know which real numbers are meant."""


def run(case: Case, inputs: Mapping[str, Any] | None = None, real: Any = np.float32, words: set[str] | None = None) -> list[Any]:
    """A body over our engine: the values of its outputs.

    inputs: arrays or tensors by the model's names; the case's own arrays unless given
    real:   the dtype that stands for the body's float32; float64 for derivatives that can be compared closely
    words:  collects the primitives met
    """
    graph, (opset,) = case.model.graph, case.model.opset_import
    values = {k: _lift(v, real) for k, v in (case.inputs if inputs is None else inputs).items()}
    _walk(graph.node, values, opset.version, real, set() if words is None else words)
    return [values[out.name] for out in graph.output]


def _lift(value: Any, real: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return tn.tensor(value.astype(real))
    return value


def _walk(nodes: Any, values: dict[str, Any], opset: int, real: Any, words: set[str]) -> None:
    for node in nodes:
        inputs = [values[name] if name else None for name in node.input]
        attributes = _attributes(node)
        words.add(node.op_type)
        if node.op_type == "Constant":
            (value,) = attributes.values()
            outputs = [_lift(np.asarray(value), real)]
        elif node.op_type == "Cast":
            dtype = helper.tensor_dtype_to_np_dtype(attributes["to"])
            outputs = [inputs[0].astype(real if dtype == np.float32 else dtype)]
        elif node.op_type in MEANING:
            outputs = [MEANING[node.op_type](*inputs, **attributes)]
        else:
            outputs = _by_its_body(node, inputs, opset, real, words)
        values.update(zip(node.output, outputs))


def _by_its_body(node: Any, inputs: list[Any], opset: int, real: Any, words: set[str]) -> list[Any]:
    """A node that is no primitive, by the body that the standard gives it."""
    schema = onnx.defs.get_schema(node.op_type, opset)
    version = max(v for v in schema.context_dependent_function_opset_versions if v <= opset)
    kinds = {"f": onnx.TensorProto.FLOAT, "i": onnx.TensorProto.INT64}
    types = [helper.make_tensor_type_proto(kinds[x.dtype.kind], None).SerializeToString() for x in inputs]
    body = onnx.FunctionProto()
    body.ParseFromString(schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), types))
    values = dict(zip(body.input, inputs))
    _walk(body.node, values, version, real, words)
    return [values[name] for name in body.output]


# Where the bodies lose their digits -------------------------------------------------------------------------------

ROW = np.array([-1.5, -0.5, 0.5, 1.5])
"""Variance 1.25. With a power of two above 2 added, up to 2²¹, every entry is still a float32."""

OFFSETS = (0, 64, 256, 1024, 2048, 4096, 8192, 2**16, 2**21)
EPS = 1e-5


def by_body(name: str, row: np.ndarray) -> np.ndarray:
    """One float32 row, normalized by the body of that case; γ = 1, β = 0."""
    (case,) = (c for c in cases() if c.name == name)
    n, one = len(row), np.float32
    x = {
        "LayerNormalization": row.reshape(1, n),
        "GroupNormalization": np.stack([row, row]).reshape(1, 2, n),  # two groups of one channel
        "MeanVarianceNormalization": row.reshape(1, 1, n, 1),
    }[case.op]
    size = {"LayerNormalization": n, "GroupNormalization": 2}.get(case.op, 0)
    y = run(case, dict(zip(case.inputs, (x.astype(one), np.ones(size, one), np.zeros(size, one)))))[0]
    return np.asarray(y.data).reshape(-1)[:n]


def by_us(backward: str, row: np.ndarray) -> np.ndarray:
    x = tn.tensor(row, requires_grad=True)
    return np.asarray(tn.functional.layer_norm(x, len(row), eps=EPS, backward=backward).data)


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "LayerNormalization": partial(by_body, "layer_normalization_2d_axis1_expanded"),
    "GroupNormalization": partial(by_body, "group_normalization_example_expanded"),
    "MeanVarianceNorm.": partial(by_body, "mvn_expanded"),
    "ours, recorded": partial(by_us, "recorded"),
    "ours, analytic": partial(by_us, "analytic"),
}
"""Three bodies of the standard, which compute E[x²] − E[x]², and ours."""


def truth(way: str, x: np.ndarray) -> np.ndarray:
    """A float32 row normalized in float64; MeanVarianceNormalization divides by σ + 1e-9."""
    c = x.astype(np.float64)
    c -= c.mean()
    v = np.mean(c * c)
    return np.asarray(c / (np.sqrt(v) + 1e-9) if way == "MeanVarianceNorm." else c / np.sqrt(v + EPS))


def precision_report(row: np.ndarray = ROW) -> list[tuple[int, dict[str, float]]]:
    """For each offset, the largest error of each way to normalize ``row + offset`` in float32; NaN where it gives NaN."""
    report = []
    for offset in OFFSETS:
        x = (row + offset).astype(np.float32)
        with np.errstate(invalid="ignore"):  # the root of a negative variance
            report.append((offset, {way: float(np.abs(f(x) - truth(way, x)).max()) for way, f in WAYS.items()}))
    return report


def table(report: list[tuple[int, dict[str, float]]]) -> str:
    lines = [f"{'offset':>9}" + "".join(f"{way:>20}" for way in WAYS)]
    lines += [f"{offset:>9}" + "".join(f"{errors[way]:>20.1e}" for way in WAYS) for offset, errors in report]
    return "\n".join(lines)


def main() -> None:
    print(f"onnx {onnx.__version__}: cases, and bodies among them")
    for op, (plain, bodies) in count().items():
        print(f"  {op:<28}{plain:>4}{bodies:>4}")
    print("\nlargest error of float32 [-1.5, -0.5, 0.5, 1.5] + offset, normalized; the first three are ONNX's bodies\n")
    print(table(precision_report()))
    print("\nthe same for 256 normal numbers\n")
    print(table(precision_report(np.random.default_rng(1).standard_normal(256))))


if __name__ == "__main__":
    main()
