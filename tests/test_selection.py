"""What a plain ``pytest`` runs touches every room, every op and every norm; nothing but what is marked drops out as a whole."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

import tinygrad_norm
from tests.selection import FEW, SPLIT, diagonal, few, select
from tinygrad_norm.engine import TABLE, Op
from tinygrad_norm.norms import names


def test_few_are_taken_from_the_first_to_the_last():
    assert few(range(FEW)) == list(range(FEW))
    taken = few(range(100))
    assert len(taken) == FEW
    assert (taken[0], taken[-1]) == (0, 99)
    taken = few(range(100), 7)
    assert (taken[0], taken[-1], len(taken)) == (0, 99, 7)
    gaps = {b - a for a, b in itertools.pairwise(taken)}
    assert max(gaps) - min(gaps) <= 1
    assert few("abc", 1) == ["a"]
    assert few("abc", 3) == few("abc", 5) == list("abc")


@pytest.mark.parametrize("sizes", [[7], [2, 2, 2], [1, 5], [3, 5, 4], [2, 200, 3], [2, 2, 2, 2, 30], [4, 4]])
def test_a_diagonal_meets_every_index_of_every_axis(sizes):
    cells = diagonal(sizes)
    assert len(cells) == max(sizes)
    assert [{cell[k] for cell in cells} for k in range(len(sizes))] == [set(range(n)) for n in sizes]


def test_short_axes_meet_in_all_combinations_along_a_long_one():
    assert {(a, b) for a, _, b in diagonal([2, 12, 3])} == set(itertools.product(range(2), range(3)))
    assert {(a, b) for a, b, _ in diagonal([2, 2, 4])} == set(itertools.product(range(2), range(2)))
    assert {(a, b) for _, a, b in diagonal([200, 2, 3])} == set(itertools.product(range(2), range(3)))


def cases(*axes):
    """Every combination, the first axis the fastest; an axis is a list of (what a value begins with, the value)."""
    return [case[::-1] for case in itertools.product(*axes[::-1])]


SAMPLES = [(op, (op, i)) for op in "abc" for i in range(9)]
SIZES = [(size, (size,)) for size in ("small", "large")]


def test_of_each_op_a_few_samples_in_every_size():
    every = cases(SAMPLES, SIZES)
    taken = [every[i] for i in select(every)]
    assert len(taken) == 3 * FEW
    assert {(op, size) for (op, _), (size, _) in taken} == set(itertools.product("abc", ("small", "large")))


def test_of_each_op_as_many_samples_as_are_wanted():
    assert len(select(cases(SAMPLES, SIZES), 1)) == 3
    assert len(select(cases(SAMPLES, SIZES), 4)) == 12


def test_values_that_begin_differently_all_stay():
    words = [(word, (word, "meaning")) for word in map(str, range(50))]
    assert len(select(cases(words))) == 50
    seeds = [(None, (seed,)) for seed in range(50)]
    assert len(select(cases(seeds))) == FEW


def test_where_combinations_are_missing_nothing_more_is_left_out():
    every = cases([(i, (i,)) for i in range(6)], SIZES)[1:]
    assert select(every) == list(range(11))


def test_a_test_without_parameters_stays():
    assert select([[]]) == [0]
    assert select([]) == []


# The selection itself --------------------------------------------------------------------------------------------


@pytest.fixture
def whole(request):
    """What is selected and what is left, of all that there is."""
    if request.config.args_source is pytest.Config.ArgsSource.ARGS:
        pytest.skip("what was named on the command line runs whole: there is nothing to select from")
    return request.config.stash[SPLIT]


def function(item):
    return item.nodeid.partition("[")[0]


def subjects(items, is_one):
    """Of each test, the subjects that its cases are about."""
    found = {}
    for item in items:
        params = item.callspec.params.values() if hasattr(item, "callspec") else ()
        found.setdefault(function(item), set()).update(v for v in params if is_one(v))
    return found


def is_norm(value):
    return isinstance(value, str) and value in names()


def test_every_test_is_run_but_those_marked(whole):
    selected, left = whole
    dropped = {function(item) for item in left} - {function(item) for item in selected}
    marked = {function(item) for item in left if item.get_closest_marker("thorough")}
    assert dropped <= marked
    assert len(marked) < 0.1 * len({function(item) for item in selected}), "too much waits for --all"
    assert len(left) > len(selected), "it is hardly a selection any more"


def test_every_room_is_touched(whole):
    rooms = {path.parent.name for path in Path(tinygrad_norm.__file__).parent.glob("*/__init__.py")}
    assert rooms
    assert rooms <= {item.path.parent.name for item in whole[0]}


@pytest.mark.parametrize(("is_one", "test", "every"), [
    (lambda v: isinstance(v, Op), "engine/test_table.py::test_value_is_numpys", set(TABLE.values())),
    (lambda v: isinstance(v, Op), "engine/test_table.py::test_first_order", {op for op in TABLE.values() if not op.constant}),
    (lambda v: isinstance(v, Op), "engine/test_table.py::test_higher_orders", {op for op in TABLE.values() if not op.constant}),
    (is_norm, "norms/test_family.py::test_record_formula_and_oracles_agree", set(names())),
    (is_norm, "norms/test_family.py::test_both_ways_agree_at_orders_one_to_four", set(names())),
    (is_norm, "check/test_matrix.py::test_every_planted_mistake_is_named", set(names())),
])  # fmt: skip
def test_every_op_and_every_norm_is_touched(is_one, test, every, whole):
    selected, left = whole
    found = subjects(selected, is_one)
    assert found[f"tests/{test}"] == every
    costly = {function(item) for item in left if item.get_closest_marker("costly")} - {f"tests/{test}"}
    left = [item for item in left if function(item) not in costly]
    for name, those in subjects(left, is_one).items():  # and no other test loses one, unless each takes long
        assert those <= found.get(name, those), name
