"""Which parameter of a function stands for what: by the names people use, otherwise by position."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine import TinygradNormError
from ..graph.table import ascii_text


class CheckInputError(TinygradNormError, ValueError):
    """What cannot be checked at all: no such file, no backward function in it, a class where an instance is needed."""


COTANGENT = (
    *(
        "dy",
        "d_y",
        "dout",
        "d_out",
        "do",
        "dz",
        "dl_dy",
        "dldy",
        "g",
        "gy",
        "gout",
        "g_out",
        "ybar",
        "y_bar",
        "ct",
        "cotangent",
        "go",
        "up",
        "dys",
        "gys",
    ),
    *("grad", "grad_output", "grad_outputs", "grad_out", "out_grad", "output_grad", "output_gradient"),
    *("upstream", "upstream_grad", "upstream_gradient", "top_diff", "top_grad", "diff", "dtop"),
    *("grad_w", "w_grad", "dw", "d_w", "gw", "grad_loss", "dloss", "d_loss", "grad_z", "grad_x_hat", "dl"),
)
_COTANGENT = re.compile(r"(d|grad|∂)", re.IGNORECASE)  # comes first, and is called the gradient of something
_OF_THE_OUTPUT = re.compile(  # grad_y, dL_dy, y_grad, out_bar, …
    r"(?:(?:d|g|grad|gradient|delta|∂)_?(?:(?:l|j|loss)_?(?:d|∂)?_?)?(?:ys?|z|out|outputs?)"
    r"|(?:y|z|out|outputs?)_?(?:g|grads?|gradients?|bar|ct|cotangent)|delta|dydx)"
)
_INPUTS = (
    (
        *(
            "input",
            "x",
            "xs",
            "inp",
            "inputs",
            "x_in",
            "logits",
            "logit",
            "scores",
            "bottom_data",
            "bottom",
            "weight_v",
            "embeddings",
        ),
        *(
            "embedding",
            "features",
            "feats",
            "hidden",
            "hidden_states",
            "activations",
            "tokens",
            "data",
            "batch",
            "images",
            "img",
            "pixels",
        ),
    ),
    ("weight", "w", "gamma", "gain", "γ", "scale", "weights", "a_2", "g", "weight_g"),
    ("bias", "b", "beta", "β", "offset", "shift", "b_2"),
    ("running_mean", "moving_mean", "run_mean", "rm", "mean", "mu", "μ", "m"),
    ("running_var", "moving_var", "moving_variance", "run_var", "rv", "var", "variance", "v"),
    ("running_std", "std", "sigma", "σ"),
    ("residual", "res", "skip", "shortcut"),
    ("target", "targets", "label", "labels", "t", "y", "y_true", "tgt", "classes"),
    ("probabilities", "probs", "target", "q"),
    ("other", "b"),
)
_OPTIONS = (
    ("eps", "epsilon", "ε", "variance_epsilon"),
    ("dim", "axis"),
    ("num_groups", "groups", "n_groups", "group", "ngroups", "num_group"),
    ("correction", "ddof"),
)
_SAVED = (
    ("mean", "mu", "μ", "saved_mean", "save_mean", "m"),
    (
        "rstd",
        "inv_std",
        "invstd",
        "istd",
        "saved_rstd",
        "save_rstd",
        "saved_invstd",
        "save_invstd",
        "rrms",
        "inv_rms",
        "rms_inv",
        "std_inv",
        "inv_sigma",
        "rsigma",
        "r",
    ),
    ("var", "variance", "saved_var", "save_var", "σ2", "sigma2", "v"),
    ("std", "sigma", "σ", "saved_std", "save_std"),
    ("rms", "saved_rms"),
    ("xhat", "x_hat", "x_norm", "xnorm", "x_normalized", "normalized", "saved_xhat", "z_hat", "zhat"),
    ("norm", "norms", "nrm", "length", "lengths", "l2", "vnorm", "v_norm"),
    ("inv_norm", "invnorm", "inorm", "rnorm", "inv_norms", "inv_length", "inv_n", "rlen"),
    ("probs", "p", "prob", "softmax", "probabilities", "s", "sm"),
    ("log_probs", "logp", "log_p", "logprobs", "log_prob", "logprob", "log_softmax", "logsoftmax", "log_sm", "lsm"),
    ("y", "out", "output", "p", "s"),
)
_EVERY_OPTION = ("opts", "options", "opt", "config", "cfg", "conf", "params", "settings", "attrs", "hparams")
EXACTLY = {"G": "num_groups", "S": "input"}  # where case counts
_WIDTHS = frozenset(
    f"{many}{what}"
    for many in ("", "n_", "num_", "n", "in_")
    for what in ("channels", "features", "channel", "dim", "dims", "units", "c")
) | {"d", "n", "d_model", "model_dim", "width", "size", "hidden", "hidden_size", "hidden_dim", "embed_dim", "normalized_shape"}
_CACHE = ("cache", "saved", "saved_tensors", "stats", "residuals", "res")


@dataclass(frozen=True)
class Bound:
    """A call ready to be made: its arguments, the names of what they stand for, and guesses worth mentioning.

    guessed:  what was bound by its place alone, a line each
    told:     what was bound to what, in words
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    taken: frozenset[str]
    notes: tuple[str, ...]
    guessed: tuple[str, ...] = ()
    told: str = ""


