"""Emitted files as backwards over arrays, ``(dy, inputs…) -> gradients``: loaded from disk, with nothing of ours inside."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import shutil
import subprocess

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.compile.lowered import lowering
from tinygrad_norm.engine import history
from tinygrad_norm.norms import get

FORMATS = ("numpy", "numba", "c", "torch", "jax", "triton")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-shared", "-fPIC")
PLAIN = ("-O1", "-shared", "-fPIC")


def missing(language):
    """Why files of this language cannot run here, or nothing."""
    if language == "c":
        return "" if shutil.which("cc") else "there is no C compiler"
    return "" if importlib.util.find_spec(language) else f"{language} is not installed"


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def backward_of(k, language, folder, change=lambda text: text, flags=FLAGS):
    """The emitted backward.

    change:  what somebody does to the text first
    flags:   of the C compiler
    """
    names = ", ".join(["dy", *k.program.record_names])
    held = [a.letter for a in k.program.inputs if a.role == "constant"]
    run = _loops(functools.partial(_c, flags))(k, folder, change) if language == "c" else _RUNS[language](k, folder, change)
    name = k.name if k.name.isidentifier() else "own"
    of = {"run": (lambda dy, *inputs: run(dy, *inputs, *constants(k, inputs, held))) if held else run}
    exec(f"def {name}_in_{language}({names}):\n    return run({names})", of)
    return of[f"{name}_in_{language}"]


def constants(k, inputs, letters):
    """What a forward makes of its inputs and holds constant: taken from its record."""
    norm = get(k.name)
    with lowering():
        y = norm.apply(
            {n: tn.tensor(a, requires_grad=True, name=n) for n, a in zip(k.program.record_names, inputs)}, **norm.options
        )
    found = {t.name: t.numpy() for t in history(y) if t.op is None}
    return [found[letter] for letter in letters]


def _written(k, language, folder, change, dtype="float32", suffix="py"):
    path = folder / f"kernel_{language}_{dtype}.{suffix}"
    path.write_text(change(k.source(language, dtype)), encoding="utf-8")
    return path


def _alone(found):
    return found[0] if len(found) == 1 else tuple(found)


def _numpy(k, folder, change):
    return getattr(load(_written(k, "numpy", folder, change)), f"{k.name}_backward")


def _torch(k, folder, change):
    import torch

    function = getattr(load(_written(k, "torch", folder, change)), k.name)

    def run(dy, *inputs):
        given = [torch.tensor(a) for a in inputs]
        leaves = [t for a, t in zip(k.program.inputs, given) if a.role == "input"]
        for t in leaves:
            t.requires_grad_()
        return _alone([g.numpy() for g in torch.autograd.grad(function(*given), leaves, torch.tensor(dy))])

    return run


def _jax(k, folder, change):
    import jax

    function = getattr(load(_written(k, "jax", folder, change)), k.name)
    count = len([a for a in k.program.inputs if a.role == "input"])
    pulled = jax.jit(lambda dy, *inputs: jax.vjp(function, *inputs)[1](dy))

    def run(dy, *inputs):
        before = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", True)
        try:
            return _alone([np.asarray(g) for g in pulled(dy, *inputs)[:count]])
        finally:
            jax.config.update("jax_enable_x64", before)

    return run


def _triton(k, folder, change):
    import torch

    module = load(_written(k, "triton", folder, change))

    def run(dy, *inputs):
        given = [torch.tensor(a) for a in inputs]
        y, saved = module.forward_on_gpu(*given)
        return _alone([g.numpy() for g in module.backward_on_gpu(torch.tensor(dy), y, saved, *given)])

    return run


def _loops(function_of):
    """Of a language of loops: ``function_of(dtype)`` gives what calls ``forward`` or ``backward`` with arrays."""

    def made(k, folder, change):
        call_of = functools.cache(lambda dtype: function_of(k, folder, change, dtype))
        both, p = k.schedule, k.program

        def run(dy, *inputs):
            dtype = np.result_type(*[a for a in inputs if a.dtype.kind == "f"], np.float32)
            given = {a.letter: np.ascontiguousarray(v, dtype) for a, v in zip([p.dy, *p.inputs], [dy, *inputs])}
            sizes = k.sizes(inputs)
            for s in (both.forward, both.backward):
                added = {t.array.name for t in s.added}
                shape = lambda a: tuple(sizes[x] for x in a.axes) or (1,)  # noqa: E731
                reads = [given[a.letter].reshape(shape(a)) for a in s.reads]
                writes = [np.zeros(shape(a), np.float64 if a.name in added else dtype) for a in s.writes]
                outer = s.rows[0] if s.rows else s.lane
                call_of(dtype.name)(s, sizes[outer] if outer else 1, reads, writes, [n for *_, n in s.numbers], sizes)
                given |= {a.letter: w.astype(dtype) for a, w in zip(s.writes, writes)}
            found = [given[p.gradients[n].array.letter] for n in k.wanted]
            return _alone([g.reshape(np.shape(a)) for g, a in zip(found, inputs)])

        return run

    return made


def _numba(k, folder, change, dtype):
    module = load(_written(k, "numba", folder, change, dtype))
    return lambda s, stop, reads, writes, numbers, _: getattr(module, s.name)(0, stop, *reads, *writes, *numbers)


def _c(flags, k, folder, change, dtype):
    path = _written(k, "c", folder, change, dtype, "c")
    subprocess.run(["cc", *flags, str(path), "-o", str(path.with_suffix(".so")), "-lm"], check=True, capture_output=True)
    library = ctypes.CDLL(str(path.with_suffix(".so")))
    real = {"float32": ctypes.c_float, "float64": ctypes.c_double}[dtype]

    def call(s, stop, reads, writes, numbers, sizes):
        axes = [a for a in s.program.axes if any(a in array.axes for array in (*s.reads, *s.writes))]
        arrays = [ctypes.c_void_p(a.ctypes.data) for a in (*reads, *writes)]
        whole = [ctypes.c_long(n) for n in (0, stop, *(sizes[a] for a in axes))]
        return getattr(library, s.name)(*whole[:2], *arrays, *map(real, numbers), *whole[2:])

    return call


_RUNS = {"numpy": _numpy, "torch": _torch, "jax": _jax, "triton": _triton, "numba": _loops(_numba)}
