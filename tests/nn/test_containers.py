"""Sequential, ModuleList, ModuleDict, ParameterList: as lists and dicts, and as PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

nn = tn.nn


def numbered(library, kind):
    made = getattr(library, kind)
    parts = [library.Linear(i + 1, 1) for i in range(5)]
    members = made(*parts) if kind == "Sequential" else made(parts)
    seen = [len(members), [m.in_features for m in members[1:4]], type(members[1:4]).__name__, members[-1].in_features]
    members[1] = library.LayerNorm(2)
    del members[0]
    seen.append(list(members.state_dict()))
    assert members.append(library.Linear(9, 1, bias=False)) is members
    members.insert(1, library.Linear(7, 1))
    members.extend([library.Linear(8, 1)])
    seen += [list(members.state_dict()), [type(m).__name__ for m in members]]
    del members[1:3]
    return [*seen, list(members.state_dict()), len(members)]


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_members_by_number(kind):
    torch = pytest.importorskip("torch", reason="torch is not installed; parity with PyTorch is not checked")
    assert numbered(nn, kind) == numbered(torch.nn, kind)


def by_name(library):
    parts = library.ModuleDict({"a": library.Linear(1, 1), "b": library.LayerNorm(2)})
    parts["c"] = library.Linear(3, 1, bias=False)
    parts.update([("d", library.LayerNorm(1)), ("a", library.Linear(5, 1))])
    seen = [list(parts), list(parts.state_dict()), "c" in parts, "x" in parts, len(parts)]
    seen += [parts.pop("b").normalized_shape, [n for n, _ in parts.items()], [type(m).__name__ for m in parts.values()]]
    del parts["c"]
    return [*seen, list(parts.keys()), parts["a"].in_features, [n for n, _ in parts.named_modules()]]


def test_members_by_name():
    torch = pytest.importorskip("torch", reason="torch is not installed; parity with PyTorch is not checked")
    assert by_name(nn) == by_name(torch.nn)


def test_parameter_list():
    held = tn.tensor([1.0, 2.0], requires_grad=True)
    ps = nn.ParameterList([held, tn.tensor([3.0]), [4.0]])
    assert ps[0] is held
    assert [n for n, _ in ps.named_parameters()] == ["0", "1", "2"]
    assert all(p.requires_grad for p in ps)
    ps[1] = np.array([5.0])
    assert ps[1].requires_grad
    assert ps[1].item() == 5.0
    assert repr(ps).splitlines()[1] == "  (0): Parameter containing: [float64 of size 2]"
    with pytest.raises(tn.OptionError, match="does not say in which order"):
        ps(1)
