"""Everything public that can be called, found by looking: what is added later is fuzzed without a line here."""

from __future__ import annotations

import inspect
import operator
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
from numpy.testing.overrides import get_overridable_numpy_array_functions, get_overridable_numpy_ufuncs

import tinygrad_norm as tn
from tests.fuzz import written
from tests.fuzz.scene import Scene
from tests.fuzz.values import Drawer

#: Modules whose calls take seconds (they derive, check, draw): one call where the others have twenty.
SLOW = ("check", "derive", "draw", "compile", "learn", "train", "graph")

#: Not calls of ours, or not to be called with whatever comes: they are Python's own doors.
PYTHON = {
    "__init_subclass__",
    "__subclasshook__",
    "__getattribute__",
    "__setattr__",
    "__delattr__",
    "__dir__",
    "__class__",
    "__new__",
    "__init__",
}
PYTHON |= {
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__sizeof__",
    "__doc__",
    "__module__",
    "__annotations__",
    "__slots__",
    "__dict__",
}
PYTHON |= {
    "__weakref__",
    "__array_ufunc__",
    "__array_function__",
    "__getattr__",
    "__setstate__",
    "__firstlineno__",
    "__static_attributes__",
}

#: What a tensor means to an op: only an op calls it, and what it is called with was looked at there or is looked at here.
ONLY_OPS_CALL = {"apply_op"}

BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift", "divmod")
COMPARE = ("lt", "le", "eq", "ne", "gt", "ge")
UNARY = {
    **{
        f"__{n}__": n
        for n in ("abs", "bool", "float", "int", "len", "repr", "str", "iter", "hash", "complex", "round", "reversed")
    },
    **{"__neg__": "operator.neg", "__pos__": "operator.pos", "__invert__": "operator.invert", "__index__": "operator.index"},
}


@dataclass
class Target:
    """One public name: how a call of it is written, and what its parameters are."""

    name: str
    params: list[inspect.Parameter]
    write: Callable[[Drawer, Random], Call]
    drawer: Drawer
    kind: str
    slow: bool = False
    names: tuple[str, ...] = ()


@dataclass
class Call:
    """A call as text: what is called, the arguments, and for a module the call of what was built."""

    target: str
    receiver: str  # an object's text for a method, or ""
    function: str  # text of the callable, `_` being the receiver
    args: list[tuple[str | None, str]]
    faults: int
    then: list[tuple[str | None, str]] | None = None  # arguments for the object that came
    scene: Scene | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        inside = ", ".join(f"{k}={t}" if k else t for k, t in self.args)
        if self.function.startswith("."):
            text = f"{self.receiver}{self.function}({inside})"
        elif self.receiver:
            text = f"{self.function}({self.receiver}{', ' if inside else ''}{inside})"
        else:
            text = f"{self.function}({inside})"
        if self.then is not None:
            text += f"({', '.join(f'{k}={t}' if k else t for k, t in self.then)})"
        return text


def parameters_of(f: Any) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(f).parameters.values())
    except (ValueError, TypeError):
        return None


def positional(*names: str, default: Any = inspect.Parameter.empty) -> list[inspect.Parameter]:
    return [inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY, default=default) for n in names]


def op_parameters(op: Any) -> list[inspect.Parameter]:
    """An op takes ``(*inputs, **params)``: how many inputs, its rules say."""
    count = len(getattr(op, "pullbacks", ())) or 1
    return positional(*("input", "other", "third")[:count])


def function(name: str, f: Any, kind: str) -> Target:
    params = op_parameters(f) if isinstance(f, tn.Op) else parameters_of(f)
    if params is None or (all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in params) and kind == "numpy"):
        count = getattr(f, "nin", 1)
        params = positional(*("x1", "x2", "third")[:count] if count > 1 else ("x",))
    files = any(w in name.lower() for w in ("save", "load", "tofile"))
    drawer = Drawer(name, getattr(f, "__doc__", "") or "", files)
    module = getattr(f, "__module__", "") or ""
    slow = any(f"tinygrad_norm.{room}" in module for room in SLOW)

    def write(drawer: Drawer, rng: Random) -> Call:
        args, faults, scene = drawer.arguments(params, rng)
        return Call(name, "", name, args, faults, scene=scene)

    return Target(name, params, write, drawer, kind, slow)


