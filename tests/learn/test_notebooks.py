"""Every lesson as a notebook, from an empty folder, with nothing but the wheel: no checkout beside it, no NumPy of the tests' own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_norm.learn import course
from tinygrad_norm.learn.lessons import lesson_names

ROOT = course.lessons().parent
PLAY = """
import json, sys, nbformat, nbclient
name = sys.argv[1]
book = nbformat.read(name + ".ipynb", 4)
try:
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
except nbclient.exceptions.CellExecutionError as error:  # what it needs besides is not installed, and it has said what to do
    if (error.ename, error.evalue) != ("SystemExit", "0"):
        raise
outputs = [o for c in book.cells if c.cell_type == "code" for o in c.outputs]
drawn = any("<svg" in str(value) for o in outputs for value in o.get("data", {}).values())
text = "".join(o.get("text", "") for o in outputs if o.get("name") == "stdout")
print(json.dumps({"drawn": drawn, "last": text.rstrip().splitlines()[-1]}))
"""


def run(*command: str | Path, cwd: Path) -> str:
    """What it prints. Nothing of the checkout is on its path, and a home of its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_TARGET"))}
    env |= {"HOME": str(cwd.parent / "home"), "OMP_NUM_THREADS": "1", "IPYTHONDIR": str(cwd.parent / "ipython")}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def installed(tmp_path_factory):
    """The ``bin`` of an environment with the wheel, nbclient and a kernel."""
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("what the wheel is made of is not beside the tests")
    place = tmp_path_factory.mktemp("wheel")
    parts = ("pyproject.toml", "README.md", "LICENSE", "tinygrad_norm", "lessons")
    (place / "source").mkdir()
    for part in parts:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, place / "source" / part)
    (place / "home").mkdir()
    run(sys.executable, "-m", "venv", place / "env", cwd=place / "home")
    bin = place / "env" / ("Scripts" if os.name == "nt" else "bin")
    try:
        run(
            bin / "python",
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--quiet",
            "-w",
            place / "wheels",
            place / "source",
            cwd=place / "home",
        )
        (wheel,) = (place / "wheels").glob("*.whl")
        run(bin / "python", "-m", "pip", "install", "--quiet", wheel, "nbclient", "ipykernel", cwd=place / "home")
    except AssertionError as error:
        if any(
            words in str(error)
            for words in ("No matching distribution", "Failed to establish", "Temporary failure", "Connection")
        ):
            pytest.skip("no index of packages can be reached")
        raise
    return bin


def as_a_notebook(name: str, bin: Path, folder: Path) -> None:
    """Written there, played there, and nothing else is there afterwards."""
    folder.mkdir(parents=True)
    run(bin / "tinygrad-norm", "lesson", name, "--notebook", cwd=folder)
    assert [p.name for p in folder.iterdir()] == [f"{name}.ipynb"]
    seen = json.loads(run(bin / "python", "-c", PLAY, name, cwd=folder).splitlines()[-1])
    assert seen["last"].startswith("ok: "), seen
    assert [p.name for p in folder.iterdir()] == [f"{name}.ipynb"], "a lesson writes nothing"
    prints_graph = "print(tn.graph(" in (course.lessons() / f"{name}.py").read_text(encoding="utf-8")
    assert seen["drawn"] or not prints_graph, "a picture is shown where it is made"


@pytest.mark.thorough
def test_every_lesson_runs_as_a_notebook_from_an_empty_folder(installed, tmp_path):
    """One test for all: the environment takes longer than the lessons."""
    failed = {}
    for name in lesson_names().values():
        try:
            as_a_notebook(name, installed, tmp_path / name / "learner")
        except AssertionError as error:
            failed[name] = str(error)[-1500:]
    assert not failed, "\n\n".join(f"{name}: {text}" for name, text in failed.items())
