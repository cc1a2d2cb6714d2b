"""A record as an ONNX file: ``tn.graph(y).save("block.onnx")``, of a forward pass as of a gradient, which is a record, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import __version__
from ..derive.marks import fit
from ..derive.watching import Made, joined
from ..engine import DTypeError, OptionError, Tensor, TinygradNormError, describe, history
from ..engine.arrays import Array
from ..graph import Graph, lend_writer, replay_all
from .following import RecordError
from .onnx_file import IR, OPSET, File, Value
from .onnx_ops import MEANINGS
from .recording import Recorded, numbers, record, same
from .standard import standard_boxes

# Which leaves are what ------------------------------------------------------------------------------------------


def _inputs(graph: Graph, wanted: Any, anew: bool) -> list[Tensor]:
    """The leaves that are fed: those named, or the one the record is about. anew: of a new record, on which others may be, too."""
    leaves = [t for t in graph.tensors if t.op is None]
    if wanted is None:
        return [graph.main_input]
    found = []
    for one in (wanted,) if isinstance(wanted, (str, Tensor)) else wanted:
        fits = [t for t in leaves if (t is one if isinstance(one, Tensor) else t.name == one)]
        if not fits and anew and isinstance(one, Tensor):
            fits = [one]
        if len(fits) != 1:
            known = ", ".join(dict.fromkeys(t.name for t in leaves if t.name)) or "none that has a name"
            many = "names several leaves" if fits else "is no leaf of the record"
            raise OptionError(
                f"save: inputs: {describe(one)} {many}; its leaves are {known}. Give tensors, or name them: tn.tensor(…, name='x')."
            )
        found += fits
    return found


def _as_recorded(graph: Graph, inputs: Sequence[Tensor]) -> tuple[Recorded, Made]:
    """The record as it is, with the answers on it; refused where a constant may have been made of the inputs in another way, for
    only its numbers are there."""
    answers: Made = {}
    reached, waiting = set(graph.tensors), list(graph.tensors)
    while waiting:
        t = waiting.pop()
        if t.op is None and hasattr(t, "_asked"):
            answers[t] = t._asked
            more = set(history(*[x for x in t._asked[1] if isinstance(x, Tensor)])) - reached
            reached |= more
            waiting += more
    fed, oldest = set(inputs), min(t.birth for t in inputs)
    for t in reached:
        if t.op is None and t not in answers and t not in fed and not t.requires_grad and t.birth > oldest:
            _suspect(f"{t.name or 'a constant'} of shape {t.shape}, which was made after the input")
        index = t.params.get("index", ())
        if any(isinstance(i, np.ndarray) for i in (index if isinstance(index, tuple) else (index,))):
            _suspect(f"the index of {t.op.name if t.op else ''}, which computes a tensor of shape {t.shape}")
    tensors = sorted(reached, key=lambda t: t.birth)
    for t in tensors:
        if t.op is not None and t.op.name not in MEANINGS:
            raise RecordError(
                f'save: {t.op.name} is a node with rules of its own, which ONNX does not know. Record its operations: backward="recorded".'
            )
    return Recorded("save", tensors, list(inputs), [graph.output]), answers


def _suspect(what: str) -> None:
    raise RecordError(
        f"save: {what}, may have been computed from it, and the record holds only its numbers. Give what computes the output: "
        "save(…, function=f); then it is recorded on other data, too, and what depends on the input is written as such. Or, if it is an "
        "input itself, such as a cotangent, name it among inputs=."
    )


def _again(function: Any, arrays: Sequence[Array], outputs: Sequence[Tensor] = ()) -> Recorded:
    """Recorded by the function; on these arrays and on others. outputs: what it computed of the first, if that is known."""
    if not callable(function):
        raise DTypeError(f"save: function={describe(function)}; it is what computes the output from the inputs.")
    called = f"save: {getattr(function, '__name__', type(function).__name__)}"

    def call(tensors: Sequence[Tensor]) -> list[Any]:
        y = function(*tensors)
        return list(y) if isinstance(y, (tuple, list)) else [y]

    one = record(called, call, arrays)
    if one.drawn:
        raise RecordError(
            f"{called}: it draws {len(one.drawn)} dropout masks; a file has no random numbers. Take the module in inference: net.eval()."
        )
    if outputs and [y.shape for y in one.outputs] == [y.shape for y in outputs]:
        off = [y for x, y in zip(one.outputs, outputs) if not np.allclose(x._data, y._data, rtol=1e-3, atol=1e-5, equal_nan=True)]
        if off:
            raise RecordError(
                f"{called}: it computes something else than what was recorded. Give the function of the inputs, in their order."
            )
    failure: TinygradNormError | None = None
    for _, second in numbers([(a.shape, a.dtype) for a in arrays]):
        try:
            other = record(called, call, second, seed=1)
        except RecordError:
            raise
        except TinygradNormError as error:
            failure = failure or error
            continue
        same(one, other)
        return one
    assert failure is not None
    raise failure


# Writing ------------------------------------------------------------------------------------------------------


def _write(of: Recorded, names: Sequence[str], standard: bool, apart: bool = False) -> File:
    """apart: constants that are equal are not one, for they may not be at another size."""
    to = File(apart)
    given: dict[Tensor, Any] = {}
    for t, name in zip(of.arguments, names):
        given[t] = Value(to.name(name), t.dtype, t.shape)
        to.inputs.append(given[t])
    for t in of.tensors:
        if t.op is None and t not in given:
            given[t] = to.constant(t._data, t.name or "constant")
    written = dict(given)
    boxes = standard_boxes(of) if standard else {}
    inside = {t for box in boxes.values() for t in box.members}

    def compute(t: Tensor, *inputs: Any, **params: Any) -> Any:
        if t in inside and t not in boxes:
            return None
        to.scope = tuple(str(s) for s in t.scope)
        to.formula = str(t.name or "")
        if t in boxes:
            found = boxes[t].write(to, [written[x] for x in boxes[t].outer], t.shape)
        else:
            found = to.cast(MEANINGS[t.op.name](to, t, *_operands(to, t, inputs), **params), t.dtype)  # type: ignore[union-attr]
        written[t] = found
        return found

    values = replay_all(of.tensors, given, lambda t: partial(compute, t))
    to.scope, to.formula = (), ""
    for t in of.outputs:
        to.outputs.append(to.named_output(values[t], t.name or "output"))
    return to


def _operands(to: File, t: Tensor, inputs: Sequence[Any]) -> list[Value]:
    """In one dtype, which ONNX asks for: that of the result, or where the result is an answer the one in which they meet."""
    assert t.op is not None
    real = [x.dtype for x in t.inputs if isinstance(x, Tensor)]
    meet = np.result_type(*real)
    found = []
    for i, x in enumerate(inputs):
        flows = i < len(t.op.pullbacks) and t.op.pullbacks[i] is not None
        dtype = t.dtype if flows else meet if t.op.constant and t.op.elementwise else None
        if isinstance(x, (bool, int, float)):
            found.append(to.number(x, dtype or (np.bool_ if isinstance(x, bool) else t.dtype)))
        else:
            found.append(x if dtype is None else to.cast(x, dtype))
    return found


def to_onnx(
    graph: Graph,
    *,
    inputs: Any = None,
    function: Callable[..., Any] | None = None,
    dynamic: Mapping[str, Any] | None = None,
    standard: bool = False,
    opset: int = OPSET,
) -> bytes:
    """The model as bytes, checked by ``onnx.checker``: what ``graph.save("block.onnx")`` writes.

    inputs:    the leaves that are fed, by name or as tensors; the one that the record is about unless given. The other leaves are
               initializers, under their names
    function:  what computes the output (or several) from these inputs. It is recorded anew, on other data too: what was made of the
               data then is written as such. Needed where a record holds constants that may have been, and for ``dynamic``.
               Without it, the numbers and parameters on the record are those of the file
    dynamic:   names of axes whose size stays open, for each input: ``{"x": ("B", None)}``. Sizes, and numbers such as 1/B, are then
               computed from the input's shape; where one follows the size in a way that is not found, ``RecordError`` says where
    standard:  the standard's own operators where they compute the same (LayerNormalization, …); else its primitives
    opset:     of the standard
    """
    leaves = _inputs(graph, inputs, function is not None)
    names = [t.name or "input" for t in leaves]
    if function is None and dynamic:
        raise OptionError(
            "save: dynamic= asks what changes with the size; give function= too, which computes the output from the inputs."
        )
    if function is None:
        of, answers = _as_recorded(graph, leaves)
        with joined(answers):
            return _model(_write(of, names, standard), opset)
    of = _again(function, [t._data for t in leaves], [graph.output])
    if dynamic:
        return _model(sized(function, leaves, names, dynamic, standard), opset)
    return _model(_write(of, names, standard), opset)


def _model(to: File, opset: int) -> bytes:
    helper, onnx = to.onnx.helper, to.onnx

    def info(v: Value, dims: Any = None) -> Any:
        return helper.make_tensor_value_info(
            v.name, helper.np_dtype_to_tensor_dtype(v.dtype), list(v.shape if dims is None else dims)
        )

    used = {name for node in to.nodes for name in node.input}
    arrays = [
        onnx.numpy_helper.from_array(np.ascontiguousarray(a).reshape(a.shape), n) for n, a in to.arrays.items() if n in used
    ]
    graph = helper.make_graph(
        to.nodes,
        "tinygrad_norm",
        [info(v, to.dims.get(v.name)) for v in to.inputs],
        [info(v, to.dims.get(v.name)) for v in to.outputs],
        arrays,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=IR,
        producer_name="tinygrad_norm",
        producer_version=__version__,
    )
    onnx.checker.check_model(model, full_check=True)
    found: bytes = model.SerializeToString()
    return found


# A size that stays open ---------------------------------------------------------------------------------------

_SIZES = ((7, 11, 13), (17, 19, 23), (29, 31, 37), (41, 43, 47))


def sized(function: Any, leaves: Sequence[Tensor], names: Sequence[str], dynamic: Mapping[str, Any], standard: bool) -> File:
    """Written at three sizes; a number that differs is the function of the sizes that it is on all three (``derive.marks``)."""
    axes = _open_axes(leaves, names, dynamic)
    labels = list(dict.fromkeys(a for own in axes for a in own if a))
    if len(labels) > len(_SIZES):
        raise OptionError(f"save: dynamic: {len(labels)} names of axes; at most {len(_SIZES)} stay open.")
    sizes = [{a: float(_SIZES[i][k]) for i, a in enumerate(labels)} for k in range(3)]
    files = []
    for own_sizes in sizes:
        shapes = [tuple(int(own_sizes[a]) if a else n for a, n in zip(own, t.shape)) for own, t in zip(axes, leaves)]
        first = next(iter(numbers([(s, t.dtype) for s, t in zip(shapes, leaves)])))[0]
        files.append(_write(_again(function, first), names, standard, apart=True))
    one, *others = files
    for node, *more in zip(*(f.nodes for f in files)):
        if any(m != node for m in more):
            _unsized(node, "it is another node, or has other attributes, at another size")
    if any(len(f.nodes) != len(one.nodes) or f.arrays.keys() != one.arrays.keys() for f in others):
        _unsized(one.nodes[-1], "other operations are recorded at another size")
    one.beginning = []
    for name, array in list(one.arrays.items()):
        several = [array, *(f.arrays[name] for f in others)]
        if all(a.shape == array.shape and a.tobytes() == array.tobytes() for a in several):
            continue
        user = next((n for n in one.nodes if name in n.input), None)
        if user is None:
            continue
        if any(a.shape != array.shape for a in several):
            _unsized(user, f"a constant of shape {array.shape} has another shape at another size")
        entries = [fit([float(a.reshape(-1)[i]) for a in several], sizes) if len({float(a.reshape(-1)[i]) for a in several}) > 1
                   else float(array.reshape(-1)[i]) for i in range(array.size)]  # fmt: skip
        if any(e is None for e in entries):
            _unsized(
                user,
                f"{[a.tolist() for a in several]} at the sizes {[tuple(s.values()) for s in sizes]} follows none that is known",
            )
        one.compute(name, array, entries, axes)
    one.nodes = one.beginning + one.nodes
    for i, v in enumerate(one.inputs):
        one.dims[v.name] = [a or n for a, n in zip(axes[i], v.shape)]
    for k, v in enumerate(one.outputs):
        dims = zip(*(f.outputs[k].shape for f in files))
        one.dims[v.name] = [n[0] if len(set(n)) == 1 else str(fit([float(m) for m in n], sizes) or "") or None for n in dims]
    return one


def _open_axes(leaves: Sequence[Tensor], names: Sequence[str], dynamic: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    if not isinstance(dynamic, Mapping) or any(k not in names for k in dynamic):
        raise OptionError(
            f"save: dynamic={describe(dynamic)}; it is names of axes for each input, of {', '.join(names)}: {{'x': ('B', None)}}."
        )
    found = []
    for t, name in zip(leaves, names):
        own = tuple(dynamic.get(name, (None,) * t.ndim))
        if len(own) != t.ndim or any(a is not None and not isinstance(a, str) for a in own):
            raise OptionError(
                f"save: dynamic: {name} has shape {t.shape}, and its axes are {describe(own)}; give a name or None for each."
            )
        found.append(own)
    return found


def _unsized(node: Any, why: str) -> None:
    where = next((p.value for p in node.metadata_props if p.key == "scope"), "")
    raise RecordError(
        f"save: dynamic: {node.op_type}{f' in {where}' if where else ''}: {why}. Keep that size fixed, or write it without an array of "
        "that size."
    )


lend_writer("onnx", to_onnx)
