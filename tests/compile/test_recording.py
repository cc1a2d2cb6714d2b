"""What is recorded for elsewhere: all that depends on the arguments is on the record, what cannot be is refused by name."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import functional as F
from tinygrad_norm import nn
from tinygrad_norm.compile import RecordError
from tinygrad_norm.compile.recording import numbers, record, same
from tinygrad_norm.engine import Op
from tinygrad_norm.graph import replay_all


def recorded(f, *shapes, dtype=np.float64):
    """The first of two records of f that are alike."""
    for a, b in numbers([(s, dtype) for s in shapes]):
        one, other = (record("f", lambda xs: [f(*xs)], arrays, seed) for seed, arrays in enumerate((a, b)))
        same(one, other)
        return one
    return None


def again(one, *arrays):
    """The output for other arguments, by the ops themselves; what stands for an index is put in its place."""

    def meaning(t):
        def compute(*inputs, **params):
            def filled(v):
                if isinstance(v, tuple):
                    return tuple(filled(i) for i in v)
                return inputs[v.position] if hasattr(v, "position") else v

            return t.op.forward(*inputs[: len(t.op.pullbacks) or None], **{k: filled(v) for k, v in params.items()})

        return compute

    values = replay_all(one.tensors, dict(zip(one.arguments, arrays)), meaning)
    return values[one.outputs[0]]


X = np.random.default_rng(3).normal(size=(3, 4))


def masked(x):
    return x * (x.data > 0.5)


def questions(x):
    return tn.where((x > -100).all(), x, -x) * tn.where((x > 0) & ~(x > 1) | (x < -1).any(1, keepdim=True), x, 0.5)


def detached(x):
    return x - x.detach().mean()


def no_grad(x):
    with tn.no_grad():
        scale = (x * x).mean()
    return x * scale


def in_numpy(x):
    values = np.where(x.data > 0, x.data, 0.0)
    values = np.moveaxis(np.expand_dims(values, 0), 0, -1).max(-1).astype(np.float32)
    return x + values.astype(x.dtype).swapaxes(0, 1).T * np.arange(4.0)


def in_place(x):
    values = x.data.copy()
    values *= 2
    values += 1
    return x * values


def largest(x):
    return x[np.arange(3), np.argmax(x.data, 1)]


def copied(x):
    return x * tn.tensor(x.data) + tn.tensor(np.asarray(x.data))


def analytic(x):
    return F.layer_norm(x, 4, backward="analytic")


@pytest.mark.parametrize(
    "f", [masked, questions, detached, no_grad, in_numpy, in_place, largest, copied, analytic, lambda x: F.softmax(x, -1)]
)
def test_what_is_made_of_values_is_on_the_record(f):
    np.testing.assert_allclose(again(recorded(f, (3, 4)), X), f(tn.tensor(X)).data, rtol=1e-14)


def test_new_data_of_an_argument():
    """What a leaf became is what comes after it, and what is returned."""

    def f(x, m):
        m.data = 0.5 * m.data + 0.5 * x.data.mean(0)
        return m * 1.0

    one = recorded(f, (3, 4), (4,))
    np.testing.assert_allclose(again(one, X, np.ones(4)), 0.5 + 0.5 * X.mean(0), rtol=1e-14)


def branch(x):
    return x * 2 if x.sum() > 0 else x


def asks_an_array(x):
    return x * 2 if (x.data > 100).any() else x


def a_number(x):
    return x * float(x.data.max())


def an_item(x):
    return x * x.sum().item()


def asks_its_numpy(x):
    return x * 2 if (x.numpy() > 100).any() else x


def is_in(x):
    return x * 2 if 7.0 in x else x


def random_numbers(x):
    return x + tn.randn(3, 4)


def numpy_random(x):
    return x + np.random.default_rng().normal(size=(3, 4))


def outside_of_any_op(x):
    return x * np.median(x.data)


def a_mask_that_picks(x):
    return x[x.data > 0].sum()


def writes(x):
    values = x.data.copy()
    values[0] = 0
    return x * values


def gradient_of_arrays(x):
    return tn.grad((x**3).sum(), x)[0] * x


net = nn.BatchNorm1d(4)


def changes_a_network(x):
    return net(x)


REFUSED = {
    branch: r"branch, line \d+ of test_recording.py: it reads the values of a tensor of shape \(\) by bool\(\)",
    asks_an_array: r"asks_an_array, line .* reads the values of a tensor of shape \(\) by asks whether it is true",
    a_number: r"a_number, line .* by float\(\).*Select with tn.where, and keep numbers as tensors",
    an_item: r"an_item, line .* by item\(\)",
    asks_its_numpy: r"asks_its_numpy, line .* reads the values of a tensor of shape \(\) by asks whether it is true",
    is_in: r"is_in, line .* reads the values of a tensor of shape \(3, 4\) by contains\(\)",
    random_numbers: r"f: a tensor of shape \(3, 4\): a constant was made from the data, or from random numbers",
    numpy_random: r"a constant was made from the data, or from random numbers.*pass it as an argument",
    outside_of_any_op: r"a constant of shape \(\) was made of the data by np.median, for which no op stands",
    a_mask_that_picks: r"getitem, which computes a tensor of shape \(\d+,\): it does something else, or something of another shape",
    writes: r"values are written into it, which no record holds",
    gradient_of_arrays: r"a constant was made from the data",
    changes_a_network: r"it changes a tensor that is no argument, m of shape \(4,\).*nn.functional_call\(net, \(parameters, buffers\), x\)",
}


@pytest.mark.parametrize("f", REFUSED, ids=lambda f: f.__name__)
def test_refused(f):
    with pytest.raises(RecordError, match=REFUSED[f]):
        recorded(f, (3, 4))


def test_nothing_is_left_behind():
    """Neither in the class, nor in a network that would have been changed, nor of the random numbers; another thread sees nothing."""
    before = dict(vars(tn.Tensor))
    statistics = np.array(net.running_mean.data)
    tn.manual_seed(3)
    state = tn.default_generator().get_state()
    seen = []

    def f(x):
        thread = threading.Thread(target=lambda: seen.append((type(tn.tensor([1.0]).data).__name__, float(tn.tensor(2.0)))))
        thread.start()
        thread.join()
        return F.dropout(net(x))

    with pytest.raises(RecordError):
        recorded(f, (3, 4))
    assert dict(vars(tn.Tensor)) == before
    np.testing.assert_array_equal(net.running_mean.data, statistics)
    assert tn.default_generator().get_state() == state
    assert seen == [("Values", 2.0)]


def test_a_number_of_classes_is_not_counted():
    with pytest.raises(tn.ShapeError, match=r"counts the classes of .* and others may have more. Give their number"):
        record("f", lambda xs: [F.one_hot(xs[0])], [np.array([0, 1])])


def test_an_op_of_ones_own_is_refused():
    double = Op("double", "2·{0}", lambda x: 2 * x, (lambda g, out, x: 2 * g,))
    with pytest.raises(RecordError, match="computed by double, a node with rules of its own"):
        recorded(double, (3,))


def test_numbers_that_are_probabilities_or_classes():
    """A function that refuses some numbers is tried with others."""
    for f, shapes in (
        (lambda x: F.binary_cross_entropy(x, x.detach()), [((3,), float)]),
        (lambda t: F.one_hot(t, 1), [((3,), int)]),
    ):
        failure = None
        for a, b in numbers(shapes):
            try:
                same(*(record("f", lambda xs, f=f: [f(*xs)], arrays) for arrays in (a, b)))
                break
            except tn.TinygradNormError as error:
                failure = error
        else:
            raise AssertionError(failure)
