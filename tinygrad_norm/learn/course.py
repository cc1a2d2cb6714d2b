"""The exercises, found by their files, and an answer of a learner's judged."""

from __future__ import annotations

import contextlib
import io
import itertools
import linecache
import re
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from ..check.guard import explain
from ..engine import OptionError, describe
from ..norms import forgetting
from ..norms import names as norms
from .catalogue import lessons
from .exercise import Answers, Exercise, Judged, Wrong, asked, own_lines, solution, stub, with_mistake
from .judging import judge

PARTS = {
    "I  Slopes and routes": ("a_tensor_remembers", "routes_and_time", "broadcasting"),
    "II  LayerNorm by hand": (
        "layer_norm_from_primitives",
        "four_routes",
        "the_analytic_node",
        "from_twenty_operations_to_three_terms",
    ),
    "III  Is my check any good?": ("a_test_that_cannot_fail", "name_the_missing_term"),
    "IV  The family": (
        "choose_the_axes",
        "where_the_names_meet",
        "where_does_epsilon_live",
        "two_variances",
        "how_many_digits_are_left",
        "what_running_statistics_do",
        "what_is_held_constant",
        "a_backward_that_is_no_gradient",
    ),
    "V  Networks that train": (
        "a_training_loop_from_nothing",
        "batch_norm_in_a_cnn",
        "layer_norm_in_an_lstm",
        "pre_and_post_ln",
        "a_norm_for_a_series_and_for_a_graph",
    ),
    "VI  A norm of your own": (
        "forward_mode_from_reverse_mode",
        "two_answers_that_share_an_ancestor",
        "gradient_of_a_gradient",
        "what_must_be_kept",
        "one_formula_five_languages",
        "more_than_one_machine",
    ),
}
"""The lessons by their words, as their files are called behind the number, in the order in which the course takes them."""
_HELP = {
    "name 'np' is not defined": "np is NumPy: import numpy as np, at the top of the file.",
    "name 'tn' is not defined": "tn is this package: import tinygrad_norm as tn, at the top of the file.",
    "truth value of an array": "An array is asked as if it were one number. Entry by entry: (x > 0) is 1 where it holds and 0 elsewhere; "
    "np.where and np.maximum choose.",
    "could not be broadcast": "Two shapes do not meet. A sum or a mean without keepdims=True loses its axis, (4,), where a column, (4, 1), "
    "is needed. So is one where there is a number for each row of a matrix: s[:, None].",
    "module 'tinygrad_norm.functional' has no": "exp, log, sqrt and their like are methods of a tensor: x.exp().",
    "unexpected keyword argument 'keepdims'": "tn.functional has PyTorch's names: dim=-1, keepdim=True.",
    "unexpected keyword argument 'axis'": "tn.functional has PyTorch's names: dim=-1, keepdim=True.",
    "required positional argument: 'dim'": "Along which axis? dim=-1 is along the rows.",
    "so a cotangent is needed": "Or make it a number first: what is to be differentiated is a sum.",
    ", not ()": "One number, or nothing at all: does a function end without its return?",
    "'NoneType'": "Something is None: does a function end without its return?",
}
_OURS = frozenset(norms())  # not what a learner registers
_PRINTED = 2000  # characters kept of what a file prints
_LINE = re.compile(r" +(?:and |or, with the same result, |look at )?line (\d+)\b")
_counter = itertools.count()


def exercises_folder() -> Path:
    return lessons() / "exercises"


@cache
def exercise_names() -> tuple[str, ...]:
    """All exercises, in their order: "01_nudge" and so on."""
    return tuple(sorted(p.stem for p in exercises_folder().glob("[0-9]*_*.py")))


def known_exercise(name: Any) -> str:
    """As the catalogue has it, of "7", "07", "softmax" or "07_softmax"; ``OptionError`` for what is none."""
    text = str(name).removesuffix(".py")
    for n in exercise_names():
        number, _, word = n.partition("_")
        if text in (n, word, word.replace("_", "-")) or (text.isdecimal() and int(text) == int(number)):
            return n
    near = get_close_matches(text, [n.partition("_")[2] for n in exercise_names()], 2, 0.6)
    raise OptionError(
        f"learn: {describe(name)} is no exercise; there are 1 to {len(exercise_names())}"
        + (f"; did you mean {' or '.join(near)}?" if near else ".")
        + " tinygrad-norm learn list shows them."
    )