def method(cls: str, name: str, f: Any, receiver: Callable[[Drawer, Scene], str], kind: str) -> Target:
    params = (parameters_of(f) or [])[1:]
    drawer = Drawer(f"{cls}.{name}", getattr(f, "__doc__", "") or "", "save" in name or "load" in name)

    def write(drawer: Drawer, rng: Random) -> Call:
        scene = Scene(rng, drawer.spatial)
        here = receiver(drawer, scene)
        args, faults, scene = drawer.arguments(params, rng, scene)
        return Call(f"{cls}.{name}", here, f".{name}", args, faults, scene=scene)

    return Target(f"{cls}.{name}", params, write, drawer, kind)


def some_tensor(drawer: Drawer, scene: Scene) -> str:
    """The tensor a method is asked of."""
    if scene.rng.random() < 0.2:
        return scene.any_tensor()
    if scene.rng.random() < 0.6:
        if written.OF_BOOLS.search(drawer.last):
            return f"tn.tensor({scene.array(scene.shape, 'bool')})"
        if written.IN_PLACE.search(drawer.last):
            return f"tn.tensor({scene.array(scene.shape)})"
    text = scene.tensor()
    return text if text.startswith("tn.") else f"tn.tensor({text}, requires_grad=True)"


def operators(dunders: set[str]) -> Iterator[Target]:
    """What a tensor's special methods stand for, called as Python does."""
    texts: dict[str, tuple[str, int]] = {}
    for n in BINARY:
        spelled = "divmod" if n == "divmod" else f"operator.{n}_" if n in ("and", "or") else f"operator.{n}"
        if f"__{n}__" in dunders:
            texts[f"__{n}__"] = (spelled, 2)
        if f"__r{n}__" in dunders:
            texts[f"__r{n}__"] = (spelled, -2)
        if f"__{n}__" in dunders and n != "divmod":
            texts[f"__i{n}__"] = (f"operator.i{n}", 2)
    texts |= {f"__{n}__": (f"operator.{n}", 2) for n in COMPARE if f"__{n}__" in dunders}
    texts |= {d: (t, 1) for d, t in UNARY.items() if d in dunders}
    if "__getitem__" in dunders:
        texts["__getitem__"] = ("operator.getitem", 2)
        texts["__contains__"] = ("operator.contains", 2)
    if "__setitem__" in dunders:
        texts["__setitem__"] = ("operator.setitem", 3)
    if "__format__" in dunders:
        texts["__format__"] = ("format", 2)
    for dunder, (text, count) in texts.items():
        names = {"__getitem__": ("index",), "__setitem__": ("index", "other"), "__format__": ("dtype",)}.get(dunder, ("other",))
        params = positional(*names[: abs(count) - 1])
        drawer = Drawer(f"Tensor.{dunder.strip('_')}", "")

        def write(
            drawer: Drawer, rng: Random, *, text: str = text, count: int = count, params: Any = params, dunder: str = dunder
        ) -> Call:
            scene = Scene(rng, None)
            here = some_tensor(drawer, scene)
            args, faults, _ = drawer.arguments(params, rng, scene)
            args = [(None, t) for _, t in args][: abs(count) - 1] or [(None, scene.tensor())] * (abs(count) - 1)
            args = args + [(None, drawer.wild(scene))] * (abs(count) - 1 - len(args))
            if count < 0:
                return Call(f"Tensor.{dunder}", "", text, [args[0], (None, here)], faults, scene=scene)
            return Call(f"Tensor.{dunder}", here, text, args, faults, scene=scene)

        yield Target(f"Tensor.{dunder}", params, write, drawer, "operator")


