"""The course on the command line: without a terminal, and in a real one."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_norm
from tinygrad_norm.cli import main
from tinygrad_norm.learn import Worker, course
from tinygrad_norm.learn.exercise import solution

ROOT = Path(tinygrad_norm.__file__).parents[1]
FIRST, SECOND = course.exercise_names()[:2]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Worker, "verdict", lambda self, name, text, path: course.verdict(name, text, str(path)))
    return tmp_path / "tinygrad-norm-course"


def learn(capsys, *words):
    code = main(["learn", *words])
    return code, capsys.readouterr().out


def test_without_a_terminal(here, capsys):
    code, out = learn(capsys)
    assert code == 1
    assert "You will be able to measure a derivative" in out
    assert "tinygrad-norm learn hint 1" in out
    (here / f"{FIRST}.py").write_text(solution(course.source(FIRST)), encoding="utf-8")
    code, out = learn(capsys, "run", "1")
    assert code == 0
    assert "solved (11 checks). Next: tinygrad-norm learn run 2" in out
    assert "Read before: tinygrad-norm lesson 1, " in learn(capsys, "2")[1], "an exercise by itself is run"
    assert learn(capsys, "hint", "square")[1].startswith("hint 1 of 4: By how much does")
    assert "the last hint" not in learn(capsys, "hint", "square")[1]
    learn(capsys, "hint", "square")
    assert "the last hint" in learn(capsys, "hint", "square")[1]
    assert learn(capsys, "skip", "2")[1] == "skipped: it does not count. Now at 03_two_ways\n"
    (here / f"{SECOND}.py").write_text("mine", encoding="utf-8")
    assert learn(capsys, "reset", "2")[1].strip().replace("\\", "/") == "as it was found; yours is kept as backup/02_square.1.py"
    assert "x - h" in learn(capsys, "solution", "1")[1]
    listed = learn(capsys, "list")[1]
    assert "> 03  Two ways to y" in listed
    assert re.search(r"01  A nudge +passed", listed)
    assert learn(capsys, "status")[1].startswith(f"1 of {len(course.exercise_names())} solved; at 03_two_ways")
    found = json.loads(learn(capsys, "status", "--json")[1])
    assert [e["state"] for e in found["exercises"][:3]] == ["passed", "skipped", ""]


def test_looking_writes_nothing(here, capsys):
    assert "  01  A nudge" in learn(capsys, "list")[1].replace(">", " ")
    assert learn(capsys, "status")[1].startswith("0 of ")
    assert not here.exists()


def test_all_with_a_file_for_teachers(here, capsys, monkeypatch):
    monkeypatch.setattr(course, "exercise_names", lambda: (FIRST, SECOND))
    learn(capsys)
    (here / f"{FIRST}.py").write_text(solution(course.source(FIRST)), encoding="utf-8")
    code, out = learn(capsys, "check-all", "--junit", str(here / "report.xml"))
    assert code == 1
    assert "1 of 2 solved; 12 checks were run" in out
    assert 'name="hints"' in (here / "report.xml").read_text(encoding="utf-8")
    (here / f"{SECOND}.py").write_text(solution(course.source(SECOND)), encoding="utf-8")
    assert learn(capsys, "check-all")[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run"], "learn: run what? Give N"),
        (["run", "99"], "'99' is no exercise"),
        (["softmx"], "did you mean softmax?"),
        (["judge", "1"], "judge is none of the words: list, run"),
        (["list", "3"], "goes without 3"),
        (["hint", "--json"], "--json goes with status"),
        (["--junit", "x"], "--junit goes with check-all"),
        (["solution", "1"], "comes after passing, or after the last hint"),
    ],
)
def test_used_wrongly(here, capsys, words, says):
    assert main(["learn", *words]) == 2
    assert says in capsys.readouterr().err


# In a terminal --------------------------------------------------------------------------------------------------------


AT_A_TERMINAL = """
import fcntl, runpy, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # it is the terminal that Ctrl-C comes from
sys.argv = ["tinygrad-norm", "learn"]
runpy.run_module("tinygrad_norm", run_name="__main__")
"""


class Terminal:
    """The runner in a pseudo-terminal of 80 columns: what it shows, without colours."""

    def __init__(self, folder, **environment):
        import fcntl
        import pty
        import struct
        import termios

        self.mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", AT_A_TERMINAL],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **environment},
        )  # fmt: skip
        os.close(theirs)
        self.raw = self.text = ""

    def until(self, pattern, patience=60):
        """Read until the pattern is there, however its lines are broken, and forget all up to its end."""
        pattern = pattern.replace(" ", r"\s+")
        while not (found := re.search(pattern, self.text)):
            ready = select.select([self.mine], [], [], patience)[0]
            assert ready, f"waited in vain for {pattern!r}; there was:\n{self.text}"
            try:
                new = os.read(self.mine, 65536).decode(errors="replace")
            except OSError:
                new = ""
            assert new, f"it ended before {pattern!r}:\n{self.text}"
            self.raw += new
            self.text += re.sub(r"\x1b\]8;[^\x1b]*\x1b\\|\x1b\[[0-9;?]*[A-Za-z]", "", new)
        self.text = self.text[found.end() :]
        return found

    def press(self, key):
        os.write(self.mine, key.encode())

    def ends(self):
        """Its exit code."""
        while True:
            try:
                if not os.read(self.mine, 65536):
                    break
            except OSError:
                break
        code = self.process.wait(timeout=60)
        os.close(self.mine)
        return code


@pytest.fixture
def terminals():
    pytest.importorskip("pty")
    opened = []

    def open_one(*args, **kwargs):
        opened.append(Terminal(*args, **kwargs))
        return opened[-1]

    yield open_one
    for t in opened:
        if t.process.poll() is None:
            t.process.kill()
            t.process.wait()


@pytest.mark.thorough
def test_in_a_terminal(tmp_path, terminals):
    t = terminals(tmp_path)
    t.until("stands in the file as you find it")  # keys before that are not heard
    folder = tmp_path / "tinygrad-norm-course"
    file = folder / f"{FIRST}.py"
    t.until("made just now")
    t.press("n")
    t.until("Not yet solved. s skips it")
    t.press("p")
    t.until("1 1e-1   2 1e-5   3 1e-15")
    t.press("2")
    t.until("you said 1e-5: yes")
    t.press("h")
    t.until("hint 1 of 4: How far apart")
    right = solution(course.source(FIRST))
    file.write_text(right.replace("/ (2 * h)", "/ h"), encoding="utf-8")  # save: verdict
    t.until("twice the slope")
    file.write_text("def slope(f, x, h:\n", encoding="utf-8")  # a broken file
    t.until("line 1 is not Python")
    aside = folder / ".saved"
    aside.write_text(right, encoding="utf-8")
    aside.replace(file)  # as editors save
    t.until("Solved")
    t.press("x")
    t.until("Put the file back")
    t.press("y")
    t.until("yours is kept as backup/")
    t.until("nudge of 0.001 gives")
    t.until("q quit")
    t.press("n")  # it was passed once
    t.until("2 · A backward of your own")
    t.until("the slope of x² at x is missing")
    t.until("q quit")
    t.press("g")
    t.until("drawn: ")
    assert (folder / f"{SECOND}.svg").exists()
    t.press("d")
    t.until("any key goes back")
    t.press(" ")
    t.until("q quit")
    t.press("l")
    t.until(r"> 02  A backward of your own")
    t.press(" ")
    t.until("q quit")
    t.press("q")
    assert t.ends() == 0
    again = terminals(tmp_path)  # goes on where one stopped
    again.until("stands in the file as you find it")
    again.until("q quit")
    again.press("\x1b[A")  # an arrow is no key
    again.press("v")
    again.until("comes after passing, or after the last hint")
    again.process.send_signal(signal.SIGINT)
    again.until("Everything is kept")
    assert again.ends() == 130
    state = json.loads((folder / ".learn.json").read_text(encoding="utf-8"))
    assert state["exercises"]["nudge"]["passed"]
    assert state["exercises"]["nudge"]["predicted"] == "1e-5"


@pytest.mark.thorough
def test_a_file_that_hangs_in_a_terminal(tmp_path, terminals):
    t = terminals(tmp_path, NO_COLOR="1")
    t.until("q quit")
    file = tmp_path / "tinygrad-norm-course" / f"{FIRST}.py"
    file.write_text("while True: pass\n", encoding="utf-8")
    t.until("checking")
    t.until("is there a loop that does not end")
    file.write_bytes(b"\xff\xfe\x00")
    t.until("is not UTF-8")
    file.write_text(solution(course.source(FIRST)), encoding="utf-8")
    t.until("Solved")
    assert not re.search(r"\x1b\[[\d;]*3\dm", t.raw), "no colours where none are wanted"
    t.press("q")
    assert t.ends() == 0


@pytest.mark.thorough
def test_ctrl_c_while_a_file_hangs(tmp_path, terminals):
    t = terminals(tmp_path)
    t.until("q quit")
    file = tmp_path / "tinygrad-norm-course" / f"{FIRST}.py"
    file.write_text("while True: pass\n", encoding="utf-8")
    t.until("checking")
    t.press("\x03")
    t.until("Everything is kept")
    assert t.ends() == 130


@pytest.mark.thorough
def test_a_terminal_that_goes_away(tmp_path, terminals):
    t = terminals(tmp_path)
    t.until("q quit")
    os.close(t.mine)
    t.process.wait(timeout=60)
    assert (tmp_path / "tinygrad-norm-course" / ".learn.json").exists()
