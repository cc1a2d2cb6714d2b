"""What a third sceptic brought: ways to values, sizes and constants past what is listened to. Each is unequal where it says so."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
import shutil
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import derive
from tinygrad_norm.derive.catching import catches
from tinygrad_norm.derive.errors import DerivationError
from tinygrad_norm.derive.questions import hearing

from .test_asked import fails

F, T = tn.functional, tn.tensor
BN = {"x": ("B", "N")}
LARGE = np.full((3, 4), 2e9)
SMALL = np.linspace(-1.0, 1.0, 12).reshape(3, 4)


def s(t):
    return t.sum(-1, keepdim=True)


def same(x):
    return x * 1.0


def at_most(x):
    return x.clamp(max=1e9)


# Values, asked for in a roundabout way ---------------------------------------------------------------------------


def in_a_file(x):
    file = io.BytesIO()
    np.save(file, x.detach())
    file.seek(0)
    return np.load(file).max() > 1e9


def in_an_archive(x):
    folder = Path(tempfile.mkdtemp())
    tn.save({"a": x.detach()}, folder / "a.npz")
    kept = np.load(folder / "a.npz")
    found = max(kept[k].max() for k in kept.files if kept[k].dtype.kind == "f")
    kept.close()
    shutil.rmtree(folder)
    return found > 1e9


def printed(x):
    file = io.StringIO()
    with contextlib.redirect_stdout(file):
        print(x.detach())
    return "e+09" in file.getvalue()


def copied(x):
    y = tn.zeros(*x.shape)
    with tn.no_grad():
        y.copy_(x.detach())
    return y


def filled(x):
    y = tn.zeros(1)
    with tn.no_grad():
        y.fill_(x.detach().amax())
    return y


def stepped(x):
    y = tn.zeros(*x.shape, requires_grad=True)
    step = tn.optim.SGD([y], lr=1.0)
    (y * x.detach()).sum().backward()
    step.step()
    return -y


def hooked(x):
    seen = []
    y = x.detach().requires_grad_()
    z = (y * y).sum()
    y.register_hook(lambda g: seen.append(g.data.max()))
    z.backward()
    return seen[0] > 1e9


def running(x):
    mean, var = tn.zeros(x.shape[-1]), tn.ones(x.shape[-1])
    F.batch_norm(x, mean, var, training=True, momentum=1.0)
    return mean


def into_an_array(x):
    a = np.zeros(x.shape)
    np.copyto(a, x.detach())
    return a.max() > 1e9


def of_an_op(x):
    seen = []
    own = tn.Op("seen", "seen({0})", lambda v: [seen.append(v.max()), v][1], (lambda g, out, v: g,), elementwise=True)
    own(x)
    return seen[0] > 1e9


VALUES = {
    "a file": in_a_file,
    "an archive": in_an_archive,
    "printed": printed,
    "pickled": lambda x: pickle.loads(pickle.dumps(x.detach())).numpy().max() > 1e9,
    "deep copy": lambda x: copy.deepcopy(x.detach()).numpy().max() > 1e9,
    "copied": lambda x: (copied(x) > 1e9).any(),
    "filled": lambda x: filled(x).data[0] > 1e9,
    "stepped": lambda x: np.any(stepped(x).data > 1e9),
    "a hook": hooked,
    "running": lambda x: np.any(running(x).data > 1e9),
    "an array": into_an_array,
    "an op of its own": of_an_op,
    "jvp": lambda x: np.any(tn.jvp(lambda a: a * a, (x.detach(),), (x.detach(),))[1].data > 1e18),
    "hessian": lambda x: np.any(tn.hessian(lambda a: (a**3).sum(), x.detach()[0, :1]).data > 1e9),
    "picked, size": lambda x: x[x > 1e9].size,
    "picked, shape": lambda x: x[x > 1e9].shape[0] > 0,
    "picked, numel": lambda x: x[(x > 1e9) | (x < -1e9)].numel(),
    "picked, len": lambda x: len(x[x > 1e9]),
    "picked, times two": lambda x: (2 * x[x > 1e9]).numel(),
    "picked, detached": lambda x: x.detach()[x > 1e9].clone().numel(),
    "picked, rows": lambda x: len(list(x[x > 1e9])),
    "picked, a view": lambda x: x[x > 1e9].detach().numel(),
    "count": lambda x: np.count_nonzero(x > 1e9),
}


@pytest.fixture(scope="module")
def plain():
    return derive(same, inputs=BN)


def gradient(f, at):
    x = T(at, requires_grad=True)
    return tn.grad(f(x), x, np.ones(at.shape))[0].data


def is_refused(verdict, words="what it asks"):
    assert not (verdict.proved and not verdict.assumptions), str(verdict)
    assert not verdict
    assert verdict.kind != "equal under" or any(words in a for a in verdict.assumptions), str(verdict)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.costly(2)
def test_values(plain, name):
    ask = VALUES[name]
    assert ask(T(LARGE, requires_grad=True))
    assert not ask(T(SMALL, requires_grad=True))
    is_refused(plain.equals(lambda dy, x: dy * (2 if ask(x) else 1)))


# Errors and warnings ---------------------------------------------------------------------------------------------


def overflows(x):
    with np.errstate(all="raise"):
        try:
            (x * 1e-2).exp()
        except FloatingPointError:
            return True
    return False


def warns(x):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with np.errstate(all="warn"):
            (x * 1e-2).exp()
    return bool(said)


def calls(x):
    seen = []
    with np.errstate(all="call", call=lambda *what: seen.append(what)):
        (x * 1e-2).exp()
    return bool(seen)


def suppressed(x):
    found = True
    with contextlib.suppress(FloatingPointError), np.errstate(over="raise"):
        (x * 1e-2).exp()
        found = False
    return found


class Swallows:
    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        self.seen = kind is not None
        return True


def swallowed(x):
    with Swallows() as context:
        T(np.zeros(10**5))[x.long()]
    return context.seen


@contextlib.contextmanager
def swallowing(seen):
    try:
        yield
    except Exception:
        seen.append(1)


def in_a_context(x):
    seen = []
    with swallowing(seen):
        T(np.zeros(10**5))[x.long()]
    return bool(seen)


ERRORS = {
    "floating point": overflows,
    "warnings": warns,
    "called": calls,
    "suppressed": suppressed,
    "swallowed": swallowed,
    "a context": in_a_context,
    "a place": lambda x: fails(lambda: T(np.zeros(10**5))[x.long()]),
    "one hot": lambda x: fails(lambda: F.one_hot((x.detach() * 1e-3).long() + 20, 41)),
    "embedding": lambda x: fails(lambda: F.embedding(x.long() + 50000, T(np.zeros((100000, 1))))),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.costly(2)
def test_errors(plain, name):
    ask = ERRORS[name]
    assert ask(T(LARGE, requires_grad=True))
    assert not ask(T(SMALL, requires_grad=True))
    is_refused(plain.equals(lambda dy, x: dy * (2 if ask(x) else 1)))


def test_who_catches():
    def one(f):
        with f():
            try:
                f()
            except ValueError:
                return 0

    def two(f):
        try:
            f()
        except:  # noqa: E722
            return 1

    def three(f):
        try:
            f()
        finally:
            return 2  # noqa: B012

    def none(f):
        with f(), f():
            try:
                return [f(x) for x in range(3)]
            finally:
                f()

    def generator(f):
        with f():
            yield from f()

    assert [catches(f.__code__) for f in (one, two, three, none, generator)] == [True, True, True, False, False]


def test_contexts_that_end_no_error_ask_nothing():
    with hearing() as heard:
        _quiet(T(SMALL))
    assert heard.said == []


def _quiet(x):
    with contextlib.nullcontext(), np.errstate(all="ignore"), tn.no_grad(), tn.scope("s"):
        return x.exp() + x


# Constants ---------------------------------------------------------------------------------------------------------


def by_grad(x):
    y = tn.zeros(*x.shape, requires_grad=True)
    return tn.grad((y * x).sum(), y)[0]


def by_backward(x):
    y = tn.zeros(*x.shape, requires_grad=True)
    (y * x.detach()).sum().backward()
    return y.grad


def added(x):
    y = tn.zeros(*x.shape)
    with tn.no_grad():
        y.add_(x.detach())
        y.clamp_(max=9e9)
    return y


def given_data(x):
    y = tn.zeros(*x.shape)
    y.data = x.detach()
    return y


COPIES = {
    "tensor": lambda x: T(x.detach()),
    "copy_": copied,
    "add_": added,
    "data": given_data,
    "grad": by_grad,
    "of x": lambda x: tn.grad((x * x / 2).sum(), x)[0],
    "backward": by_backward,
    "step": stepped,
    "running": lambda x: running(x),
    "jvp": lambda x: tn.jvp(lambda a: a * 1.0, (x.detach(),), (x.detach(),))[1],
    "argsort": lambda x: x.detach().sort(dim=-1)[1],
    "place": lambda x: x.detach()[:, x.argmax(-1)[:1]],
    "whole": lambda x: x.int(),
    "clone": lambda x: x.detach().clone(),
    "deep copy": lambda x: copy.deepcopy(x.detach()),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", COPIES)
def test_copies_are_of_what_they_were_made_of(name):
    kept = COPIES[name]
    one, other = derive(lambda x: x * kept(x), inputs=BN), derive(lambda x: x * kept(at_most(x)), inputs=BN)
    for verdict in (one.equals(other), other.equals(one), other.equals(lambda dy, x: dy * kept(x))):
        is_refused(verdict)


FOLDED = {  # all entries are one number on the records
    "a mask": lambda x: T(((x < 1e9) * 1.0).detach()),
    "a gradient": lambda x: tn.grad(x.clamp(-1e9, 1e9).sum(), x)[0],
    "another": lambda x: tn.grad((x + 1e10).clamp(max=1.15e10).sum(), x)[0],
    "whole": lambda x: 1 + T((x.detach() * 1e-9).long()),
    "clamped": lambda x: T((x.detach() * 1e-9).clamp(min=1.0)),
    "copied": lambda x: copied((x < 1e9) * 1.0),
    "filled": lambda x: filled((x < 1e9) * 1.0),
    "jvp": lambda x: tn.jvp(lambda a: a.clamp(-1e9, 1e9), (x.detach(),), (tn.ones(*x.shape),))[1],
    "backward": lambda x: by_backward((x < 1e9) * 1.0),
    "classes": lambda x: T(1.0) * F.one_hot((x.detach() * 1e-9).long().abs()).shape[-1],
}


@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.costly(2)
def test_one_number_is_no_number(plain, name):
    factor = FOLDED[name]
    assert np.all(factor(T(SMALL, requires_grad=True)).data == 1)
    assert np.any(factor(T(LARGE, requires_grad=True)).data != 1)
    is_refused(plain.equals(lambda dy, x: dy * factor(x)))
    is_refused(derive(lambda x: x * factor(x), inputs=BN).equals(lambda dy, x: dy))


def test_a_slice_has_its_own_size(plain):
    def rows(x):
        return x[:5000].shape[0] / x.shape[0]

    assert rows(T(SMALL)) == 1 != rows(T(np.ones((6000, 1))))
    is_refused(plain.equals(lambda dy, x: dy * rows(x)))
    is_refused(derive(lambda x: x * rows(x), inputs=BN).equals(lambda dy, x: dy))


def test_what_is_made_without_inputs_is_data(plain):
    rows = np.arange(1.0, 12)
    d = derive(lambda x: x * rows * T(rows) + x * tn.ones_like(x), inputs=BN)
    assert d.equals(lambda dy, x: dy * T(rows) * rows + dy)
    assert plain.equals(lambda dy, x: tn.grad(x.sum(), x, create_graph=True)[0] * dy).assumptions == ()
    assert plain.equals(lambda dy, x: dy * T([1.0]) * tn.ones(1) + tn.zeros_like(x)).assumptions == ()
    assert derive(lambda x: x * T(x.detach()), inputs=BN).equals(lambda dy, x: dy * T(x.detach()))
    assert derive(lambda x: x * copied(x), inputs=BN).equals(lambda dy, x: dy * copied(x))


def test_an_input_that_is_changed_in_place(plain):
    def changes(dy, x):
        with tn.no_grad():
            x.clamp_(max=1e9)
        return dy * x / x

    d = derive(lambda x: x * x / 2, inputs=BN)

    def clamped(dy, x):
        with tn.no_grad():
            x.clamp_(max=1e9)
        return dy * x

    for verdict in (plain.equals(changes), d.equals(clamped)):
        is_refused(verdict)


# Operations of one's own -------------------------------------------------------------------------------------------

_EXP = T([1.0], requires_grad=True).exp().op


def cap(name, at):
    return tn.Op(name, name + "({0})", partial(np.minimum, at), (None,), elementwise=True)  # no line of one's own is called


CAPS = {  # two, of one name or of others
    "one name": (cap("cap", 5000.0), cap("cap", 6000.0)),
    "two names": (cap("cap", 5000.0), cap("bound", 6000.0)),
    "of the table": (cap("abs", 5000.0), cap("abs", 6000.0)),
}


@pytest.mark.parametrize("name", CAPS)
@pytest.mark.costly(1)
def test_ops_of_ones_own(name):
    one, other = CAPS[name]
    is_refused(derive(lambda x: x * one(x), inputs=BN).equals(lambda dy, x: dy * other(x)))
    is_refused(derive(lambda x: x * x.detach(), inputs=BN).equals(lambda dy, x: dy * other(x)))


def test_a_name_makes_no_op(plain):
    exp = tn.Op("exp", "exp({0})", lambda a: np.exp(a) * np.where(np.abs(a) < 5000, 1.0, 2.0), _EXP.pullbacks, elementwise=True)
    is_refused(derive(lambda x: x * x.exp().detach(), inputs=BN).equals(lambda dy, x: dy * exp(x)))
    relu = tn.Op("relu", "relu({0})", partial(np.clip, a_min=0.0, a_max=5000.0), (None,), elementwise=True)
    is_refused(derive(lambda x: x * x.detach().relu(), inputs=BN).equals(lambda dy, x: dy * relu(x)))
    less = tn.Op("less", "{0} < {1}", lambda a, b: (a < b) | (a > 1e9), (None, None), elementwise=True)
    is_refused(
        derive(lambda x: x * (x.detach() < 5.0), inputs=BN).equals(lambda dy, x: dy * less(x, 5.0)),
    )


def test_who_takes_the_profiler_is_not_heard(plain):
    def deaf(dy, x):
        sys.setprofile(None)
        return dy * (2 if (x > 1e9).any() else 1)

    is_refused(plain.equals(deaf))


def test_each_has_one_partner():
    both = {"x": ("B", "N"), "w": ("B", "N")}
    one, other = derive(lambda x, w: x * w.exp(), inputs=both), derive(lambda x, w: x * w.exp(), inputs=both)
    with pytest.raises(DerivationError, match="x and w would both be 'w'; each has one partner"):
        one.equals(other, {"x": "w"})