def attribute(cls: str, name: str, receiver: Callable[[Drawer, Scene], str], settable: bool) -> Iterator[Target]:
    drawer = Drawer(f"{cls}.{name}", "")

    def read(drawer: Drawer, rng: Random) -> Call:
        scene = Scene(rng, None)
        return Call(f"{cls}.{name}", receiver(drawer, scene), "getattr", [(None, repr(name))], 0, scene=scene)

    def write(drawer: Drawer, rng: Random) -> Call:
        scene = Scene(rng, None)
        here = receiver(drawer, scene)
        value = drawer.wild(scene) if rng.random() < 0.5 else scene.tensor() if rng.random() < 0.5 else scene.array(scene.shape)
        return Call(f"{cls}.{name} =", here, "setattr", [(None, repr(name)), (None, value)], 1, scene=scene)

    yield Target(f"{cls}.{name}", [], read, drawer, "property")
    if settable:
        yield Target(f"{cls}.{name} =", [], write, Drawer(f"{cls}.{name}", ""), "setter")


def is_settable(cls: type, name: str) -> bool:
    member = inspect.getattr_static(cls, name, None)
    return isinstance(member, types.MemberDescriptorType) or getattr(member, "fset", None) is not None


def modules() -> dict[str, type]:
    return {
        n: getattr(tn.nn, n)
        for n in tn.nn.__all__
        if isinstance(getattr(tn.nn, n), type) and issubclass(getattr(tn.nn, n), tn.nn.Module)
    }


