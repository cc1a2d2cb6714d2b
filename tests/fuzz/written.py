"""How arguments are written where neither the parameter's name nor its annotation tells: a state, a layer, a count of heads."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from tests.fuzz.scene import Scene

Texts = Callable[[Scene], tuple[str, ...]]

LAYERS = r"^nn\.(MultiheadAttention|Transformer\w+)$"


def _plain(*texts: str) -> Texts:
    return lambda s: texts


def _bools(shape: tuple[int, ...]) -> str:
    return f"(np.arange({math.prod(shape)}).reshape({shape}) % 3 == 1)"


def _layer(kind: str) -> Texts:
    return lambda s: (f"nn.Transformer{kind}Layer({s.features}, 1, 5)", f"nn.Transformer{kind}Layer({s.features}, 1, 5, 0.0)")


def _padding(s: Scene) -> tuple[str, ...]:
    """(N, L) for an input (L, N, E), (L,) for (L, E)."""
    return (_bools(s.shape[:2][::-1] if len(s.shape) > 2 else s.shape[:1]), "None")


def _pairs(s: Scene) -> tuple[str, ...]:
    steps = s.shape[0] if s.shape else 1
    return (_bools((steps, steps)), f"np.zeros(({steps}, {steps}))", "None")


#: Of which target, which parameter, what fits.
WRITTEN: tuple[tuple[str, str, Texts], ...] = (
    (r"^F\.one_hot$", r"tensor", _plain("tn.tensor([0, 2, 1])", "np.arange(6).reshape(2, 3)", "[1, 0]")),
    (r"^F\.one_hot$", r"num_classes", _plain("-1", "6", "7")),
    (r"^F\.revin_out$", r"mean|std", lambda s: (f"({s.array((*s.shape[:-2], 1, s.features), plain=True)} + 2)",)),
    (r"^F\.revin_out$", r"weight|bias", lambda s: (s.tensor((s.features,)), "None")),
    (r"^F\.spectral_norm$", r"u", lambda s: (s.array(s.shape[:1], plain=True),)),
    (r"^F\.spectral_norm$", r"v", lambda s: (s.array((math.prod(s.shape[1:]),), plain=True),)),
    (r"^F\.switchable_norm$", r"(mean|var)_weight", lambda s: (s.tensor((3,)), s.tensor((2,)))),
    (r"^F\.switchable_norm$", r"weight|bias", lambda s: (s.tensor((s.channels,)), "None")),
    (r"^F\.switchable_norm$", r"running_\w+", lambda s: (f"np.ones({s.channels})", "None")),
    (r"^F\.(graph|pair)_norm$|^nn\.(Graph|Pair)Norm$", r"mask", lambda s: (_bools(s.shape[:-1]), "None")),
    (r"^nn\.functional_call$", r"module", lambda s: (f"nn.Linear({s.features}, 3)", f"nn.LayerNorm({s.features})")),
    (
        r"^nn\.functional_call$",
        r"parameter_and_buffer_dicts",
        lambda s: ("{}", f"{{'weight': {s.tensor((3, s.features))}}}", f"[{{'bias': {s.tensor((3,))}}}]"),
    ),
    (r"^nn\.functional_call$", r"args", lambda s: (s.tensor(), f"({s.tensor()},)")),
    (r"^nn\.functional_call$", r"kwargs", _plain("None", "{}")),
    (r"^nn\.utils\.vector_to_parameters$", r"vec", _plain("np.arange(8.)", "tn.arange(8.)")),
    (r"^nn\.utils\.vector_to_parameters$", r"parameters", _plain("nn.Linear(3, 2).parameters()")),
    (r"^tn\.data\.(windows|batches|Batches)$", r"size|horizon", _plain("1", "2", "3")),
    (r"^tn\.data\.windows$", r"series", lambda s: (s.tensor((9,)), s.tensor((9, 2)))),
    (r"^tn\.optim\.", r"params", lambda s: ("nn.Linear(3, 2).parameters()", f"[{s.tensor()}]")),
    (r"^tn\.optim\.Optimizer$", r"defaults", _plain("{'lr': 0.1}")),
    (r"^tn\.optim\.", r"betas", _plain("(0.9, 0.99)", "(0.0, 0.5)")),
    (r"^tn\.optim\.\w+\.SequentialLR$", r"optimizer", _plain("(o := tn.optim.SGD([tn.tensor([1.])], 0.1))")),
    (r"^tn\.optim\.\w+\.SequentialLR$", r"schedulers", _plain("[tn.optim.lr_scheduler.StepLR(o, k) for k in (2, 3)]")),
    (r"^tn\.optim\.\w+\.SequentialLR$", r"milestones", _plain("[2]")),
    (r"^tn\.optim\.lr_scheduler\.", r"optimizer", _plain("tn.optim.SGD(nn.Linear(3, 2).parameters(), lr=0.1)")),
    (r"^tn\.optim\.lr_scheduler\.", r"lr_lambda", _plain("lambda x: 0.5", "[lambda x: 1.0]")),
    (r"^tn\.optim\.lr_scheduler\.", r"milestones", _plain("[2, 4]", "[1]")),
    (r"^tn\.randint$", r"bounds_and_size", _plain("5", "0", "(2, 3)")),
    (r"^tn\.(hessian|jacobian)$", r"argnums", _plain("0", "None")),
    (r"^tn\.Tensor$", r"data", lambda s: (s.array(s.shape) if s.shape else "np.array(0.5)",)),
    (r"^Tensor\.[ir]?(and|or|xor)$", r"other", lambda s: (s.tensor(dtype="bool"), "True")),
    (r"^Tensor\.setitem$", r"other", _plain("0.5", "1", "0")),
    (r"^Tensor\.format$", r"dtype", _plain("''", "'.3f'")),
    (LAYERS, r"num_heads|nhead|num_layers", _plain("1", "2", "1")),
    (LAYERS, r"dim_feedforward", _plain("5", "8")),
    (LAYERS, r"qk_norm", _plain("'none'", "'rms_norm'", "'layer_norm'")),
    (r"^nn\.Transformer\w+Layer$", r"norm", _plain("'none'", "'rms_norm'", "'layer_norm'", "'batch_norm'")),
    (r"^nn\.Transformer\w+Layer$", r"activation", _plain("'relu'", "'gelu'", "F.silu")),
    (r"^nn\.Transformer(En|De)coder$", r"norm", lambda s: ("None", f"nn.LayerNorm({s.features})")),
    (r"^nn\.TransformerEncoder$", r"encoder_layer", _layer("Encoder")),
    (r"^nn\.TransformerDecoder$", r"decoder_layer", _layer("Decoder")),
    (LAYERS, r"\w*key_padding_mask", _padding),
    (LAYERS, r"mask|(attn|src|tgt|memory)_mask", _pairs),
    (r"^F\.scaled_dot_product_attention$", r"query|key|value", lambda s: (s.tensor(),)),
    (LAYERS, r"src|tgt|memory|query|key|value", lambda s: (s.tensor(),)),
    (r"^nn\.(RNN|LSTM|GRU)\w*$", r"norm", _plain("'none'", "'rms_norm'", "'layer_norm'")),
    (r"", r"dropout(_p)?", _plain("0.0", "0.5", "1.0")),
)

#: What can only be asked of truth values, or of what is not on the record.
OF_BOOLS = re.compile(r"^[ir]?(and|or|xor)$|^invert$")
IN_PLACE = re.compile(r"[a-z]_$|^setitem$|^i(add|sub|mul|truediv|pow|matmul|floordiv|mod)$")


def texts(target: str, parameter: str, scene: Scene) -> tuple[str, ...]:
    """What fits this parameter of this target; nothing where its name and annotation tell."""
    found = (t for where, name, t in WRITTEN if re.fullmatch(name, parameter) and re.search(where, target))
    first = next(found, None)
    return first(scene) if first else ()
