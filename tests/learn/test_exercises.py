"""Every exercise: what is found fails and says why, the solution passes, and each known wrong answer gets its sentence."""

from __future__ import annotations

import ast
import re

import pytest

import tinygrad_norm as tn
from tinygrad_norm import OptionError
from tinygrad_norm.learn import claim_names, course
from tinygrad_norm.learn.exercise import TEACHER, Wrong, learners_part, own_lines, regions, solution, stub, with_mistake
from tinygrad_norm.learn.judging import Facts
from tinygrad_norm.learn.lessons import lesson_called, lesson_text

NAMES = course.exercise_names()
ARC = [word for lessons in course.PARTS.values() for word in lessons]
each = pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)


@pytest.fixture
def name(number):
    return NAMES[number]


PRODUCT = re.compile(r"[^\s(),;]+·[^\s(),;]+")
TRIED = "\n# tried\n"  # a file that was touched is diagnosed, one as it is found is not


def said(name, text):
    judged = course.verdict(name, text, f"{name}.py")
    return judged, "\n".join(judged.lines)


@each
def test_the_solution_passes_and_something_was_checked(name):
    judged, text = said(name, solution(course.source(name)))
    assert judged.ok, text
    assert judged.checks > 0


@each
def test_what_is_found_fails_in_the_words_of_its_subject(name):
    judged, text = said(name, stub(course.source(name)))
    assert not judged.ok
    assert judged.checks > 0
    assert not re.search(r"\w+Error|Traceback|raised", text), text
    found, exercise = judged.lines, course.exercise(name)
    if len(found) > 1:
        assert found[0].startswith("nothing is written yet: ")
        assert found[1].startswith("as it is found: ")
        assert len(found) == 2, "no diagnosis: of what nobody has tried yet it would be the answer"
    else:
        assert found[0].startswith("not yet: ")
    assert not [h for h in exercise.hints[2:] for part in PRODUCT.findall(h) if part in text], "nor a hint"
    assert course.exercise(name).wrong[0].was == "", "the first wrong answer is the file as it is found, with its sentence"


@pytest.mark.thorough
@each
def test_every_known_wrong_answer_gets_its_sentence(name):
    wrongs = course.exercise(name).wrong
    assert len(wrongs) > 1
    for wrong in wrongs:
        whole = with_mistake(course.source(name), wrong) + TRIED
        judged, text = said(name, whole)
        assert not judged.ok, wrong
        assert wrong.says in text, f"{wrong}\n{text}"
        assert judged.terms, "for the teacher's list"
        assert not re.search(r"^ *right: ", text, re.M), "it names what is wrong, and not the whole answer"
        assert "with the same numbers" not in text, "one reading of it"
        assert {int(n) for n in re.findall(r"^ +[a-z, ]*line (\d+)", text, re.M)} <= own_lines(whole), (
            "none of the course's is blamed"
        )


@each
def test_what_stands_in_it(name):
    source, exercise = course.source(name), course.exercise(name)
    found = regions(source)
    assert found
    assert all(a.strip() and b.strip() and a != b for a, b in found)
    mine = stub(source)
    assert TEACHER not in mine
    assert "--- stub" not in mine
    assert mine.count("# >>> yours") == mine.count("# <<<") == len(found)
    answers = [line for a, b in found for line in a.splitlines() if line not in b.splitlines() and len(line.strip()) > 12]
    assert answers
    assert not any(line in mine.splitlines() for line in answers), "the solution is not in it"
    assert len(mine.splitlines()) <= 90
    assert not [line for line in mine.splitlines() if len(line) > 100 and line.startswith("# ") and not line.startswith("#  ")]
    assert len(exercise.hints) == 4
    assert exercise.hints[0].endswith("?"), "the first hint is a question"
    assert set(exercise.claims) <= set(claim_names())
    assert exercise.predict is None or exercise.predict.answer in exercise.predict.choices
    assert not exercise.goal.endswith(".")
    assert re.search(rf"^# # {int(name[:2])} · ", source, re.M), "its heading has its number"