def constructor(name: str, cls: type) -> Iterator[Target]:
    """A module: built from faulty options and called; built well and called with faulty inputs."""
    params = parameters_of(cls) or []
    drawer = Drawer(f"nn.{name}", cls.__doc__ or "")
    inputs = (parameters_of(cls.forward) or [None])[1:]  # type: ignore[attr-defined]

    def write(drawer: Drawer, rng: Random) -> Call:
        args, faults, scene = drawer.arguments(params, rng)
        taken = {k or p.name: t for (k, t), p in zip(args, params)}
        chosen = drawer.chosen
        then = [(None, drawer.fitting(p, scene, taken)) for p in inputs if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
        drawer.chosen = chosen + drawer.chosen
        return Call(f"nn.{name}", "", f"nn.{name}", args, faults, then, scene)

    def forward(drawer: Drawer, rng: Random) -> Call:
        scene = Scene(rng, drawer.spatial)
        drawer.chosen = []
        built = [(None, drawer.fitting(p, scene, {})) for p in params if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
        first = drawer.chosen
        args, faults, _ = drawer.arguments(inputs, rng, scene)
        drawer.chosen = first + drawer.chosen
        return Call(f"nn.{name}.forward", "", f"nn.{name}({', '.join(t for _, t in built)})", args, faults, scene=scene)

    yield Target(f"nn.{name}", params, write, drawer, "module")
    yield Target(f"nn.{name}.forward", inputs, forward, Drawer(f"nn.{name}", cls.__doc__ or ""), "forward")


#: Objects whose methods are fuzzed, beside tensors and modules: one text that makes one each.
GRAPH = "tn.graph(F.layer_norm((x := tn.tensor(np.sin(np.arange(6.)).reshape(2, 3), requires_grad=True, name='x')), 3))"


def discover() -> list[Target]:
    found: list[Target] = []
    for n in tn.__all__:
        f = getattr(tn, n)
        if isinstance(f, types.ModuleType) or (isinstance(f, type) and issubclass(f, (BaseException, np.generic))):
            continue  # np.generic: float32 and so on are NumPy's
        if callable(f):
            found.append(function(f"tn.{n}", f, "function"))
    spaces = {"F": tn.functional, "nn": tn.nn}
    spaces |= {
        f"tn.{n}": getattr(tn, n)
        for n in tn.__all__
        if isinstance(getattr(tn, n), types.ModuleType)
        and n not in ("functional", "nn", "learn")  # learn: the parts of two commands, handed what our own files hold
    }
    spaces |= {
        f"{space}.{n}": getattr(module, n)
        for space, module in list(spaces.items())
        for n in getattr(module, "__all__", ())
        if isinstance(getattr(module, n), types.ModuleType)
    }
    del spaces["nn.functional"]  # F, where PyTorch has it
    for space, module in spaces.items():
        for n in getattr(module, "__all__", [n for n in dir(module) if not n.startswith("_")]):
            f = getattr(module, n)
            if isinstance(f, type) and (
                issubclass(f, (BaseException, tn.nn.Module)) or not f.__module__.startswith("tinygrad_norm")
            ):
                continue
            if callable(f):
                found.append(function(f"{space}.{n}", f, "function"))
    members = set(dir(tn.Tensor))
    found += operators(
        {n for n in members if n.startswith("__")} - PYTHON - (set() if "__hash__" in vars(tn.Tensor) else {"__hash__"})
    )
    for n in sorted(members):
        if n.startswith("_") or n in ONLY_OPS_CALL:
            continue
        member = inspect.getattr_static(tn.Tensor, n)
        if callable(getattr(tn.Tensor, n)) and not isinstance(member, property):
            found.append(method("Tensor", n, getattr(tn.Tensor, n), some_tensor, "method"))
        else:
            found += attribute("Tensor", n, some_tensor, is_settable(tn.Tensor, n))
    classes = modules()
    for n, cls in classes.items():
        found += constructor(n, cls)
    built = ["nn.Linear(3, 2)", "nn.LayerNorm(3)", "nn.BatchNorm1d(3)", "nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))"]
    for cls in classes.values():
        for n in dir(cls):
            if n.startswith("_") or n == "forward" or not callable(getattr(cls, n, None)):
                continue
            if hasattr(tn.nn.Module, n) and cls is not tn.nn.Module:
                continue
            here = built
            if cls is not tn.nn.Module:
                needs = [p for p in parameters_of(cls) or [] if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
                drawer = Drawer(f"nn.{cls.__name__}", "")
                scene = Scene(Random(1), drawer.spatial)
                here = [f"nn.{cls.__name__}({', '.join(drawer.fitting(p, scene, {}) for p in needs)})"]
            found.append(
                method(f"nn.{cls.__name__}", n, getattr(cls, n), lambda d, s, here=here: s.rng.choice(here), "module method")  # type: ignore[misc]
            )
    graph = tn.graph(tn.functional.layer_norm(tn.tensor(np.ones((2, 3)), requires_grad=True), 3))
    for n in dir(type(graph)):
        if not n.startswith("_") and callable(getattr(type(graph), n, None)):
            target = method("Graph", n, getattr(type(graph), n), lambda d, s: GRAPH, "graph")
            found.append(target)
    quiet = {
        "copyto",
        "place",
        "putmask",
        "fill_diagonal",
        "save",
        "savez",
        "savez_compressed",
        "savetxt",
        "put",
        "put_along_axis",
    }
    for f in sorted(get_overridable_numpy_ufuncs(), key=lambda f: f.__name__):
        if getattr(np, f.__name__, None) is f:
            found.append(function(f"np.{f.__name__}", f, "numpy"))
    for f in sorted(get_overridable_numpy_array_functions(), key=lambda f: f"{f.__module__}.{f.__name__}"):
        space = (f.__module__ or "").replace("numpy", "np", 1)
        where = np if space == "np" else getattr(np, space.removeprefix("np."), None)
        if space.count(".") < 2 and "lib" not in space and getattr(where, f.__name__, None) is f and f.__name__ not in quiet:
            found.append(function(f"{space}.{f.__name__}", f, "numpy"))
    unique: dict[str, Target] = {}
    for target in found:
        unique.setdefault(target.name, target)
    return list(unique.values())


NAMES = {"tn": tn, "np": np, "F": tn.functional, "nn": tn.nn, "operator": operator}