def source(name: str) -> str:
    return (exercises_folder() / f"{name}.py").read_text(encoding="utf-8")


@cache
def exercise(name: str) -> Exercise:
    """What the teacher's part says; the file is read and run."""
    spec = spec_from_file_location(f"tinygrad_norm.lessons.exercises.{name}", exercises_folder() / f"{name}.py")
    assert spec is not None, name
    assert spec.loader is not None, name
    module = module_from_spec(spec)
    with contextlib.redirect_stdout(io.StringIO()), forgetting(_OURS):
        spec.loader.exec_module(module)
    found = module.exercise
    assert isinstance(found, Exercise), name
    return found


def title(name: str) -> str:
    """The words of its heading."""
    found = re.search(r"^# # \d+ · (.+)$", source(name), re.M)
    assert found, name
    return found[1]


def verdict(name: str, text: str, file: str) -> Judged:
    """A learner's file, judged. It is executed, in this process: what hangs it hangs (``Worker`` has limits).

    Whatever it raises is a verdict, and what is not Python is, too.
    """
    try:
        code = compile(text, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        shown = (error.text or "").strip()
        return Judged(
            False,
            (f"line {error.lineno or '?'} is not Python: {error.msg}" + (f": {shown}" if shown else ""),),
            1,
            ("not Python",),
        )
    except ValueError as error:
        return Judged(False, (f"the file is not Python: {error}",), 1, ("not Python",))
    module = ModuleType(f"_answer_{next(_counter)}")
    module.__file__ = file
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # a verdict names lines: those of this text
    said, taught = io.StringIO(), exercise(name)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), forgetting():
        try:
            exec(code, module.__dict__)
            judged = judge(taught, vars(module), lambda wrong: _names(name, wrong))
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # a file may also raise SystemExit
            judged = Judged(False, (f"not yet: the file {explain(error, file)}",), 1, ("raises",))
    if judged.ok and taught.solved:
        judged = replace(judged, lines=(*judged.lines, taught.solved))
    judged = _as_found(name, judged) if text == stub(source(name)) else _helped(_not_ours(judged, text))
    printed = said.getvalue().strip()[-_PRINTED:]
    return replace(judged, printed=tuple(printed.splitlines())) if printed else judged


@cache
def _names(name: str, wrong: Wrong | None) -> Answers:
    """Those of the file with a wrong answer in it, or of the solution."""
    names: dict[str, Any] = {"__name__": name}
    text = solution(source(name)) if wrong is None else with_mistake(source(name), wrong)
    with forgetting(_OURS):
        exec(compile(text, f"{name}.py", "exec"), names)
    return names


def _as_found(name: str, judged: Judged) -> Judged:
    """Of a file in which nothing was written yet: what is to be, and what is known of what stands there; no diagnosis, which would be
    the answer."""
    taught = exercise(name)
    says = taught.found or next((line.strip() for line in judged.lines if taught.wrong[0].says in line), "")
    if judged.ok or not says:
        return judged
    says = re.sub(r"^(not yet|this is a known one): ", "", says)
    return replace(judged, lines=(f"nothing is written yet: {asked(source(name))}", f"as it is found: {says}"), route=None)


def _not_ours(judged: Judged, text: str) -> Judged:
    """Without the lines that blame one of the course's own."""
    own = own_lines(text)
    lines = [li for li in judged.lines if not (found := _LINE.match(li)) or not own or int(found[1]) in own]
    return replace(judged, lines=tuple(lines))


def _helped(judged: Judged) -> Judged:
    """With a line for who does not yet know what an error of NumPy's means."""
    said = "\n".join(judged.lines)
    helps = [line for mark, line in _HELP.items() if not judged.ok and mark in said]
    return replace(judged, lines=(*judged.lines, *helps)) if helps else judged
