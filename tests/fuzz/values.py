"""Arguments, drawn as Python text: what a call was is then one line that anybody can run.

A parameter's name, its default and its annotation say what would fit; a ``Scene`` (one shape, one dtype) keeps the
arguments of a call in step. What fits where the name alone does not tell (a weight's shape) is learnt: choices that
led to a result are preferred in the next calls of the same target.
"""

from __future__ import annotations

import inspect
import math
import re
from collections import Counter
from random import Random
from typing import Any

from tests.fuzz import written
from tests.fuzz.scene import AXES_OF, INDICES, WILD, WORDS, Scene

TENSOR = re.compile(
    r"^(input|x|x\d|y|a|b|tensor|other|self|query|key|value|weight|bias|gain|style|scale|shift|residual|target|mask|attn_mask|condition|cond"
    r"|c|u|v|nu|array|data|gradient|grad|grad_outputs?|source|src|vec\d?|mat\d?|exponent|end|start|out|output|outputs|alpha|running_\w+|t|pos_weight"
    r"|input\d|hx|h|logits|labels?|log_probs|max_norm_of|obj|tgt|memory|parameters|inputs|embeddings?|vectors|tangents|cotangents?)$"
)
AXIS = re.compile(r"^(dim|axis|dim0|dim1|axis1|axis2|start_dim|end_dim|source_axis|source|destination|start_axis|end_axis)$")
AXES = re.compile(r"^(dims|axes|dims_\w+)$")
SHAPE = re.compile(r"^(shape|size|sizes|newshape|output_size|repeats|reps|unflattened_size)$")
COUNT = re.compile(r"^(in_features|embedding_dim|embed_dim|dim_model|d_model|normalized_shape|input_size)$")
CHANNELS = re.compile(r"^(num_features|num_channels|in_channels)$")
INDEX = re.compile(r"^(index|indices|idx)$")


