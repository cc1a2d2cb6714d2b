"""Progress outlives what happens to files, nothing of a learner's is lost, and the worker outlives what it runs."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from tinygrad_norm import OptionError
from tinygrad_norm.engine import FileError
from tinygrad_norm.learn import Judged, Row, Worker, begin, course, junit, listing, open_desk, screen
from tinygrad_norm.learn.exercise import solution, stub
from tinygrad_norm.learn.screen import Shown, done
from tinygrad_norm.learn.state import FILE, VERSION, Progress, State, read_state

FIRST, SECOND = course.exercise_names()[:2]


class Here(Worker):
    """Judges in this process."""

    def verdict(self, name, text, path):
        return course.verdict(name, text, str(path))


@pytest.fixture
def session(tmp_path):
    return begin(open_desk(tmp_path / "mine")[0], Here())


def write(session, text, name=None):
    session.desk.file(name or session.name).write_text(text, encoding="utf-8")


# State ----------------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path):
    state = State(SECOND)
    state.of(FIRST).passed = True
    state.of(SECOND).terms = ["dx: μ"]
    state.write(tmp_path)
    assert read_state(tmp_path) == (State(SECOND, state.exercises, others={"exercises": {"nudge": {}, "square": {}}}), "")
    assert [p.name for p in tmp_path.iterdir()] == [FILE], "nothing is left beside it"


@pytest.mark.parametrize("text", ["", '{"current": "01', "[]", '{"exercises": []}', "\0"])
def test_a_broken_state_is_put_aside(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    for count in (1, 2):
        state, note = read_state(tmp_path)
        assert state == State()
        assert note.startswith(f"{FILE} was not whole; it is kept as {FILE}.broken-{count}")
        assert (tmp_path / f"{FILE}.broken-{count}").read_text() == text
        (tmp_path / FILE).write_text(text)


def test_a_newer_version_loses_nothing(tmp_path):
    newer = {
        "version": VERSION + 1,
        "current": SECOND,
        "theme": "dark",
        "exercises": {"nudge": {"passed": True, "stars": 3}, "to_come": {"passed": True}},
    }
    (tmp_path / FILE).write_text(json.dumps(newer))
    state, note = read_state(tmp_path)
    assert "written by a newer version" in note
    assert state.of(FIRST).passed
    state.of(FIRST).hints = 2
    state.write(tmp_path)
    found = json.loads((tmp_path / FILE).read_text())
    assert found["version"] == VERSION + 1
    assert found["theme"] == "dark"
    assert found["exercises"]["nudge"]["stars"] == 3
    assert found["exercises"]["nudge"]["hints"] == 2
    assert found["exercises"]["to_come"]["passed"]


def test_an_older_version_with_less_in_it(tmp_path):
    (tmp_path / FILE).write_text(
        json.dumps(
            {
                "current": 3,
                "exercises": {
                    "nudge": {"passed": True},
                    "square": "yes",
                    "gate": {"hints": "2"},
                    "kept": {"steps": {"a": "x", "b": 2}},
                },
            }
        )
    )
    state, note = read_state(tmp_path)
    assert not note
    assert state.of(FIRST) == Progress(passed=True)
    assert state.exercises["gate"] == Progress()
    assert state.exercises["kept"].steps == {"b": 2}


def test_a_state_that_cannot_be_written(tmp_path):
    with pytest.raises(FileError, match="Progress is not kept"):
        State().write(tmp_path / "nowhere")


# The folder -----------------------------------------------------------------------------------------------------------


def test_a_folder_is_made_found_from_within_and_may_be_moved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    desk, new = open_desk()
    assert new
    assert desk.folder == tmp_path / "tinygrad-norm-course"
    session = begin(desk, Here())
    write(session, solution(course.source(FIRST)))
    assert session.check().ok
    moved = desk.folder.rename(tmp_path / "elsewhere")
    (moved / "below").mkdir()
    monkeypatch.chdir(moved / "below")
    desk, new = open_desk()
    assert (desk.folder, new) == (moved, False)
    assert begin(desk, Here()).progress.passed


def test_nothing_of_the_learners_is_written_over(tmp_path):
    desk, _ = open_desk(tmp_path)
    desk.file(FIRST).write_text("mine", encoding="utf-8")
    open_desk(tmp_path)
    assert desk.file(FIRST).read_text() == "mine"
    assert desk.reset(FIRST) == tmp_path / "backup" / f"{FIRST}.1.py"
    assert desk.text(FIRST) == stub(course.source(FIRST))
    assert desk.reset(FIRST) is None
    desk.file(FIRST).write_text("again", encoding="utf-8")
    assert desk.reset(FIRST).read_text() == "again"
    assert (tmp_path / "backup" / f"{FIRST}.1.py").read_text() == "mine"


def test_a_file_with_an_older_number_and_one_that_is_gone(tmp_path):
    desk, _ = open_desk(tmp_path)
    desk.file(SECOND).rename(tmp_path / "09_square.py")
    assert desk.file(SECOND).name == "09_square.py"
    desk.lay()
    assert not (tmp_path / f"{SECOND}.py").exists()
    desk.file(FIRST).unlink()
    assert desk.text(FIRST) == stub(course.source(FIRST))


def test_a_file_that_is_no_text(tmp_path):
    desk, _ = open_desk(tmp_path)
    desk.file(FIRST).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="is not UTF-8; save it as such in your editor"):
        desk.text(FIRST)
    assert not desk.untouched(FIRST)
    assert desk.reset(FIRST).read_bytes() == b"\xff\xfe\x00"
    assert desk.untouched(FIRST)


def test_no_folder_where_a_file_is(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"no folder can be made at .*Name another: --folder DIR"):
        open_desk(tmp_path / "file")


# A session ------------------------------------------------------------------------------------------------------------


def test_a_way_through(session):
    assert session.name == FIRST
    assert not session.check().ok
    assert session.progress.attempts == 0, "what is found is nobody's attempt"
    write(session, solution(course.source(FIRST)).replace("(2 * h)", "h"))
    assert not session.check().ok
    assert session.progress.terms == ["12 for x² at 3, twice the slope"]
    with pytest.raises(OptionError, match="comes after passing, or after the last hint; 0 of 4 hints are read"):
        session.solution()
    for count in (1, 2, 3, 4, 4):
        assert len(session.hint()) == count
    write(session, solution(course.source(FIRST)))
    assert session.check().ok
    assert session.progress.counts, "hints do not matter"
    session.solution()
    assert session.progress.counts, "after passing, the solution is free"
    session.skip(SECOND)
    assert session.name == course.exercise_names()[2]
    status = session.status()
    assert (status["counts"], status["exercises"][1]["state"]) == (1, "skipped")
    assert "solved" in listing(session)[-3]


def test_hints_of_the_step_one_is_at(session):
    name = course.exercise_names()[-1]
    taught = course.exercise(name)
    session.go(name)
    assert session.hint() == [f"hint 1 of 4: {taught.hints[0]}"]
    for step, term in (("fused", "fused"), ("l4_norm", "l4_norm is registered nowhere")):
        session.progress.terms = [term]
        with pytest.raises(OptionError, match="0 of 4 hints are read"):
            session.solution()
        for count in (1, 2, 3, 4, 4):
            assert session.hint() == [f"hint {i} of 4 on {step}: {h}" for i, h in enumerate(taught.later[step][:count], 1)]
    assert session.solution()
    assert (session.progress.hints, session.progress.all_hints) == (1, 9)
    again, _ = read_state(session.desk.folder)
    assert again.of(name).steps == {"fused": 4, "l4_norm": 4}
    assert all(len(hints) == 4 and hints[0].endswith("?") for hints in taught.later.values())


def test_what_is_open_after_the_last_one(session):
    names = course.exercise_names()
    for n in names[2:]:
        session.state.of(n).passed = True
    assert done(session) == f"That was the last one; {len(names) - 2} of {len(names)} count, and open are 1, 2."
    for n in names[:2]:
        session.state.of(n).passed = True
    assert done(session) == f"That was the last one, and all {len(names)} are solved: the course is done."
    session.state.of(names[3]).seen = True
    assert "and open are 4." in done(session)


def test_a_list_fits_where_one_is(session):
    session.go("26_held_constant")
    told = listing(session, 22)
    assert len(told) <= 22
    assert any(line.startswith("> 26") for line in told)
    assert any(re.fullmatch(r"II  LayerNorm by hand +0/8", line) for line in told)
    assert len(listing(session)) > len(course.exercise_names())


def test_a_solution_that_was_seen_does_not_count(session):
    for _ in range(4):
        session.hint()
    text, path = session.solution()
    write(session, text)
    assert path.endswith(f"{FIRST}.py")
    assert session.check().ok
    assert session.progress.passed
    assert not session.progress.counts
    session.reset()
    assert session.progress.seen, "a reset does not make it unseen"


def test_a_prediction_is_kept_as_it_was_first(session):
    question = session.exercise.predict
    wrong = next(c for c in question.choices if c != question.answer)
    assert session.predict(wrong).startswith(f"you said {wrong}: it is {question.answer}.")
    assert session.predict(question.answer).startswith(f"you said {wrong}")


@pytest.mark.thorough
def test_what_a_file_predicts_is_kept_as_it_was_first(session):
    name = "18_find_the_bug"
    right = solution(course.source(name))
    write(session, right.replace('"five": "right"', '"five": "sign"'), name)
    assert session.check(name).terms == ("five",)
    write(session, right, name)
    assert session.check(name).ok
    assert session.state.of(name).predicted.endswith("five: sign")


def test_a_place_that_has_another_number_now(session):
    session.state.current = "77_square"
    session.state.write(session.desk.folder)
    assert begin(session.desk, Here()).name == SECOND


@pytest.mark.parametrize(("wide", "high"), [(80, 24), (40, 15), (200, 60), (30, 12)])
def test_a_screen_fits(session, wide, high):
    session.go("06_matmul")
    told = screen.lines(session, Shown(session.check(), ["a line"]), wide, high)
    assert sum(line != "link" for line, _ in told) >= 3
    if high >= 15:
        assert len(told) <= high
    assert all(len(line) <= wide for style, line in told if style != "link" and " " in line.strip())
    texts = "\n".join(line for _, line in told)
    assert "q quit" in texts.replace("\n  ", " ").replace("\n", " ")


# A teacher's file -----------------------------------------------------------------------------------------------------


def test_a_teachers_file():
    rows = [
        Row(FIRST, Judged(True, ("right",), 8), Progress(passed=True, hints=2)),
        Row(SECOND, Judged(False, ("wrong\x00",), 2, ("σ²: sum for mean",)), Progress(attempts=3)),
        Row("03_two_ways", Judged(False, ("…",), 1), Progress()),
    ]
    suite = ElementTree.fromstring(junit(rows))
    assert {k: suite.get(k) for k in ("tests", "failures", "skipped")} == {"tests": "3", "failures": "1", "skipped": "1"}
    told = [{p.get("name"): p.get("value") for p in case.find("properties")} for case in suite]
    assert [t["passed"] for t in told] == ["True", "False", "False"]
    assert told[0]["hints"] == "2"
    assert told[1]["wrong"] == "σ²: sum for mean"
    assert suite[1].find("failure").get("message") == "σ²: sum for mean"
    assert suite[2].find("skipped").get("message") == "not begun"


# The process ----------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_worker_outlives_what_it_runs(tmp_path):
    file = tmp_path / "01_nudge.py"
    right = solution(course.source(FIRST))
    with Worker(seconds=20) as worker:
        assert worker.verdict(FIRST, right, file).ok
        process = worker._process.pid
        assert "ZeroDivisionError" in worker.verdict(FIRST, "1/0", file).lines[0]
        assert worker.verdict(FIRST, "print('hi')", file).printed == ("hi",)
        assert "EOFError" in worker.verdict(FIRST, "input()", file).lines[0]
        assert worker.verdict(FIRST, "import os\nos.write(1, b'{}')\n" + right, file).ok, "the answers' line is its own"
        assert worker._process.pid == process, "and it is still warm"
        assert "ended (code 7)" in worker.verdict(FIRST, "import os\nos._exit(7)", file).lines[0]
        assert worker.verdict(FIRST, right, file).ok
        worker.seconds = 1
        judged = worker.verdict(FIRST, "while True: pass", file)
        assert judged.terms == ("does not end",)
        assert "no answer within 1 s: is there a loop that does not end?" in judged.lines[0]
        worker.seconds = 20
        assert worker.verdict(FIRST, right, file).ok
        assert worker.picture("02_square", None, tmp_path / "square.svg").endswith("square.svg")
    assert worker._process is None


@pytest.mark.thorough
def test_a_worker_has_no_more_memory_than_it_may(tmp_path):
    pytest.importorskip("resource")
    with Worker(memory=2048) as worker:
        judged = worker.verdict(FIRST, "import numpy as np\nx = np.ones(2**30)", tmp_path / "x.py")
        assert "more memory than it may have" in judged.lines[0]
