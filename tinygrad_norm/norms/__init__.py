"""The normalizations: one file each, everything that is known about it."""

from .ada_norm import ada_norm
from .adain import adaptive_instance_norm
from .batch_norm import batch_norm
from .batch_renorm import batch_renorm
from .conditional_layer_norm import conditional_layer_norm
from .cosine_similarity import cosine_similarity
from .cross_entropy import cross_entropy
from .detach_norm import detach_norm
from .dyt import dynamic_tanh
from .film import film
from .filter_response_norm import filter_response_norm
from .global_response_norm import global_response_norm
from .graph_norm import graph_norm
from .group_norm import group_norm
from .instance_norm import instance_norm
from .l2_normalize import normalize
from .layer_norm import layer_norm
from .layer_scale import layer_scale
from .local_response_norm import local_response_norm
from .log_softmax import log_softmax
from .pair_norm import pair_norm
from .power_norm import power_norm
from .power_norm_v import power_norm_v
from .qk_norm import qk_norm
from .registry import Norm, UnknownNormError, forgetting, get, names, register
from .revin import revin, revin_out
from .rms_norm import rms_norm
from .scale_norm import scale_norm
from .settings import InputError, check_settings, draw, is_a_choice
from .softmax import softmax
from .spectral_norm import spectral_norm
from .switchable_norm import switchable_norm
from .weight_norm import weight_norm
from .weight_standardization import weight_standardization

__all__ = [
    "InputError",
    "Norm",
    "UnknownNormError",
    "ada_norm",
    "adaptive_instance_norm",
    "batch_norm",
    "batch_renorm",
    "check_settings",
    "conditional_layer_norm",
    "cosine_similarity",
    "cross_entropy",
    "detach_norm",
    "draw",
    "dynamic_tanh",
    "film",
    "filter_response_norm",
    "forgetting",
    "get",
    "global_response_norm",
    "graph_norm",
    "group_norm",
    "instance_norm",
    "is_a_choice",
    "layer_norm",
    "layer_scale",
    "local_response_norm",
    "log_softmax",
    "names",
    "normalize",
    "pair_norm",
    "power_norm",
    "power_norm_v",
    "qk_norm",
    "register",
    "revin",
    "revin_out",
    "rms_norm",
    "scale_norm",
    "softmax",
    "spectral_norm",
    "switchable_norm",
    "weight_norm",
    "weight_standardization",
]
