"""The house as a whole: which room may know which, what importing costs, and what must not be written down."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_norm
from tests import house
from tests.house import files, imports, parsed
from tinygrad_norm import loans

PACKAGE = Path(tinygrad_norm.__file__).parent
ROOT = Path(__file__).parent.parent
KNOWS = {
    "engine": set(),
    "norms": {"engine"},
    "graph": {"engine"},
    "check": {"engine", "graph", "norms", "derive"},
    "derive": {"engine", "graph", "norms"},
    "compile": {"engine", "norms", "graph", "derive"},
    "draw": {"engine", "graph"},
    "nn": {"engine", "norms", "functional"},
    "optim": {"engine"},
    "data": {"engine"},
    "train": {"engine", "graph", "nn", "optim", "data"},
    "learn": {"engine", "norms", "graph", "check", "derive", "draw", "nn", "optim", "data", "train"},
    "cli": {"engine", "norms", "graph", "check", "derive", "compile", "draw", "nn", "data", "train", "learn"},
}
CIRCLES: dict[str, set[str]] = {}  # files that import each other
ONLY = {
    "sympy": {"derive"},
    "graphviz": {"draw"},
    "pygraphviz": {"draw"},
    "cairosvg": {"draw"},
    "rich": {"graph", "train", "learn", "cli"},
    "matplotlib": {"train"},
    "onnx": {"compile"},
}
HEAVY = (
    "sympy",
    "rich",
    "graphviz",
    "pygraphviz",
    "cairosvg",
    "torch",
    "jax",
    "autograd",
    "onnx",
    "matplotlib",
    "scipy",
    "pandas",
)


@pytest.mark.parametrize("room", KNOWS)
def test_arrows_point_one_way(room):
    for path in files(room):
        found = imports(path)
        other = {name for level, name in found if level == 2} - {"__version__", "loans"}
        assert other <= KNOWS[room], f"{path.relative_to(PACKAGE)} knows {other - KNOWS[room]}"
        outside = {name for level, name in found if level == 0}
        for library, rooms in ONLY.items():
            assert library not in outside or room in rooms, f"{path.relative_to(PACKAGE)} knows {library}"


def test_the_house_is_drawn_as_it_is():
    for i, room in enumerate(house.ROOMS):
        assert house.known(room) <= {*house.ROOMS[:i], room}, room
    if (ROOT / "CONTRIBUTING.md").exists():
        assert house.drawing() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), "python -m tests.house"


def imported_beside(path):
    """The files of its own room that a file imports, however deep it stands, but not for types only."""
    for node in running(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            for name in [node.module.split(".")[0]] if node.module else [a.name for a in node.names]:
                yield path.with_name(f"{name}.py")


def running(node):
    """All of a syntax tree that is run."""
    yield node
    for child in node.orelse if for_types_only(node) else ast.iter_child_nodes(node):
        yield from running(child)


def for_types_only(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def in_circles(beside):
    """Those that come to themselves again, ``beside`` being what each comes to in one step."""

    def reached(path):
        seen, stack = set(), [path]
        while stack:
            new = beside.get(stack.pop(), set()) - seen
            seen |= new
            stack += new
        return seen

    return {path for path in beside if path in reached(path)}


@pytest.mark.parametrize("room", KNOWS)
def test_no_circles_inside_a_room(room):
    found = in_circles({path: set(imported_beside(path)) for path in files(room) if path.name != "__init__.py"})
    assert {path.stem for path in found} == CIRCLES.get(room, set())


def test_a_circle_would_be_found(tmp_path):
    for name, text in {
        "a": "def f():\n    from .b import x",
        "b": "from . import c",
        "c": "from .a import f\nfrom .d import x",
        "d": "if TYPE_CHECKING:\n    from .a import f\nelse:\n    f = object",
    }.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    found = in_circles({path: set(imported_beside(path)) for path in tmp_path.iterdir()})
    assert {path.stem for path in found} == {"a", "b", "c"}


def test_every_room_is_in_the_plan():
    rooms = {p.name for p in PACKAGE.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert rooms == set(KNOWS)


def test_the_wheel_carries_every_room_and_the_lessons():
    pyproject = ROOT / "pyproject.toml"
    if not pyproject.exists():
        pytest.skip("pyproject.toml is not beside the tests")
    listed = set(re.findall(r'^  "(tinygrad_norm[\w.]*)",$', pyproject.read_text(encoding="utf-8"), re.M))
    assert listed == {
        "tinygrad_norm",
        *(f"tinygrad_norm.{room}" for room in (*KNOWS, "lessons", "lessons.claims", "lessons.exercises")),
    }


@pytest.mark.parametrize("path", list(PACKAGE.rglob("__init__.py")), ids=lambda p: p.parent.name)
def test_init_files_define_nothing(path):
    nodes = parsed(path).body
    kinds = {type(inner) for n in nodes for inner in (n.body + n.orelse if for_types_only(n) else [n])}
    assert kinds <= {ast.Import, ast.ImportFrom, ast.Assign, ast.AugAssign, ast.Expr}


def fresh(code):
    """What a new interpreter prints that runs this."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