class Cache(dict[str, Any]):
    """What a forward saves, under whatever usual name it is asked for."""

    def __missing__(self, key: Any) -> Any:
        for group in (*_SAVED, *_INPUTS, *_OPTIONS):
            if same(str(key)) in group:
                for n in self:
                    if same(n) in group:
                        return self[n]
        raise KeyError(key)

    def get(self, key: Any, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default


def same(text: str) -> str:
    """A name as it is compared: case and outer underscores do not count."""
    return text.casefold().strip("_")


def other_names(name: str, symbol: str | None) -> list[str]:
    """What else an input may be called: its symbol in Greek or spelled out, and the usual words."""
    found = [name] + ([symbol, ascii_text(symbol)] if symbol else [])
    for group in _INPUTS:
        if same(name) in group:
            found += group
    return list(dict.fromkeys(same(n) for n in found))


def is_cotangent(name: str) -> bool:
    """Whether it is a usual name of the gradient of an output."""
    return same(name) in COTANGENT or _OF_THE_OUTPUT.fullmatch(same(name)) is not None


def is_backward(function: Any) -> bool:
    """Whether a function asks for a cotangent before anything else."""
    first = next(iter(_parameters(function) or ()), None)
    return first is not None and is_cotangent(first.name)


def bind_backward(
    function: Callable[..., Any],
    dy: Any,
    inputs: Mapping[str, Any],
    options: Mapping[str, Any],
    saved: Mapping[str, Any] | None,
    symbols: Mapping[str, str],
    spare: Sequence[Any] = (),
    cache: Any = None,
) -> Bound:
    """The arguments of ``candidate(dy, x, weight, bias, eps)``, whatever it calls them and whichever it takes.

    spare:  what its own forward saved, in order, for parameters that stand for nothing known
    cache:  the same as it was returned, for one that is called cache

    Raises ``CheckInputError`` in one line when a parameter stands for nothing there is.
    """
    saved = saved or {}
    values = {"dy": dy, **inputs, **{n: v for n, v in (*options.items(), *saved.items()) if n not in inputs}}
    values["every option"] = dict(options)
    values["cache"] = Cache({**options, **saved, **inputs}) if cache is None else cache
    values |= {f"saved {i}": v for i, v in enumerate(spare)}
    exact = {same(n): n for n in (*saved, *options, *inputs)}
    shown = {same(w): n for n in inputs for w in (symbols.get(n, n), ascii_text(symbols.get(n, n)))}
    usual = _usual((_SAVED, saved), (_OPTIONS, options), (_INPUTS, inputs))
    parameters = _parameters(function)
    cotangent = dict.fromkeys((*COTANGENT, *(same(p.name) for p in parameters or () if is_cotangent(p.name))), "dy")
    claims: list[Mapping[str, str]] = [
        {word: n for word, n in EXACTLY.items() if n in options or (n in inputs and "probs" in saved)},
        *(exact, shown, cotangent, usual, dict.fromkeys(_CACHE, "cache"), dict.fromkeys(_EVERY_OPTION, "every option")),
        {"w": "output"} if symbols.get("input") == "v" and "output" in saved else {},
    ]
    if parameters:
        _refuse_methods(parameters[0].name)
        asks = [p.name for p in parameters if same(p.name) in cotangent]
        free = [a for a in asks if same(a) not in exact and same(a) not in shown]
        if free or (asks and parameters[0].name == asks[0]):  # g is the cotangent unless only an input can be meant
            words = {w for n in inputs for w in other_names(n, symbols.get(n))}
            sure = [a for a in free or asks if same(a) not in words]  # g beside dy is a gain
            claims.insert(0, {same((sure or free or asks)[0]): "dy"})
    order = [*(f"saved {i}" for i in range(len(spare)))] or ["dy", *inputs, *options, *saved]
    bound = _bind(parameters, values, claims, order, ["dy", *inputs, *options], symbols)
    if "dy" not in bound.taken and np.ndim(dy):  # a loss may go without: then it is 1
        raise CheckInputError("has no parameter for the cotangent; call one dy")
    return bound


def bind_sizes(constructor: Callable[..., Any], options: Mapping[str, Any], size: int) -> dict[str, Any] | None:
    """The arguments of ``GroupNorm(num_groups, num_channels)``: settings, and how many numbers are learned; None where it wants more."""
    usual = {same(n): n for n in options} | _usual((_OPTIONS, options))
    found: dict[str, Any] = {}
    for p in _parameters(constructor) or ():
        word = same(p.name)
        if word in usual:
            found[p.name] = options[usual[word]]
        elif word in _WIDTHS:
            found[p.name] = size
        elif p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            return None
    return found


def bind_forward(function: Callable[..., Any], inputs: Mapping[str, Any], options: Mapping[str, Any], hidden: int = 0) -> Bound:
    """The arguments of a framework's forward function, such as ``layer_norm(input, normalized_shape, weight, bias, eps)``.

    hidden: how many parameters come first that the caller does not give (the ``ctx`` of an autograd function)
    """
    scaled = inputs.get("weight", next(iter(inputs.values())))
    shape = tuple(scaled.shape) if "weight" in inputs else tuple(scaled.shape)[-1:]
    extra = {"normalized_shape": shape, "running_mean": None, "running_var": None}
    values = {**extra, **inputs, **options}
    usual = _usual((_OPTIONS, options), (_INPUTS, inputs))
    claims = [{same(n): n for n in values}, usual]
    parameters = _parameters(function)
    order = [*inputs, *options]
    return _bind(None if parameters is None else parameters[hidden:], values, claims, order, order, {})


def _usual(*kinds: tuple[Sequence[Sequence[str]], Iterable[str]]) -> dict[str, str]:
    """The usual words for the names there are; where two go by one word, the earlier kind has it."""
    found: dict[str, str] = {}
    for groups, names in kinds:
        for group in groups:
            for n in names:
                if same(n) in group:
                    found = dict.fromkeys(group, n) | found
    return found


def _bind(
    parameters: Sequence[inspect.Parameter] | None,
    values: Mapping[str, Any],
    claims: Sequence[Mapping[str, str]],
    order: Sequence[str],
    starred: Sequence[str],
    symbols: Mapping[str, str],
) -> Bound:
    if parameters is None:
        return Bound(tuple(values[n] for n in starred), {}, frozenset(starred), ())
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    found: dict[str, str] = {}
    for claim in claims:
        for p in named:
            target = claim.get(p.name, claim.get(same(p.name)))
            count = isinstance(p.default, (int, float)) and target is not None and np.ndim(values.get(target, 0)) > 0
            if p.name not in found and target is not None and target not in found.values() and not count:
                found[p.name] = target
    by_name = len(found)
    guessed, sure = list[str](), list[str]()
    only = _the_only_one([p.name for p in named if p.name not in found and p.default is p.empty], values, found, symbols)
    for p in named:
        if p.name in found or p.default is not p.empty:
            continue
        left = [n for n in order if n not in found.values()]
        left = ["dy"] if p.name == only and "dy" in values and "dy" not in found.values() else left
        if same(p.name) in _STATISTICS:
            raise CheckInputError(
                f"takes {p.name}, saved from the forward pass, and nothing is known to be that: say what is, saved={{{p.name!r}: …}}"
            )
        if not left:
            raise CheckInputError(f"takes {p.name}, which is none of {', '.join(order)}")
        found[p.name] = left[0]
        text = f"its parameter {p.name} is taken for {symbols.get(left[0], left[0])}, by position"
        (sure if p.name == only else guessed).append(text)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for i, p in enumerate(named):
        if p.name not in found:
            continue
        if p.kind is not p.KEYWORD_ONLY and len(args) == i:  # none before it was left out
            args.append(values[found[p.name]])
        elif p.kind is p.POSITIONAL_ONLY:
            raise CheckInputError(f"takes {p.name} by position only, after parameters that nothing is known for")
        else:
            kwargs[p.name] = values[found[p.name]]
    kinds = {p.kind for p in parameters}
    rest = [n for n in starred if n not in found.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds and not kwargs:
        args += [values[n] for n in rest]
        found.update({f"*{n}": n for n in rest})
    elif inspect.Parameter.VAR_KEYWORD in kinds:
        kwargs.update({n: values[n] for n in rest if n not in kwargs})
        found.update({f"**{n}": n for n in rest})
    shown = [f"{p.name} = {symbols.get(found[p.name], found[p.name])}" for p in named if p.name in found]
    plain = all(same(p.name) in (found[p.name], symbols.get(found[p.name])) for p in named if p.name in found)
    first = named[0].name if named else ""
    if found.get(first) == "dy" and _COTANGENT.match(first):
        guessed = [g for g in guessed if not g.startswith(f"its parameter {first} ")]
    told = "" if plain else ", ".join(shown)
    for p in named:  # a default of its own is nothing that a call shows
        value = values[found[p.name]] if p.name in found and type(p.default) in (int, float) else None
        if isinstance(value, (int, float)) and value != p.default:
            sure.append(f"its own {p.name} = {p.default} is not used: it is given {value}")
    return Bound(tuple(args), kwargs, frozenset(found.values()), (*sure, *guessed) if by_name else (), tuple(guessed), told)


def _the_only_one(parameters: Sequence[str], values: Mapping[str, Any], found: Mapping[str, str], inputs: Iterable[str]) -> str:
    """The one parameter that no name tells, where one input is left and nothing saved has its shape: that is no guess.

    β does not count: no backward needs it.
    """
    if len(parameters) == 1 and np.ndim(values.get("dy", 0)) and "dy" not in found.values():
        return parameters[0]  # a backward has to take it
    left = [n for n in inputs if n in values and n not in found.values() and n != "bias"]
    if len(parameters) != 1 or len(left) != 1:
        return ""
    shape = np.shape(values[left[0]])
    rivals = [n for n, v in values.items() if n not in found.values() and n not in ("bias", "dy", left[0]) and np.ndim(v)]
    return "" if any(np.shape(values[n]) == shape for n in rivals) else parameters[0]


_STATISTICS = frozenset(word for group in _SAVED for word in group if len(word) > 1 or word in "yμσ")


def _parameters(function: Any) -> list[inspect.Parameter] | None:
    """None for what does not tell: compiled functions."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def _refuse_methods(first: str) -> None:
    if first == "self":
        raise CheckInputError("is a method without its object: give MyNorm(…).backward, not MyNorm.backward")
    if first == "ctx":
        raise CheckInputError("takes a ctx: give the torch.autograd.Function class itself, not its backward")