class Drawer:
    """Draws the arguments of one target, call after call, and learns which of its guesses fit."""

    def __init__(self, name: str, doc: str, files: bool = False) -> None:
        self.name, self.files = name, files
        self.last = re.sub(r"^.*\.", "", name).lower()
        self.words = tuple(dict.fromkeys(re.findall(r"[\"'`]([a-z_]{2,20})[\"'`]", doc or "")))[:12]
        self.learnt: dict[str, Counter[int]] = {}
        self.chosen: list[tuple[str, int]] = []
        digits = re.search(r"([123])d(_|$)", self.last)
        self.spatial = int(digits[1]) if digits else None

    def worked(self) -> None:
        for slot, k in self.chosen:
            self.learnt.setdefault(slot, Counter())[k] += 1

    def choose(self, slot: str, rng: Random, options: list[Any]) -> Any:
        known = self.learnt.get(slot)
        if known and rng.random() < 0.7:
            k = min(rng.choices(list(known), list(known.values()))[0], len(options) - 1)
        else:
            k = rng.randrange(len(options))
        self.chosen.append((slot, k))
        return options[k]

    # --- what fits -------------------------------------------------------------------------------------------------

    def fitting(self, p: inspect.Parameter, scene: Scene, taken: dict[str, str]) -> str:
        """A text that probably fits the parameter."""
        rng, name, default = scene.rng, p.name, p.default
        note = str(p.annotation).strip("'\"")
        shape, rank = scene.shape, len(scene.shape)
        if known := written.texts(self.name, name, scene):
            return self.choose(name, rng, list(known))
        if name in ("norm", "candidate"):
            return self.choose(name, rng, ["'layer_norm'", "'rms_norm'", "lambda x: x*x", "tn.norms.get('layer_norm')"])
        if name in ("output", "outputs") and self.name.startswith("tn."):
            recorded = f"(x := tn.tensor({scene.array(shape)}, requires_grad=True))"
            return self.choose(name, rng, [f"({recorded}*x).sum()", f"{recorded}*2", f"[{recorded}*2, x.sum()]"])
        if name == "inputs" and self.last == "grad":
            return self.choose(name, rng, ["x", "[x]"]) if "x :=" in str(taken) else scene.tensor()
        if (re.search(r"\bstr\b", note) and not re.search(r"Tensor|int|float|Any", note)) or isinstance(default, str):
            if name in ("equation", "subscripts"):
                return rng.choice(("'ij->ji'", "'...i->...'", "'i,i->i'", "'ij,ij->'", "'ij,jk'", "'ab'"))
            if name in ("name", "title", "path", "file", "prefix", "key"):
                return rng.choice(("'mu'", "'σ²'", "'a.npz'"))
            if name in ("path", "file", "filename"):
                return rng.choice(("'a.npz'", "'a.svg'", "'a.json'"))
            words = [w for w in self.words if w != name] or list(WORDS)
            return repr(
                default
                if isinstance(default, str) and rng.random() < 0.5
                else rng.choice((*words, rng.choice(WORDS), rng.choice(WORDS)))
            )
        if isinstance(default, bool) or note == "bool":
            return rng.choice(("True", "False"))
        if note == "bool | None":
            return rng.choice(("True", "False", "None"))
        if "dtype" in name:
            return rng.choice(("'float32'", "np.float64", "np.dtype('float16')", "'int64'", "np.float32"))
        if note.startswith(("Function", "Callable")) or name in ("f", "fn", "func", "function", "hook", "candidate"):
            return self.choose(
                name,
                rng,
                [
                    "lambda x: x*x",
                    "lambda x, y: x*y",
                    "lambda x: (x*x).sum()",
                    "lambda x, y: (x*y).sum()",
                    "lambda *a: sum(a)",
                    "tn.exp",
                ],
            )
        if name == "dim" and self.name.startswith("nn.") and note == "int" and default is p.empty:
            return str(scene.features)
        if AXIS.match(name):
            if rank and rng.random() < 0.2 and "int" not in note:
                return str(tuple(rng.sample(range(-rank, rank), 1)) if rng.random() < 0.5 else tuple(range(rank)))
            return str(rng.randrange(-rank, rank)) if rank else rng.choice(("0", "-1"))
        if AXES.match(name):
            axes = list(range(rank))
            rng.shuffle(axes)
            return self.choose(
                name, rng, [str(tuple(axes)), str(tuple(axes[:1])), str(axes[0] if axes else 0), str((-1, -2)), "(0, 1)"]
            )
        if name == "shifts":
            return rng.choice(("1", "-1", "2", "(1, 2)"))
        if name == "normalized_shape":
            keep = rng.choice((1, 1, 2))
            return str(shape[-keep:] if shape[-keep:] else (scene.features,)) if rng.random() < 0.6 else str(scene.features)
        if CHANNELS.match(name):
            return str(scene.channels)
        if COUNT.match(name):
            return str(scene.features)
        if name in ("num_groups", "groups"):
            return rng.choice(("1", "1", "2", str(scene.channels)))
        if name in ("kernel_size",):
            return rng.choice(("1", "2", "3", f"(2,)*{self.spatial or 1}"))
        if name in ("stride", "dilation"):
            return rng.choice(("1", "2", "1"))
        if name == "padding":
            return rng.choice(("0", "1", "'same'", "'valid'"))
        if name == "pad":
            return rng.choice(("(1, 2)", "(1, 0, 2, 1)", "[0, 1]"))
        if name in ("layer", "module", "branch"):
            return rng.choice(
                (f"nn.Linear({scene.features}, {scene.features})", f"nn.Linear({scene.features}, 3)", "nn.Conv2d(2, 3, 1)")
            )
        if name == "shortcut":
            return f"nn.Linear({scene.features}, {scene.features})"
        if name == "bn":
            return rng.choice(
                (
                    f"nn.BatchNorm1d({scene.features})",
                    f"nn.BatchNorm1d({scene.features}).eval()",
                    f"nn.LayerNorm({scene.features})",
                )
            )
        if name in ("state_dict", "state", "parameters_and_buffers"):
            return rng.choice(("{}", "{'weight': np.ones(3)}", "nn.Linear(3, 2).state_dict()"))
        if name == "modules":
            return self.choose(name, rng, ["[nn.Linear(4, 4)]", "nn.Linear(4, 4)", "tn.relu"])
        if name in ("mask", "attn_mask", "condition"):
            return self.choose(name, rng, [scene.tensor(dtype="bool"), scene.tensor((), "bool"), scene.tensor()])
        if name in ("target", "label", "labels") and self.last not in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"):
            size = scene.channels
            labels = [shape[:1] + shape[2:], shape]
            want = self.choose(name, rng, labels)
            texts = [f"np.arange({math.prod(want)}).reshape({want}) % {max(size, 1)}", scene.tensor(want)]
            return self.choose(name + " kind", rng, texts)
        if (name == "input" and "embedding" in self.last) or (name == "input" and self.last == "one_hot"):
            return rng.choice(
                (f"np.arange(6).reshape(2, 3) % {shape[0] if shape and shape[0] else 2}", "tn.tensor([0, 1, 1])", "[0, 1]")
            )
        if INDEX.match(name):
            if self.last in ("getitem", "setitem"):
                return self.index(scene)
            count = math.prod(shape)
            return self.choose(
                name,
                rng,
                [
                    f"np.arange({count}).reshape({shape}) % {min(shape) if count and shape else 1}",
                    "np.array([0, 1])",
                    "tn.tensor([0, 1])",
                ],
            )
        if name in (
            "tensors",
            "arrays",
            "operands",
            "args",
            "inputs",
            "xs",
            "outputs",
            "vectors",
            "tangents",
            "cotangents",
            "seq",
        ):
            if p.kind is p.VAR_POSITIONAL:
                return scene.tensor()
            options = [f"[{scene.tensor()}, {scene.tensor()}]", scene.tensor(), f"({scene.tensor()},)"]
            return self.choose(name, rng, options)
        if name == "parameters":
            return rng.choice(("nn.Linear(3, 2).parameters()", scene.tensor(), f"[{scene.tensor()}]"))
        if isinstance(default, float) and name not in ("exponent",):
            return rng.choice((repr(default), "0.5", "1.0", "0.1", "2", repr(default * 10)))
        if SHAPE.match(name) and not isinstance(default, (int, float)):
            if name == "output_size":
                return rng.choice(("1", "2", f"(2,)*{self.spatial or 1}"))
            flat, several = math.prod(shape), p.kind is p.VAR_POSITIONAL
            if several:
                return rng.choice((str(flat), "-1", str(shape)))
            options = [str(shape), str((flat,)), str((-1,)), str((2, *shape)), str(shape[::-1]), "3", "(2, 3)"]
            return self.choose(name, rng, options)
        if isinstance(default, int) and not isinstance(default, bool):
            return rng.choice((repr(default), "1", "2", "0"))
        if name == "weight" and "conv" in self.last:
            groups = int(taken.get("groups", "1")) if taken.get("groups", "1").isdigit() else 1
            kernel = (rng.choice((1, 2, 3)),) * (self.spatial or 1)
            return scene.tensor((2 * groups, max(scene.channels // groups, 1), *kernel))
        if name == "bias" and "conv" in self.last:
            return scene.tensor((2,))
        if name == "weight" and "linear" in self.last:
            return scene.tensor((3, scene.features))
        if name == "weight" and "embedding" in self.last:
            return scene.tensor((max(shape[0], 2) if shape else 3, 3))
        if name in (
            "weight",
            "bias",
            "gain",
            "scale",
            "shift",
            "running_mean",
            "running_var",
            "running_std",
            "style",
            "u",
            "v",
            "cond",
        ):
            return self.parameter(name, scene, taken)
        if re.search(r"float|Number", note) and "Tensor" not in note and "Any" not in note:
            return rng.choice(("0.5", "1.0", "2", "0.1"))
        if re.search(r"\bint\b|Pair", note) and "Tensor" not in note:
            return rng.choice(("1", "2", "3", str(scene.features), "4"))
        if name in (
            "min",
            "max",
            "value",
            "alpha",
            "beta",
            "gamma",
            "n",
            "p",
            "exponent",
            "repeats",
            "fill_value",
            "decimals",
            "k",
        ):
            return self.choose(name, rng, ["0.5", "2", "-1", "1", scene.tensor(), scene.tensor(()), "None"])
        if self.name.startswith("Graph."):
            return self.choose(name, rng, ["x", "0", "1", "x", scene.tensor()])
        return self.operand(name, scene)

    def operand(self, name: str, scene: Scene) -> str:
        rng, shape = scene.rng, scene.shape
        if self.last in ("matmul", "rmatmul", "dot", "vdot", "inner", "bmm", "mm") and name not in ("a", "x1", "self", "input"):
            return scene.tensor((*shape[:-2], shape[-1], 3) if len(shape) > 1 else shape)
        if name in ("input", "x", "a", "x1", "self", "tensor", "query", "key", "value"):
            return scene.tensor()
        where = self.choose(name, rng, [0, 0, 1, 2, 3])
        fits = (shape, shape[-1:], (), tuple(1 if k == 0 else n for k, n in enumerate(shape)))
        if rng.random() < 0.12:
            return rng.choice(("2", "0.5", "np.float32(2)", "True", "-1.5"))
        other = rng.choice(("int64", "float32", "float64", "bool")) if rng.random() < 0.08 else None
        return scene.tensor(fits[where], other)

    def parameter(self, name: str, scene: Scene, taken: dict[str, str]) -> str:
        shape = scene.shape
        if "normalized_shape" in taken and name in ("weight", "bias"):
            text = taken["normalized_shape"]
            if re.fullmatch(r"\d+|\((\d+, ?)+\d*\)", text):
                wanted = eval(text)
                return scene.tensor(wanted if isinstance(wanted, tuple) else (wanted,))
        if name == "style":
            return self.choose(name, scene.rng, [scene.tensor(), scene.tensor((*shape[:2], 3)), scene.tensor(shape[:2])])
        options = [
            (scene.channels,),
            (scene.features,),
            shape,
            (),
            shape[:1],
            shape[1:],
            (*shape[:1], scene.features),
            (*shape[:1], 1, scene.features),
        ]
        options.append((shape[0] if shape else 2, *(1 for _ in shape[1:])))
        if re.search(r"batch|instance|group|power_norm", self.last) and scene.rng.random() < 0.8:
            where = 0  # one number a channel
        else:
            where = self.choose(name, scene.rng, list(range(len(options))))
        dtype = scene.dtype
        text = scene.tensor(options[where], dtype)
        return f"np.abs({scene.array(options[where], dtype)})" if name.startswith("running") else text

    def index(self, scene: Scene) -> str:
        return scene.rng.choice(INDICES)

    # --- what does not ---------------------------------------------------------------------------------------------

    def wild(self, scene: Scene, name: str = "") -> str:
        if re.match(
            r"n$|n_|num|times|steps|count|iter|order|depth", name
        ):  # how often something is done: what is asked for is done
            return scene.rng.choice([w for w in WILD if "**" not in w])
        text = scene.any_tensor() if scene.rng.random() < 0.35 else scene.rng.choice(WILD)
        if self.files and re.fullmatch(r"True|False|-?\d+|np\.(int|bool|uint)\w+\(.*\)|range.*|iter.*", text):
            return "'a'"  # an integer is an open file's number: this process's own
        return text

    def arguments(
        self, params: list[inspect.Parameter], rng: Random, scene: Scene | None = None
    ) -> tuple[list[tuple[str | None, str]], int, Scene]:
        """Texts of the arguments (keyword or None, text), how many of them are faults, and the scene."""
        self.chosen = []
        scene = scene or Scene(rng, self.spatial, self.choose("axes", rng, list(AXES_OF)))
        faults = rng.choices((0, 1, 2), (45, 45, 10))[0]
        taken: dict[str, str] = {}
        drawn: list[tuple[str | None, str]] = []
        in_place = True
        for p in params:
            if p.kind is p.VAR_KEYWORD:
                continue
            if p.kind is p.VAR_POSITIONAL:
                if not in_place:
                    continue
                for _ in range(rng.choice((1, 1, 2, 3))):
                    drawn.append((None, self.fitting(p, scene, taken)))
                in_place = False
                continue
            optional = p.default is not p.empty
            if optional and rng.random() < (0.9 if self.name.startswith("np.") else 0.5 if p.default is None else 0.65):
                in_place = False
                continue
            text = self.fitting(p, scene, taken)
            taken[p.name] = text
            if p.kind is p.KEYWORD_ONLY or (optional and (not in_place or rng.random() < 0.4)):
                drawn.append((p.name, text))
                in_place = False
            elif in_place:
                drawn.append((None, text))
            else:
                drawn.append((p.name, text))
        bound = any(":=" in t for _, t in drawn)
        for _ in range(faults if not bound else 0):
            kind = rng.random()
            if kind < 0.06:
                drawn.append(("bogus", "1"))
            elif kind < 0.1 and drawn:
                drawn.pop(rng.randrange(len(drawn)))
            elif kind < 0.14 and all(k is None for k, _ in drawn):
                drawn.append((None, self.wild(scene)))
            elif kind < 0.3 and any(p.default is not p.empty for p in params):
                p = rng.choice([p for p in params if p.default is not p.empty])
                drawn = [(k, t) for k, t in drawn if k != p.name]
                if p.kind is not p.POSITIONAL_ONLY:
                    drawn.append((p.name, self.wild(scene, p.name)))
            elif drawn:
                at = rng.randrange(len(drawn))
                name = drawn[at][0] or (params[at].name if at < len(params) else "")
                drawn[at] = (drawn[at][0], self.wild(scene, name))
        seen: set[str] = set()
        return [(k, t) for k, t in drawn if k is None or not (k in seen or seen.add(k))], faults, scene