def used(text):
    """What of the package a file uses: ``tn.nn.LayerNorm`` as such."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            if re.fullmatch(r"tn(\.\w+)+", dotted):
                yield dotted


def test_nothing_is_used_that_comes_later():
    """An exercise knows the lessons up to its own, the exercises before it, and what its text says in `backticks`."""
    known, done = set(), 0
    for name in NAMES:
        exercise = course.exercise(name)
        place = ARC.index(exercise.lesson) + 1
        assert place >= done or name == NAMES[-1], f"{name} goes back to lesson {exercise.lesson}"  # the last is of all
        for word in ARC[done:place]:
            known |= set(used(lesson_text(lesson_called(word))))
        done = max(done, place)
        mine = learners_part(course.source(name))
        whole = set(used(mine))
        new = {u for u in whole - known if not any(k.startswith(f"{u}.") for k in known | whole)}
        assert not {u for u in new if f"`{u}`" not in mine}, f"{name}: {new} was not said before"
        known |= new
        for node in ast.walk(ast.parse(mine)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
                assert set(modules) <= {"math", "numpy", "tinygrad_norm"}, name


def test_every_lesson_has_a_task_that_is_judged():
    assert {course.exercise(n).lesson for n in NAMES} == set(ARC)


def test_numbers_have_no_gap():
    assert [int(n[:2]) for n in NAMES] == list(range(1, len(NAMES) + 1))


def test_a_mistake_replaces_one_place():
    with pytest.raises(OptionError, match="'nowhere' stands 0 times in the solution; a mistake replaces one"):
        with_mistake(course.source(NAMES[0]), Wrong("nowhere", "here", ""))


def test_what_a_file_registers_is_known_to_itself_only():
    name = NAMES[-1]
    right = solution(course.source(name))
    for text in (right, right.replace("q * g - q**5", "q * g + q**5"), right):
        judged, told = said(name, text)
        assert judged.ok == (text == right), told
        assert "already" not in told
        assert "l4_norm" not in tn.norms.names()


def test_several_known_ones_at_once():
    name = "06_matmul"
    text = solution(course.source(name)).replace("dy @ w.T", "w.T @ dy").replace("x.T @ dy", "dy @ x.T")
    judged, told = said(name, text)
    assert judged.terms == ("the order of dx: dy·Wᵀ, and not Wᵀ·dy", "the order of dW: xᵀ·dy, and not dy·xᵀ")
    assert judged.lines[0] == f"this is a known one: {judged.terms[0]}"
    assert "no known mistake" not in told


def test_a_right_answer_is_right_at_other_sizes_too():
    name = "09_mean"
    judged, told = said(name, solution(course.source(name)).replace("x.shape[-1]", "8"))
    assert not judged.ok
    assert "right at (4, 8), and not here" in told


def test_a_verdict_from_no_check_is_none():
    assert not Facts(lambda names: iter(())).__call__({}).ok


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def slope(f, x, h)\n", "line 1 is not Python: expected ':': def slope(f, x, h)"),
        ("x = 1\n\n1/0\n", "not yet: the file raised ZeroDivisionError: division by zero (line 3 of 01_nudge.py)"),
        ("import sys\nsys.exit(3)\n", "not yet: the file raised SystemExit: 3 (line 2 of 01_nudge.py)"),
        ("a = '\0'", "is not Python"),
    ],
)
def test_a_broken_file_is_a_verdict(text, says):
    judged = course.verdict("01_nudge", text, "01_nudge.py")
    assert not judged.ok
    assert says in judged.lines[0]


def test_a_function_that_was_removed():
    judged = course.verdict("02_square", "x = 1", "02_square.py")
    assert judged.lines == (
        "there is no function backward in the file any more: it is what is judged. reset brings it back (yours is kept).",
    )


def test_what_a_file_prints_is_kept_and_bounded():
    judged = course.verdict("02_square", "print('here')\nfor i in range(10**4): print(i)", "02_square.py")
    assert judged.printed[-1] == "9999"
    assert sum(map(len, judged.printed)) < 2100


@pytest.mark.parametrize("word", ["2", "02", "square", "02_square", "02_square.py"])
def test_an_exercise_by_its_number_or_word(word):
    assert course.known_exercise(word) == "02_square"


@pytest.mark.parametrize("word", ["0", "99", "squaer", ""])
def test_no_exercise_of_that_name(word):
    with pytest.raises(OptionError, match=r"is no exercise; there are 1 to \d+"):
        course.known_exercise(word)


def test_the_readme_says_how_many():
    readme = course.lessons().parent / "README.md"
    if not readme.exists():
        pytest.skip("the README is not beside the tests")
    assert set(re.findall(r"(\d+) exercises", readme.read_text(encoding="utf-8"))) == {str(len(NAMES))}
    assert sum(len(course.exercise(n).wrong) for n in NAMES) > 150
