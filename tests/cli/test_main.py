"""The command line: the main job, its options, its exit codes, and files that are not what they say."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import tinygrad_norm
from tinygrad_norm.cli import main
from tinygrad_norm.norms import get, names, registry


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def run(*argv, capsys):
    code = main([str(a) for a in argv])
    return code, *capsys.readouterr()


def test_the_main_job(tmp_path, capsys):
    code, out, err = run(capsys=capsys)
    assert (code, err) == (0, "")
    for words in (
        "LayerNorm    y = γ·(x − μ)/√(σ² + ε) + β",
        "handwritten digits 0, 1, 2",
        "through the μ inside σ²",
        "−rstd·x̂·mean(x̂·dy·γ)",
        "zero, because Σ(c) = 0",
        "‖A‖² = ‖dx‖² + ‖B‖² + ‖C‖²",
        "complex step – central diff",
        "agree: dx, dγ, dβ",
        "layer_norm.svg",
    ):
        assert words in out
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    ET.parse(tmp_path / "layer_norm.svg")
    assert (tmp_path / "layer_norm.dot").read_text(encoding="utf-8").startswith("digraph")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["layer_norm.dot", "layer_norm.svg"]


def test_the_word_compare_changes_nothing(capsys):
    assert run(capsys=capsys) == run("compare", "layer_norm", capsys=capsys)


@pytest.mark.parametrize(
    "options",
    [
        ("--shape", "4,8"),
        ("--shape", "2,3,4", "--seed", "7"),
        ("--shape", "5"),
        ("--dtype", "float32"),
        ("--dtype", "float64", "--eps", "1e-3"),
        ("--eps", "0", "--shape", "3,5"),
        ("--shape", "3,1"),
    ],
)
def test_options(options, capsys):
    code, out, err = run(*options, "--out", "pictures", capsys=capsys)
    assert (code, err) == (0, "")
    assert "agree" in out
    assert os.listdir("pictures")


def test_quiet_is_one_line(capsys):
    code, out, _ = run("--quiet", capsys=capsys)
    assert code == 0
    assert out.startswith("agree")
    assert out.count("\n") == 1


def test_json_is_json_and_nothing_else(capsys):
    code, out, _ = run("--json", "--shape", "4,8", capsys=capsys)
    data = json.loads(out)
    assert code == 0
    assert data["ok"] is True
    assert {p["gradient"] for p in data["pairs"]} == {"dx", "dγ", "dβ"}
    assert [r["letter"] for r in data["routes"]] == list("ABCD")


def test_the_seed_decides_the_numbers(capsys):
    def norms(seed):
        return [r["norm"] for r in json.loads(run("--json", "--shape", "4,8", "--seed", seed, capsys=capsys)[1])["routes"]]

    assert norms(1) == norms(1)
    assert norms(1) != norms(2)


def test_something_that_does_not_agree_is_exit_code_1(capsys, monkeypatch):
    from tinygrad_norm.norms.layer_norm import ANALYTIC

    monkeypatch.setattr(ANALYTIC, "kernel", None)
    rules = list(ANALYTIC.pullbacks)
    monkeypatch.setattr(ANALYTIC, "pullbacks", (lambda *a, **k: rules[0](*a, **k) * 2.0, *rules[1:]))
    code, out, _ = run(capsys=capsys)
    assert code == 1
    assert "DISAGREE" in out
    assert "WRONG" in out


# The user's own numbers -----------------------------------------------------------------------------------------


X = np.random.default_rng(0).normal(size=(5, 6))


def saved(kind):
    if kind == "npy":
        np.save("x.npy", X)
    elif kind == "npz":
        np.savez("x.npz", X)
    elif kind == "csv":
        np.savetxt("x.csv", X, delimiter=",")
    elif kind == "header.csv":
        np.savetxt("x.header.csv", X, delimiter=",", header="a,b,c,d,e,f", comments="")
    elif kind == "bom.csv":
        np.savetxt("x.bom.csv", X, delimiter=",", encoding="utf-8-sig")
    return f"x.{kind}"


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "header.csv", "bom.csv"])
def test_input_files(kind, capsys):
    code, out, err = run("--input", saved(kind), "--json", capsys=capsys)
    assert (code, err) == (0, "")
    assert json.loads(out)["inputs"]["input"] == {"shape": [5, 6], "dtype": "float64"}


def test_another_byte_order(capsys):
    np.save("be.npy", X.astype(">f8"))
    assert json.loads(run("--input", "be.npy", "--json", capsys=capsys)[1])["inputs"]["input"]["dtype"] == "float64"


def test_integers_and_float32_files(capsys):
    np.save("i.npy", np.arange(12).reshape(3, 4))
    np.save("f.npy", X.astype("float32"))
    assert json.loads(run("--input", "i.npy", "--json", capsys=capsys)[1])["inputs"]["input"]["dtype"] == "float64"
    assert json.loads(run("--input", "f.npy", "--json", capsys=capsys)[1])["inputs"]["input"]["dtype"] == "float32"


def test_an_archive_of_several_wants_a_key(capsys):
    np.savez("two.npz", a=X, b=X[:2])
    code, _, err = run("--input", "two.npz", capsys=capsys)
    assert code == 2
    assert "holds 2 arrays (a, b). Name one with --key" in err
    assert json.loads(run("--input", "two.npz", "--key", "b", "--json", capsys=capsys)[1])["inputs"]["input"]["shape"] == [2, 6]
    assert "no array 'c'" in run("--input", "two.npz", "--key", "c", capsys=capsys)[2]


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)
    return name


class Trap:
    def __reduce__(self):
        return (os.mkdir, ("trapped",))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: "nowhere.npy", r"nowhere.npy: No such file"),
        (lambda: os.mkdir("folder.npy") or "folder.npy", "Is a directory"),
        (lambda: write("empty.npy", b""), "not readable as npy"),
        (lambda: write("text.npy", b"hello"), "not readable as npy"),
        (lambda: write("broken.npz", b"PK\x03\x04 nothing"), "not readable as npz"),
        (lambda: write("empty.csv", b""), "is empty"),
        (lambda: write("only.csv", b"a,b\n"), "non-empty input"),
        (lambda: write("ragged.csv", b"1,2\n3\n"), "not readable as csv"),
        (lambda: write("typo.csv", b"l.5,2\n3,4\n"), "not readable as csv.*l.5"),
        (lambda: write("words.csv", b"1,2\n3,four\n"), "not readable as csv.*four"),
        (lambda: write("latin.csv", b"1,2\n3,\xff\n"), "not readable as csv"),
        (lambda: write("x.txt", b"1,2"), "unknown kind of file .txt. Expected .npy, .npz or .csv"),
        (lambda: write("x", b"1,2"), "no suffix"),
        (lambda: write("nan.csv", b"1,2\n3,nan\n"), r"not finite.*nan at \(1, 1\)"),
        (lambda: np.save("o.npy", np.array([Trap()]), allow_pickle=True) or "o.npy", "not readable as npy"),
        (lambda: np.save("c.npy", X + 1j) or "c.npy", "complex128, not real"),
        (lambda: np.save("s.npy", np.float64(3)) or "s.npy", "at least 1 axes"),
        (lambda: np.save("z.npy", np.zeros((0, 4))) or "z.npy", "non-empty"),
    ],
)
def test_bad_files_are_misuse_and_leave_nothing(make, words, capsys, tmp_path):
    name = make()
    before = sorted(os.listdir())
    code, out, err = run("--input", name, capsys=capsys)
    assert code == 2
    assert out == ""
    assert err.startswith("tinygrad-norm: ")
    assert __import__("re").search(words, err), err
    assert "Traceback" not in err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--shape", "4,x"], "expected positive sizes"),
        (["--shape", "0,4"], "expected positive sizes"),
        (["--shape", ""], "expected positive sizes"),
        (["--eps", "-1"], "from 0 on"),
        (["--eps", "nan"], "from 0 on"),
        (["--eps", "much"], "invalid"),
        (["--seed", "-1"], "from 0 on"),
        (["--dtype", "float16"], "invalid choice"),
        (["compare", "layer_nrom"], "there is no 'layer_nrom'. Did you mean layer_norm?"),
        (["layernorm"], "Did you mean layer_norm?"),
        (["BatchNorm2d"], "Did you mean batch_norm?"),
        (["--shape", "4,8", "--input", "x.npy"], "not allowed with"),
        (["--json", "--quiet"], "not allowed with"),
        (["--frobnicate"], "unrecognized"),
    ],
)
def test_misuse_is_exit_code_2(argv, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(capsys):
    write("file", b"")
    code, _, err = run("--out", "file", capsys=capsys)
    assert code == 2
    assert "file" in err


def test_help_and_version(capsys):
    for flag, words in (("--help", "Without arguments"), ("--version", "tinygrad-norm 0.")):
        with pytest.raises(SystemExit) as stop:
            main([flag])
        assert stop.value.code == 0
        assert words in capsys.readouterr().out


# As a process: pipes, encodings, no colours, nothing on the PATH ------------------------------------------------------


def process(*argv, **env):
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONIOENCODING", "PYTHONUTF8", "FORCE_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", "tinygrad_norm", *argv], capture_output=True, env={**clean, **env}, check=False, timeout=120
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp437"])
@pytest.mark.costly(1)
def test_terminals_without_greek(encoding):
    done = process(PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode("ascii")
    assert "through the mu inside sigma^2" in text
    assert "?" not in text
    assert "\x1b" not in text, "colour in a pipe"
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.thorough
def test_colour_only_where_wanted():
    assert b"\x1b[" in process(PYTHONIOENCODING="utf-8", FORCE_COLOR="1", TERM="xterm").stdout
    assert b"\x1b[3" not in process(PYTHONIOENCODING="utf-8", FORCE_COLOR="1", TERM="xterm", NO_COLOR="1").stdout


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_reader_that_leaves_early():
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{sys.executable}' -m tinygrad_norm | head -n 1"], capture_output=True, check=False, timeout=120
    )
    assert b"Traceback" not in done.stderr


@pytest.mark.thorough
def test_every_norm_has_its_own_job(capsys, tmp_path):
    for name in names():
        code, out, err = run("compare", name, "--out", tmp_path / name, capsys=capsys)
        assert (code, err) == (0, ""), name
        assert max(len(line) for line in out.splitlines() if not line.startswith("wrote")) <= 82, name
        assert "agree: d" in out
        ET.parse(tmp_path / name / f"{name}.svg")


@pytest.mark.thorough
def test_all_of_them_at_once(capsys, tmp_path):
    code, out, err = run("--all", capsys=capsys)
    cases = sum(1 + len(get(name).samples) for name in names())
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"agree: all {cases}"
    assert len(out.splitlines()) == cases + 3
    assert all(any(line.startswith(name + " ") for line in out.splitlines()) for name in names())
    assert not list(tmp_path.iterdir())
    code, out, _ = run("--all", "--json", capsys=capsys)
    assert len(json.loads(out)) == cases


@pytest.mark.thorough
def test_one_wrong_norm_among_them_is_named(capsys, monkeypatch):
    right = get("rms_norm")

    def apply(inputs, backward="recorded", **options):
        y = right.apply(inputs, backward=backward, **options)
        return y if backward == "recorded" else y * 1.001

    monkeypatch.setitem(registry._NORMS, "rms_norm", dataclasses.replace(right, apply=apply))
    code, out, _ = run("--all", capsys=capsys)
    assert code == 1
    assert "rms_norm" in out.split("DISAGREE")[0].splitlines()[-1]
    assert out.splitlines()[-1].endswith("DISAGREE")


@pytest.mark.parametrize(
    ("argument", "shown"),
    [("eps_mode=std", "eps_mode = std"), ("correction=1", "correction = 1"), ("eps=0.25", "ε = 0.25")],
)
def test_options_of_the_norm(argument, shown, capsys):
    code, out, _ = run("compare", "layer_norm", "--arg", argument, capsys=capsys)
    assert code == 0
    assert shown in out


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("momentum=3", "no option momentum"),
        ("eps_mode=3", "eps_mode=3; it is str"),
        ("eps=nan", "finite number"),
        ("eps_mode=outside", "variance"),
        ("shape=3", "no option shape"),
        ("seed=3", "no option seed"),
        ("eps_mode", "NAME=VALUE"),
    ],
)
def test_options_that_are_none(argument, words, capsys):
    try:
        code = main(["compare", "layer_norm", "--arg", argument])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("semicolons.csv", b"4;5;7\n1;2;3\n", "row 1 has '4;5;7'.* semicolons between its numbers; expected commas"),
        (
            "german.csv",
            b"a;b\n4,5;7,0\n",
            "row 2 .* semicolons between its numbers and decimal commas; expected commas between, and decimal points",
        ),
        ("tabs.csv", b"1\t2\n3\t4\n", "tabs between its numbers"),
        ("spaces.csv", b"1 2\n3 4\n", "spaces between its numbers"),
        ("ragged.csv", b"1,2\n3,4,5\n", "row 2 has 3 numbers, the first one 2"),
        ("text.npy", b"1,2\n3,4\n", "does not begin as one. Write it with numpy.save"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_our_words(name, content, words, tmp_path, capsys):
    (tmp_path / name).write_bytes(content)
    code, out, err = run("--input", name, capsys=capsys)
    assert (code, out) == (2, "")
    assert re.search(words, err)
    assert not re.search("usecols|pickle|loadtxt|Errno|could not convert", err)


def test_objects_and_half_precision_have_a_way_out(tmp_path, capsys):
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "o.npz", a=np.array([{}], dtype=object))
    np.save(tmp_path / "h.npy", np.random.default_rng(0).normal(size=(4, 8)).astype("float16"))
    for name in ("o.npy", "o.npz"):
        code, _, err = run("--input", name, capsys=capsys)
        assert code == 2
        assert "holds Python objects" in err
        assert "pickle" not in err
    code, _, err = run("--input", "h.npy", capsys=capsys)
    assert code == 2
    assert "--dtype float32" in err
    assert run("--input", "h.npy", "--dtype", "float32", "--quiet", capsys=capsys)[0] == 0


def test_a_file_in_place_of_a_folder(tmp_path, capsys):
    (tmp_path / "afile").write_text("x", encoding="utf-8")
    for place in ("afile", "afile/below"):
        code, _, err = run("--out", place, capsys=capsys)
        assert code == 2
        assert "is a file, or lies in one; --out names a folder" in err
        assert "Errno" not in err
    assert (tmp_path / "afile").read_text(encoding="utf-8") == "x"


def test_ctrl_c_prints_nothing(monkeypatch, capsys):
    def stopped(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["tinygrad_norm.cli.main"], "compare", stopped)
    assert run(capsys=capsys) == (130, "", "")


@pytest.mark.skipif(os.name == "nt", reason="no such pipes")
@pytest.mark.thorough
def test_a_reader_that_goes_away_is_no_error(tmp_path):
    import fcntl

    read, write = os.pipe()
    fcntl.fcntl(write, 1031, 4096)  # F_SETPIPE_SZ: a pipe that is soon full
    where = {**os.environ, "PYTHONPATH": str(Path(tinygrad_norm.__file__).parents[1])}
    command = [sys.executable, "-m", "tinygrad_norm"]
    process = subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE, cwd=tmp_path, env=where)
    os.close(write)
    os.read(read, 10)
    os.close(read)
    assert process.communicate(timeout=120)[1] == b""
    assert process.returncode == 0
