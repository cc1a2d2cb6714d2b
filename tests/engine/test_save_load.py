"""Files of tensors: what goes in comes out, whole or not at all, and nothing is unpickled."""

from __future__ import annotations

import pickle
from collections import OrderedDict

import numpy as np
import pytest

import tinygrad_norm as tn


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for k in a:
            same(a[k], b[k])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            same(x, y)
    elif isinstance(a, (tn.Tensor, np.ndarray)):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(np.asarray(a.data), np.asarray(b.data))
        if isinstance(a, tn.Tensor):
            assert (a.name, a.requires_grad) == (b.name, b.requires_grad)
            assert b.is_leaf
    else:
        assert a == b


W = tn.tensor(np.arange(6, dtype=np.float32).reshape(2, 3), requires_grad=True, name="γ")
THINGS = {
    "tensor": W,
    "array": np.array([[1, 2]], np.int8),
    "state": OrderedDict([("0.weight", np.ones(3)), ("0.bias", np.zeros(3))]),
    "checkpoint": {
        "step": 7,
        "lr": 0.1,
        "best": None,
        "done": False,
        "name": "näme",
        "state": {"w": W, "moments": [np.zeros(2), (W, 3)]},
    },
    "empty": {},
    "nothing": None,
    "odd keys": {"__form__": np.ones(2), "0": 1, "a/b": [], "": ()},
    "not finite": {"x": float("inf"), "y": tn.tensor([np.nan, -np.inf])},
}


@pytest.mark.parametrize("name", THINGS)
def test_what_goes_in_comes_out(name, tmp_path):
    path = tn.save(THINGS[name], tmp_path / "file.npz")
    same(tn.load(path), THINGS[name]) if name != "not finite" else np.testing.assert_array_equal(
        tn.load(path)["y"].data, [np.nan, -np.inf]
    )


def test_a_module_goes_on_where_it_stopped(tmp_path):
    net, other = (tn.nn.Sequential(tn.nn.Linear(3, 4, seed=s), tn.nn.BatchNorm1d(4)) for s in (1, 2))
    net(tn.tensor(np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)))
    tn.save(net.state_dict(), tmp_path / "net.npz")
    other.load_state_dict(tn.load(tmp_path / "net.npz"))
    same(dict(other.state_dict()), dict(net.state_dict()))


def test_a_recorded_tensor_is_saved_as_its_values(tmp_path):
    y = (W * 2.0).named("y")
    again = tn.load(tn.save(y, tmp_path / "y.npz"))
    assert again.is_leaf
    np.testing.assert_array_equal(again.data, y.data)


def test_numpy_reads_it_and_plain_files_are_read(tmp_path):
    tn.save([W, np.ones(2)], tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["0"], W.data)
    np.savez(tmp_path / "b.npz", x=np.ones(3))
    assert list(tn.load(tmp_path / "b.npz")) == ["x"]
    np.save(tmp_path / "c.npy", np.arange(3))
    assert tn.load(tmp_path / "c.npy").tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (lambda x: x, "the object is .*state_dict"),
        ({"a": [1, {2}]}, r"\['a'\]\[1\] is \{2\}"),
        ({3.5: W}, "key 3.5; keys are text or whole numbers"),
        (np.array(["a"]), "dtype <U1; only numbers"),
        (tn.nn.Linear(2, 2), "Of a module save its state_dict"),
    ],
)
def test_what_cannot_be_saved_says_where_it_stands(thing, words, tmp_path):
    with pytest.raises(tn.DTypeError, match=f"save: .*{words}"):
        tn.save(thing, tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tn.save({"a": 1}, tmp_path / "file")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(tn.FileError, match="No space left"):
        tn.save({"a": 2}, path)
    assert tn.load(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_files_that_are_none(tmp_path):
    evil = tmp_path / "evil.npz"
    np.savez(evil, x=np.array([{"a": 1}], dtype=object))
    pickled = tmp_path / "evil.npy"
    pickled.write_bytes(pickle.dumps({"a": 1}))
    half = tmp_path / "half.npz"
    half.write_bytes(tn.save({"a": W}, tmp_path / "whole.npz").read_bytes()[:200])
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for path in (evil, pickled, half, empty, tmp_path / "missing", tmp_path):
        with pytest.raises(tn.FileError, match=r"load: .*(no file|cannot be read|is a folder)"):
            tn.load(path)
    with pytest.raises(tn.FileError, match=r"save: .*no/such"):
        tn.save(1, tmp_path / "no" / "such" / "file")
