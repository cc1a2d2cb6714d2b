"""What constructors and functions of nn refuse, and in which words. No raw exception, whatever is given."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tinygrad_norm as tn

nn = tn.nn
LINEAR = nn.Linear(3, 2)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: nn.Linear(3.5, 2), tn.DTypeError, r"Linear: in_features=3.5; it is a whole number from 0 on"),
        (lambda: nn.Linear(-1, 2), tn.OptionError, r"Linear: in_features=-1; it is a whole number from 0 on"),
        (lambda: nn.Linear(True, 2), tn.DTypeError, "in_features=True"),
        (lambda: nn.Linear(3, 2, bias="no"), tn.OptionError, "Linear: bias='no'; it is True or False"),
        (lambda: nn.Linear(3, 2, seed="a"), tn.OptionError, "Linear: seed='a'; it is a whole number"),
        (lambda: nn.Linear(3, 2, seed=-1), tn.OptionError, "Linear: seed=-1"),
        (lambda: nn.Linear(10**12, 10**12), tn.ShapeError, r"Linear: W of shape .* is too large"),
        (lambda: nn.Conv2d(2, 2, 0), tn.ShapeError, "Conv2d: kernel_size=0; give an int from 1 on"),
        (lambda: nn.Conv2d(2, 2, "a"), tn.ShapeError, "Conv2d: kernel_size='a'"),
        (lambda: nn.Conv2d(2, 2, 3, stride=0.5), tn.ShapeError, "Conv2d: stride=0.5"),
        (lambda: nn.Conv2d(2, 2, 3, padding="around"), tn.OptionError, 'Conv2d: padding=\'around\'; it is "valid" or "same"'),
        (lambda: nn.Conv2d(2, 2, 3, 2, "same"), tn.OptionError, "only with stride=1"),
        (lambda: nn.Conv2d(2, 2, 3, groups="a"), tn.DTypeError, "Conv2d: groups='a'"),
        (lambda: nn.BatchNorm1d("a"), tn.DTypeError, "BatchNorm1d: num_features='a'"),
        (lambda: nn.BatchNorm1d(3, momentum="a"), tn.DTypeError, "BatchNorm1d: momentum='a'"),
        (lambda: nn.BatchNorm1d(3, momentum_of="both"), tn.OptionError, "BatchNorm1d: momentum_of='both'"),
        (lambda: nn.BatchNorm2d(3, eps=None), tn.DTypeError, "BatchNorm2d: eps=None; it is a number"),
        (lambda: nn.InstanceNorm1d(3, affine=2), tn.OptionError, "InstanceNorm1d: affine=2; it is True or False"),
        (lambda: nn.GroupNorm(2, 3), tn.ShapeError, "GroupNorm: num_channels=3 with num_groups=2"),
        (lambda: nn.GroupNorm(1, -3), tn.OptionError, "GroupNorm: num_channels=-3"),
        (lambda: nn.LayerNorm(-3), tn.ShapeError, "LayerNorm: normalized_shape=-3; it is a size from 0 on"),
        (lambda: nn.LayerNorm(()), tn.ShapeError, r"LayerNorm: normalized_shape=\(\)"),
        (lambda: nn.LayerNorm(3, eps="a"), tn.DTypeError, "LayerNorm: eps='a'"),
        (lambda: nn.LayerNorm(3, eps_mode="a"), tn.OptionError, 'LayerNorm: eps_mode=\'a\'; it is "variance" or "std"'),
        (lambda: nn.RMSNorm(3, partial=2), tn.OptionError, "RMSNorm: partial=2; it is a number above 0 and up to 1"),
        (lambda: nn.AdaNorm(3, k=None), tn.DTypeError, "AdaNorm: k=None"),
        (lambda: nn.DynamicTanh(3, "a"), tn.DTypeError, "DynamicTanh: alpha_init='a'"),
        (lambda: nn.LayerScale(1.5), tn.DTypeError, "LayerScale: dim=1.5"),
        (lambda: nn.FiLM("a", 2), tn.DTypeError, "FiLM: num_features='a'"),
        (lambda: nn.AdaLayerNorm(2, None), tn.DTypeError, "AdaLayerNorm: cond_dim=None"),
        (lambda: nn.Softmax("a"), tn.ShapeError, "Softmax: dim='a'; name the axis"),
        (lambda: nn.Softmax(None), tn.ShapeError, "Softmax: dim=None; name the axis"),
        (lambda: nn.CrossEntropyLoss(reduction="max"), tn.OptionError, 'CrossEntropyLoss: reduction=\'max\'; it is "none", "mean" or'),
        (lambda: nn.CosineSimilarity(eps="a"), tn.DTypeError, "CosineSimilarity: eps='a'"),
        (lambda: nn.LocalResponseNorm(0), tn.OptionError, "LocalResponseNorm: size=0"),
        (lambda: nn.Normalize(p=0), tn.OptionError, "Normalize: p=0"),
        (lambda: nn.NFResidual(3), tn.DTypeError, "NFResidual: branch=3; it is a module"),
        (lambda: nn.NFResidual(LINEAR, beta="a"), tn.DTypeError, "NFResidual: beta='a'"),
        (lambda: nn.NFResidual(LINEAR, shortcut=3), tn.DTypeError, "NFResidual: shortcut=3"),
        (lambda: nn.BatchRenorm1d(3, schedule=3), tn.DTypeError, "BatchRenorm1d: schedule=3; it is a function"),
        (lambda: nn.BatchRenorm1d(3, schedule=lambda s: 3)(np.ones((2, 3))), tn.DTypeError, "schedule gave 3"),
        (lambda: nn.PowerNorm(3, warmup_iters=-1), tn.OptionError, "PowerNorm: warmup_iters=-1"),
        (lambda: nn.WeightNorm(LINEAR, "a"), tn.DTypeError, "WeightNorm: dim='a'"),
        (lambda: nn.SpectralNorm(LINEAR, 0), tn.OptionError, "SpectralNorm: n_power_iterations=0"),
        (lambda: nn.WeightStandardization(LINEAR, gain=3), tn.OptionError, "WeightStandardization: gain=3"),
        (lambda: nn.adaptive_grad_clip_([1]), tn.DTypeError, "adaptive_grad_clip_: 1 is no parameter"),
        (lambda: nn.adaptive_grad_clip_(3), tn.DTypeError, "adaptive_grad_clip_: 3 is no parameter"),
        (lambda: nn.expected_variances("a"), tn.DTypeError, "expected_variances: depth='a'"),
        (lambda: nn.expected_variances(3, transitions=3), tn.DTypeError, "transitions=3; it is a list of blocks"),
        (lambda: nn.activation_gain(3), tn.DTypeError, "activation_gain: 3 is neither a name nor a function"),
        (lambda: nn.activation_gain(lambda z: "a"), tn.DTypeError, "gave no array of that shape"),
        (lambda: nn.Sequential(3), tn.DTypeError, "Sequential: member 0 is a int, which cannot be called"),
        (lambda: nn.ModuleList(3), tn.DTypeError, "ModuleList: 3 is no list of members"),
        (lambda: nn.ModuleDict({"a": 3}), tn.DTypeError, "ModuleDict: member 'a' is a int"),
        (lambda: nn.ModuleDict({"a.b": LINEAR}), nn.ModuleError, "'a.b' cannot be the name of a part"),
        (lambda: nn.ModuleDict({"keys": LINEAR}), nn.ModuleError, "an attribute 'keys' that is something else"),
        (lambda: nn.ModuleDict([3]), tn.DTypeError, "3 is no pair of a name and a module"),
        (lambda: nn.Sequential(LINEAR)[1], nn.ModuleError, "Sequential: there is no member 1; it has 1"),
        (lambda: nn.Sequential(LINEAR)["a"], nn.ModuleError, "Sequential: 'a' is no place in it"),
        (lambda: nn.ModuleDict({"a": LINEAR})["b"], nn.ModuleError, "ModuleDict: there is no member 'b'. It has: a"),
        (lambda: nn.BatchNorm1d(2)(np.ones((3, 2), complex)), tn.DTypeError, "running statistics are real"),
        (lambda: nn.BatchNorm1d(2)({}), tn.DTypeError, "BatchNorm1d: input"),
        (lambda: nn.GroupNorm(1, 2)(None), tn.DTypeError, "GroupNorm: input"),
        (lambda: nn.BatchNorm1d(3, affine=np.array([])), tn.OptionError, r"affine=\(0,\) float64; it is True or False"),
        (lambda: nn.BatchNorm1d(3, eps=-1.0)(np.ones((2, 3))), tn.OptionError, "batch_norm: eps=-1.0; it is a number from 0 on"),
        (lambda: nn.AdaIN(eps=float("nan")), tn.OptionError, "AdaIN: eps=nan; it is a number"),
        (lambda: nn.LayerNorm(10**15), tn.ShapeError, r"LayerNorm: γ of shape .* is too large"),
        (lambda: nn.FiLM(3, 10**30), tn.ShapeError, r"FiLM: W of shape .* is too large"),
        (lambda: nn.BatchNorm1d(10**15, affine=False), tn.ShapeError, r"BatchNorm1d: m of shape .* is too large"),
        (lambda: nn.Parameter(2), tn.DTypeError, r"Parameter: data \(\) int64 has no gradients"),
        (lambda: nn.Parameter("a"), tn.DTypeError, "Parameter: data"),
        (lambda: nn.ModuleList().insert(np.array([0, 1]), LINEAR), nn.ModuleError, r"\(2,\) int64 is no place in it"),
        (lambda: nn.ModuleList().insert(len, LINEAR), nn.ModuleError, "function.* len is no place in it"),
        (lambda: nn.ModuleDict().pop(tn.tensor(np.ones((9, 9)))), nn.ModuleError, r"no member \(9, 9\) float64"),
        (lambda: LINEAR.state_dict(destination=1j), tn.DTypeError, "state_dict: destination=1j; it is a dict"),
        (lambda: LINEAR.get_submodule(object()), nn.ModuleError, "Linear: no part has the name ‹object›"),
        (lambda: LINEAR.get_buffer(len), nn.ModuleError, "no buffer has the name builtin"),
        (lambda: LINEAR.add_module(object(), LINEAR), nn.ModuleError, "‹object› cannot be the name of a part"),
        (lambda: LINEAR.register_parameter("p", object()), tn.DTypeError, "'p' is ‹object›, which is no tensor"),
        (lambda: LINEAR.forward_with(2.0, np.ones((1, 3))), tn.ShapeError, r"Linear: weight \(\) float64; it must be of shape \(2, 3\)"),
        (lambda: nn.NFResidual(LINEAR)(np.ones((1, 3))), tn.ShapeError, r"NFResidual: the branch gave \(1, 2\)"),
        (lambda: nn.BatchNorm1d(2, 1e-5, eps=1), TypeError, r"^BatchNorm1d.__init__\(\) got multiple values"),
        (lambda: nn.InstanceNorm3d(2, bogus=1), TypeError, r"^InstanceNorm3d.__init__\(\) got an unexpected"),
        (lambda: nn.SkipInit(bogus=1), TypeError, r"^SkipInit.__init__\(\) got an unexpected"),
        (lambda: LINEAR(1, 2), TypeError, r"^Linear.forward\(\) takes 2 positional arguments"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def constructors():
    for name in nn.__all__:
        thing = getattr(nn, name)
        if inspect.isclass(thing) and issubclass(thing, nn.Module) and thing is not nn.Module:
            yield name, thing


GIVEN = {
    "encoder_layer": nn.TransformerEncoderLayer(3, 1, 4), "decoder_layer": nn.TransformerDecoderLayer(3, 1, 4),
    "length": 5, "hidden_size": 3, "input_size": 3, "num_embeddings": 4, "embedding_dim": 3, "embed_dim": 3, "num_heads": 1, "d_model": 3,
    "nhead": 1, "output_size": 1, "num_layers": 1,
    "normalized_shape": 3, "num_features": 3, "num_groups": 1, "num_channels": 3, "in_features": 3, "out_features": 2,
    "in_channels": 2, "out_channels": 2, "kernel_size": 2, "dim": 1, "cond_dim": 2, "size": 3, "layer": LINEAR, "branch": LINEAR,
}  # fmt: skip


def parameters(make):
    return inspect.signature(make).parameters.values()


@pytest.mark.parametrize(("name", "make"), [c for c in constructors() if "dtype" in inspect.signature(c[1]).parameters])
def test_every_dtype_is_checked(name, make):
    needed = {p.name: GIVEN[p.name] for p in parameters(make) if p.default is p.empty}
    for bad in ("foo", int, "complex64", 3, [1], object(), ">f4", np.int8(3)):
        with pytest.raises(tn.DTypeError, match=r"\w+: dtype=.*; it is a floating-point dtype"):
            make(**needed, dtype=bad)
    needed = {n: v for n, v in needed.items() if v is not LINEAR} | {n: tn.relu for n, v in needed.items() if v is LINEAR}
    for good in ("float64", np.float64, np.dtype("f8"), float):
        assert {p.dtype for p in make(**needed, dtype=good).parameters()} <= {np.dtype(np.float64)}
    assert {p.dtype for p in make(**needed, dtype=None).parameters()} <= {np.dtype(np.float32)}, "None is PyTorch's default"


WRONG = (None, "a", -1, 3.5, float("nan"), (), [1, "a"], {}, object(), np.arange(3), np.float16, lambda *a: 1, 1j, "", b"x",
         tn.tensor([1.0, 2.0], requires_grad=True), LINEAR, np.datetime64("2020"), slice(None), 10**19)  # fmt: skip
INPUTS = (np.ones((2, 3), "f4"), np.ones((3, 3, 2, 2)), 3, None, "a", [[1, 2], [3]], np.ones((0, 3)), object(), np.ones((2, 3), complex),
          np.arange(6).reshape(2, 3), np.array(["a"]))  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # IEEE's NaN and ∞, of which NumPy says so
@pytest.mark.parametrize(("name", "make"), list(constructors()))
def test_only_errors_of_the_projects_own(name, make):
    """Each argument of each constructor with each wrong value, then called with everything."""
    made, said = 0, []
    needed = {
        p.name: GIVEN[p.name]
        for p in parameters(make)
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    for p in parameters(make):
        for value in WRONG[:-1] if p.name == "n_power_iterations" else WRONG:  # so many rounds would be done
            try:
                module = make(value) if p.kind is p.VAR_POSITIONAL else make(**{**needed, p.name: value})
            except tn.TinygradNormError as error:
                said.append(str(error))
                continue
            made += 1
            if callable(value) and not isinstance(value, nn.Module):
                continue  # what somebody's own function raises is theirs
            count = sum(q.default is q.empty for q in parameters(module.forward))
            for x in INPUTS:
                try:
                    module(*[x] * count)
                except tn.TinygradNormError as error:
                    said.append(str(error))
    assert all(len(words) > 20 for words in said)
    flags = all(isinstance(p.default, bool) for p in parameters(make))  # none of the values is one
    assert made or flags, "all was refused, so that nothing was tried"


def test_helpers_are_nobody_elses():
    """What a module only asks itself has no public name beside those that PyTorch's modules have."""
    for _, make in constructors():
        assert not {"admit", "mapped", "real", "count", "function", "modulation"} & set(dir(make))


def test_a_class_of_ones_own_keeps_its_constructor():
    class Mine(nn.BatchNorm1d):
        def __init__(self, n):
            super().__init__(n, affine=False)

    assert Mine(3).weight is None
    assert inspect.signature(nn.BatchNorm2d) == inspect.signature(nn.BatchNorm1d)
    assert nn.InstanceNorm1d.__init__.__qualname__ == "InstanceNorm1d.__init__"
