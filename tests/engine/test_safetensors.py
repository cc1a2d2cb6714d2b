"""The format safetensors: what is written byte by byte, what is read, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.engine.safetensors import _WORDS

RNG = np.random.default_rng(0)
STATE = {
    "weight": RNG.normal(size=(3, 4)).astype("float32"),
    "mask": np.array([True, False, True]),
    "γ": tn.tensor(RNG.normal(size=5), requires_grad=True),
    "steps": np.array(7),
    "half": np.arange(6, dtype="float16").reshape(2, 3).T,
    "nothing": np.zeros((0, 3)),
}


def table(content):
    n = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + n]), content[8 + n :]


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_there_and_back(tmp_path):
    path = tn.save(STATE, tmp_path / "a.safetensors")
    found = tn.load(path)
    assert list(found) == list(STATE)
    for name, value in STATE.items():
        expected = value.data if isinstance(value, tn.Tensor) else value
        assert found[name].dtype == expected.dtype
        assert found[name].flags.writeable
        np.testing.assert_array_equal(found[name], expected)
    (tmp_path / "weights").write_bytes(path.read_bytes())  # known by what is in it, too
    assert list(tn.load(tmp_path / "weights")) == list(STATE)
    assert tn.load(tn.save({}, tmp_path / "b.safetensors")) == {}


def test_byte_by_byte(tmp_path):
    a = np.array([[1.0, -2.5]], ">f4")  # in the other order here
    header, data = table(tn.save({"a": a}, tmp_path / "a.safetensors").read_bytes())
    assert header == {"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}}
    assert data == bytes.fromhex("0000803f000020c0")


def test_each_begins_at_a_multiple_of_its_width(tmp_path):
    content = tn.save(STATE, tmp_path / "a.safetensors").read_bytes()
    header, data = table(content)
    assert (len(content) - len(data)) % 8 == 0
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["data_offsets"][0] % np.dtype(_WORDS[entry["dtype"]]).itemsize == 0


@pytest.mark.parametrize("word", _WORDS)
def test_every_dtype(word, tmp_path):
    a = np.arange(6).astype(np.dtype(_WORDS[word]).newbyteorder("=")).reshape(2, 3)
    path = tn.save({"a": a}, tmp_path / "a.safetensors")
    assert table(path.read_bytes())[0]["a"]["dtype"] == word
    found = tn.load(path)["a"]
    assert found.dtype == a.dtype
    np.testing.assert_array_equal(found, a)


def test_bfloat16_is_read_exactly(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(file_of({"a": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}, bytes.fromhex("803f20c0807f")))
    found = tn.load(path)["a"]
    assert found.dtype == np.float32
    assert found.tolist() == [1.0, -2.5, np.inf]


def test_a_module_through_a_file(tmp_path):
    net, other = tn.nn.BatchNorm1d(3), tn.nn.BatchNorm1d(3)
    net(tn.tensor(RNG.normal(size=(5, 3)).astype("float32")))
    other.load_state_dict(tn.load(tn.save(net.state_dict(), tmp_path / "net.safetensors")))
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[key], value)


def test_as_the_package_reads_and_writes_it(tmp_path):
    package = pytest.importorskip("safetensors.numpy")
    path = tn.save(STATE, tmp_path / "a.safetensors")
    theirs = package.load_file(path)
    for name, value in tn.load(path).items():
        np.testing.assert_array_equal(theirs[name], value)
        assert theirs[name].dtype == value.dtype
    package.save_file(theirs, tmp_path / "b.safetensors")
    for name, value in tn.load(tmp_path / "b.safetensors").items():
        np.testing.assert_array_equal(theirs[name], value)


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
NEXT = {**GOOD, "data_offsets": [8, 16]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "its header should have 0 bytes, and 0 follow"),
        (b"\x05\0\0", "cut off"),
        ((99).to_bytes(8, "little") + b"{}", "its header should have 99 bytes, and 2 follow: it is cut off"),
        (b"\xff" * 8 + b"{}", "its header should have 18446744073709551615 bytes"),
        (file_of(b"{a}"), "its header is no JSON"),
        (file_of(b"{\xff\xff"), "its header is no JSON"),
        (file_of(b"{" + b'"a":{' * 100000), "its header is no JSON"),
        (file_of([1]), "its header is no table"),
        (file_of(b'{"a": 1, "a": 2}'), "'a' stands in its header twice"),
        (file_of({"a": 3}), "'a' has not a dtype, a shape and two offsets"),
        (file_of({"a": {"dtype": "F32", "shape": [2]}}), "'a' has not a dtype"),
        (file_of({"a": {**GOOD, "shape": [-2]}}, bytes(8)), "'a' has not a dtype"),
        (file_of({"a": {**GOOD, "shape": [2.0]}}, bytes(8)), "'a' has not a dtype"),
        (file_of({"a": {**GOOD, "data_offsets": [0, 8, 8]}}, bytes(8)), "'a' has not a dtype"),
        (file_of({"a": {**GOOD, "data_offsets": [-8, 0]}}, bytes(8)), "'a' has not a dtype"),
        (file_of({"a": {**GOOD, "dtype": "F8_E4M3"}}, bytes(8)), "'a' is of dtype 'F8_E4M3', which is not read; F64, F32"),
        (file_of({"a": {**GOOD, "dtype": ["F32"]}}, bytes(8)), r"'a' is of dtype \['F32'\], which is not read"),
        (file_of({"a": {**GOOD, "dtype": "F64"}}, bytes(8)), r"'a', F64 of shape \(2,\), has 16 bytes, its offsets say 8"),
        (file_of({"a": {**GOOD, "shape": [2**70]}}, bytes(8)), "its offsets say 8"),
        (file_of({"a": {**GOOD, "data_offsets": [8, 0]}}, bytes(8)), "its offsets say -8"),
        (
            file_of({"a": GOOD, "b": {**GOOD, "data_offsets": [4, 12]}}, bytes(12)),
            "'b' begins at 4, where 8 is due: the offsets overlap",
        ),
        (file_of({"a": GOOD, "b": GOOD}, bytes(8)), "the offsets overlap"),
        (file_of({"b": NEXT}, bytes(16)), "'b' begins at 8, where 0 is due: the offsets leave a gap"),
        (file_of({"a": GOOD, "b": NEXT}, bytes(15)), "its tensors take 16 bytes, and there are 15: it is cut off"),
        (file_of({"a": GOOD}, bytes(9)), "its tensors take 8 bytes, and there are 9: it is too long"),
    ],
)
def test_what_is_no_such_file_is_refused(content, words, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(tn.FileError, match=rf"load: .*a.safetensors is no whole .safetensors file: .*{words}"):
        tn.load(path)


def test_every_cut_is_noticed(tmp_path):
    content, path = tn.save(STATE, tmp_path / "a.safetensors").read_bytes(), tmp_path / "b.safetensors"
    for n in range(len(content)):
        path.write_bytes(content[:n])
        with pytest.raises(tn.FileError):
            tn.load(path)


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        ([np.ones(2)], "holds a dict of tensors by name, not"),
        ({"a": {"b": np.ones(2)}}, "'a' is .*; a .safetensors file holds tensors only. Save it as .npz"),
        ({3: np.ones(2)}, "3 cannot be a name"),
        ({"__metadata__": np.ones(2)}, "'__metadata__' cannot be a name"),
        ({"a": np.ones(2, complex)}, r"'a' is \(2,\) complex128; a .safetensors file has no such dtype"),
        ({"a": np.array(["x"])}, "has no such dtype"),
    ],
)
def test_what_it_cannot_hold_is_named(thing, words, tmp_path):
    with pytest.raises(tn.DTypeError, match=f"save: .*{words}"):
        tn.save(thing, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tn.save({"a": np.ones(1)}, tmp_path / "a.safetensors")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(tn.FileError, match="No space left"):
        tn.save({"a": np.zeros(1)}, path)
    assert tn.load(path)["a"].item() == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