LENT = {
    "check": {"GradientMismatchError", "assert_backward", "check", "check_grads", "compare", "strength"},
    "compile": {"kernel", "to_jax"},
    "data": {"data"},
    "derive": {"derive"},
    "draw": {"draw"},
    "functional": {"functional"},
    "graph": {"graph"},
    "learn": {"learn"},
    "nn": {"nn"},
    "norms": {"Norm", "norms", "register"},
    "optim": {"optim"},
    "train": {"train"},
}


def test_all_loans():
    """Every one, by name: what is opened when first asked for, and what one room does for an earlier one."""
    assert {name: room for room, names in LENT.items() for name in names} == loans.NAMES
    assert loans.LENDERS == {"graph": ("compile", "derive", "draw"), "norms": ("compile",)}


def test_loans_are_what_the_types_say():
    body = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body
    typed = {
        a.name: imported.module or a.name
        for block in body
        if for_types_only(block)
        for imported in block.body
        for a in imported.names
    }
    assert typed == loans.NAMES
    assert set(loans.NAMES) - {"draw", "norms"} <= set(tinygrad_norm.__all__)
    assert {*loans.NAMES, *tinygrad_norm.__all__} <= set(dir(tinygrad_norm))


def test_only_the_engine_is_opened_by_importing():
    rooms = fresh("import sys, tinygrad_norm; print(*{m.split('.')[1] for m in sys.modules if m.startswith('tinygrad_norm.')})")
    assert set(rooms.split()) == {"engine", "loans"}


@pytest.mark.parametrize(
    "first", ["", *(f"import tinygrad_norm.{name}" for name in KNOWS), "from tinygrad_norm.check import Verdict"]
)
@pytest.mark.parametrize("name", sorted(LENT["check"] | {"derive", "graph"}))
@pytest.mark.costly(4)
def test_a_function_is_lent_and_not_its_room(name, first):
    """In whatever order things are imported."""
    assert (
        fresh(f"{first}\nimport inspect, tinygrad_norm as tn\nprint(inspect.ismodule(tn.{name}), callable(tn.{name}))")
        == "False True"
    )


def test_the_files_of_a_room_are_found_behind_the_function_of_its_name():
    code = "import tinygrad_norm.check.explanations as a, tinygrad_norm.check.explanations, tinygrad_norm as tn"
    code += "; from tinygrad_norm.check import explanations as b; from tinygrad_norm import check"
    code += "; print(a is b is tn.check.explanations, check is tn.check is b.__dict__.get('check', check), check.__name__)"
    assert fresh(code) == "True True check"


def test_a_name_that_there_is_not():
    with pytest.raises(AttributeError, match="module 'tinygrad_norm' has no attribute 'layer_nrom'"):
        tinygrad_norm.layer_nrom  # noqa: B018


def test_importing_is_light():
    code = f"import sys, tinygrad_norm; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert fresh(code) == "[]"


def test_files_stay_small_enough_to_hold_in_the_head():
    long = {p.relative_to(ROOT): n for p in PACKAGE.rglob("*.py") if (n := len(p.read_text(encoding="utf-8").splitlines())) > 430}
    assert not long


def test_public_functions_explain_themselves():
    for name in tinygrad_norm.__all__:
        assert getattr(tinygrad_norm, name).__doc__, name


def test_no_machine_path_is_written_down():
    here = re.compile(r"(^|[^A-Za-z0-9.])/(" + "|".join(["work", "root", "home", "farm"]) + r")/")
    for path in [
        *PACKAGE.rglob("*.py"),
        *(ROOT / "lessons").rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
    ]:
        if path.exists():
            assert not here.search(path.read_text(encoding="utf-8")), path


def test_the_package_says_it_is_typed():
    assert (PACKAGE / "py.typed").exists()


LESSONS = sorted((ROOT / "lessons").glob("*.py"))


@pytest.mark.skipif(not LESSONS, reason="the lessons are not beside the tests")
@pytest.mark.parametrize(  # those that train, derive or check take seconds, and .ci/run runs every lesson besides
    "lesson",
    [pytest.param(p, id=p.stem, marks=[pytest.mark.thorough] * (p.stem >= "17" or p.stem[:2] in ("07", "09"))) for p in LESSONS],
)
def test_lessons_run_and_end_in_an_assertion(lesson, capsys):
    cells = re.split(r"^# %%", lesson.read_text(encoding="utf-8"), flags=re.M)
    assert "assert " in cells[-1], "a lesson ends in something that can fail"
    runpy.run_path(str(lesson))
    assert capsys.readouterr().out.rstrip().splitlines()[-1].startswith("ok: ")


def test_a_room_that_lends_brings_nothing_heavy():
    """Whatever is lent to graphs and norms is opened by a first look at a graph: SymPy waits until there is a formula to find."""
    code = (
        "import sys, tinygrad_norm as tn; tn.loans.open_lenders('graph'); tn.loans.open_lenders('norms'); "
        "print([m for m in ('sympy', 'graphviz', 'rich', 'numba', 'jax', 'onnx', 'torch') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"
