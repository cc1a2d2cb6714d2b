"""Each optimizer beside PyTorch's, 50 steps from the same start, and beside its formula in plain NumPy; states, and misuse."""

from __future__ import annotations

import gc
import math
import tracemalloc

import numpy as np
import pytest

import tinygrad_norm as tn

SETTINGS = [
    ("SGD", {}),
    ("SGD", {"lr": 0.05, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.01, "momentum": 0.5, "maximize": True, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "maximize": True, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
    ("AdamW", {"lr": 0.05, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.05, "momentum": 0.9}),
    ("RMSprop", {"lr": 0.05, "momentum": 0.9, "centered": True}),
    ("RMSprop", {"lr": 0.05, "centered": True, "maximize": True}),
]
SHAPES = ((4, 3), (3,), ())


def start(seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.normal(size=shape)).astype(dtype) for shape in SHAPES]


def slopes(step):
    """The gradients of a step: others each time, and at every seventh none for the second parameter."""
    rng = np.random.default_rng(1000 + step)
    return [None if i == 1 and step % 7 == 3 else np.asarray(rng.normal(size=shape)) for i, shape in enumerate(SHAPES)]


def ours(name, dtype="float64", **options):
    ps = [tn.tensor(a, requires_grad=True) for a in start(dtype=dtype)]
    return ps, getattr(tn.optim, name)(ps, **options)


def give(ps, gradients, wrap):
    for p, g in zip(ps, gradients):
        p.grad = None if g is None else wrap(g)


def run(ps, optimizer, steps, wrap=lambda g: g):
    for step in steps:
        give(ps, slopes(step), wrap)
        optimizer.step()


@pytest.mark.parametrize(
    ("name", "options"), SETTINGS, ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v)) or "default"
)
def test_fifty_steps_as_pytorch(name, options):
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(a, requires_grad=True) for a in start()]
    reference = getattr(torch.optim, name)(theirs, **options)
    ps, optimizer = ours(name, **options)
    for step in range(50):
        run(theirs, reference, [step], torch.tensor)
        run(ps, optimizer, [step])
        for p, q in zip(ps, theirs):
            np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-12, atol=1e-12)
            assert p.dtype == np.float64
            assert isinstance(p.numpy(), np.ndarray)


def by_formula(name, p, gradients, lr=0.05):
    """As the papers write them, a number at a time."""
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        if name == "SGD":
            m = 0.9 * m + g
            p = p - lr * m
        elif name == "RMSprop":
            v = 0.99 * v + 0.01 * g**2
            p = p - lr * g / (math.sqrt(v) + 1e-8)
        else:
            p = p * (1 - lr * 0.01) if name == "AdamW" else p
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            p = p - lr * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_fifty_steps_as_the_papers_write_them(name):
    options = {"momentum": 0.9} if name == "SGD" else {}
    ps, optimizer = ours(name, lr=0.05, **options)
    first = ps[0].data[1, 2]
    run(ps, optimizer, range(50))
    expected = by_formula(name, float(first), [slopes(step)[0][1, 2] for step in range(50)])
    np.testing.assert_allclose(ps[0].data[1, 2], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(("name", "options"), [s for s in SETTINGS if s[1]])
def test_the_dtype_stays(name, options, dtype):
    ps, optimizer = ours(name, dtype, **{**options, "eps": 1e-3} if name != "SGD" else options)
    optimizer.param_groups[0]["lr"] = np.float64(0.01)  # as a schedule of one's own may set it
    run(ps, optimizer, range(3), lambda g: g.astype(dtype))
    assert [p.dtype for p in ps] == [dtype] * 3
    assert all(v.dtype == dtype for s in optimizer.state.values() for v in s.values() if isinstance(v, np.ndarray))
    assert all(np.isfinite(p.data).all() for p in ps)


def test_old_records_refuse_and_old_values_stay():
    p = tn.tensor([1.0, 2.0], requires_grad=True, name="p")
    seen, before = p.detach(), p.numpy()
    loss = (p * p).sum()
    loss.backward()
    tn.optim.SGD([p], lr=0.5).step()
    np.testing.assert_array_equal(p.data, [0.0, 0.0])
    np.testing.assert_array_equal(seen.data, [1.0, 2.0])
    np.testing.assert_array_equal(before, [1.0, 2.0])
    with pytest.raises(tn.InPlaceError, match="p"):
        loss.backward()
    (p + 1).sum().backward()


def test_the_gradient_is_left_as_it_is():
    for name, options in SETTINGS:
        ps, optimizer = ours(name, **options)
        give(ps, slopes(0), tn.tensor)
        optimizer.step()
        optimizer.step()
        for p, g in zip(ps, slopes(0)):
            np.testing.assert_array_equal(p.grad.data, g)


@pytest.mark.parametrize(("name", "options"), SETTINGS)
def test_resumed_is_not_interrupted(name, options, tmp_path):
    """Bit for bit, through a file."""
    ps, optimizer = ours(name, **options)
    run(ps, optimizer, range(9))
    tn.save({"p": [np.array(p.data) for p in ps], "o": optimizer.state_dict()}, tmp_path / "run")
    run(ps, optimizer, range(9, 20))
    saved = tn.load(tmp_path / "run")
    again = [tn.tensor(a, requires_grad=True) for a in saved["p"]]
    other = getattr(tn.optim, name)(again, lr=7.0)
    other.load_state_dict(saved["o"])
    run(again, other, range(9, 20))
    for p, q in zip(ps, again):
        np.testing.assert_array_equal(p.data, q.data)
    assert repr(other) == repr(optimizer)


def test_a_state_is_a_copy():
    ps, optimizer = ours("Adam")
    run(ps, optimizer, range(2))
    state = optimizer.state_dict()
    kept = state["state"][0]["exp_avg"].copy()
    run(ps, optimizer, range(2, 4))
    np.testing.assert_array_equal(state["state"][0]["exp_avg"], kept)
    optimizer.load_state_dict(state)
    run(ps, optimizer, range(4, 6))
    np.testing.assert_array_equal(state["state"][0]["exp_avg"], kept)


@pytest.mark.parametrize(("name", "options"), SETTINGS)
def test_states_go_to_pytorch_and_come_back(name, options):
    torch = pytest.importorskip("torch")

    def as_torch(value):
        if isinstance(value, dict):
            return {k: as_torch(v) for k, v in value.items()}
        if isinstance(value, list):
            return [as_torch(v) for v in value]
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

    ps, optimizer = ours(name, **options)
    run(ps, optimizer, range(6))
    theirs = [torch.tensor(np.array(p.data), requires_grad=True) for p in ps]
    reference = getattr(torch.optim, name)(theirs)
    reference.load_state_dict(as_torch(optimizer.state_dict()))
    run(ps, optimizer, range(6, 12))
    run(theirs, reference, range(6, 12), torch.tensor)
    back = [tn.tensor(q.detach().numpy(), requires_grad=True) for q in theirs]
    returned = getattr(tn.optim, name)(back)
    returned.load_state_dict(reference.state_dict())
    run(back, returned, range(12, 18))
    run(ps, optimizer, range(12, 18))
    for p, q in zip(ps, back):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-12, atol=1e-12)


def test_groups_have_options_of_their_own():
    a, b, c = (tn.tensor([1.0], requires_grad=True) for _ in range(3))
    optimizer = tn.optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [c], "lr": 0.25})
    for p in (a, b, c):
        p.grad = np.ones(1)
    optimizer.step()
    assert [p.item() for p in (a, b, c)] == [0.9, 0.5, 0.75]
    assert [len(g["params"]) for g in optimizer.param_groups] == [1, 1, 1]
    assert optimizer.state_dict()["param_groups"][2]["params"] == [2]
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.item() == 0
    optimizer.zero_grad()
    assert a.grad is b.grad is None


def test_named_parameters():
    net = tn.nn.Linear(2, 1, seed=0)
    optimizer = tn.optim.Adam(net.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    with pytest.raises(tn.OptionError, match=r"parameter weight, W .*, comes twice"):
        optimizer.add_param_group({"params": [("weight", net.weight)]})


def test_a_closure_is_recorded_and_its_loss_returned():
    p = tn.tensor(3.0, requires_grad=True)
    optimizer = tn.optim.SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = p * p
        loss.backward()
        return loss

    with tn.no_grad():
        assert optimizer.step(closure).item() == 9
    assert p.item() == 1.5
    assert optimizer.step() is None


def test_frozen_parameters_do_not_move():
    p, q = tn.tensor([1.0], requires_grad=True), tn.tensor([1.0])
    optimizer = tn.optim.AdamW([p, q])
    p.grad = np.ones(1)
    optimizer.step()
    assert q.item() == 1
    assert list(optimizer.state_dict()["state"]) == [0]


def test_rounding_below_zero_is_no_nan():
    """A constant gradient has no variance."""
    p = tn.tensor([1.0], requires_grad=True)
    optimizer = tn.optim.RMSprop([p], lr=1e-9, alpha=0.3, centered=True)
    for _ in range(60):
        p.grad = np.array([0.1])
        optimizer.step()
        assert np.isfinite(p.item())


W = tn.tensor([1.0], requires_grad=True, name="w")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: tn.optim.SGD([W * 2]), tn.GradientError, r"SGD: parameter 0, .*, was computed by mul; only leaves"),
        (lambda: tn.optim.SGD([W, W]), tn.OptionError, r"SGD: parameter 1, w \(1,\) float64, comes twice"),
        (lambda: tn.optim.SGD([{"params": W}, {"params": [W]}]), tn.OptionError, "parameter 0, w .*, comes twice"),
        (lambda: tn.optim.SGD(W), tn.DTypeError, "params is w .*; it is several tensors.*make a list"),
        (lambda: tn.optim.SGD({W}), tn.DTypeError, "are a set, whose order"),
        (lambda: tn.optim.SGD(3), tn.DTypeError, "params is 3; it is several"),
        (lambda: tn.optim.SGD([]), tn.OptionError, "params is empty.*used up"),
        (lambda: tn.optim.SGD([3]), tn.DTypeError, "parameter 0 is 3, which is no tensor"),
        (lambda: tn.optim.SGD([tn.tensor([1])]), tn.DTypeError, "int64, has no gradient"),
        (lambda: tn.optim.SGD([("w", W), tn.zeros(1)]), tn.DTypeError, "Give all as .name, tensor., or none"),
        (lambda: tn.optim.SGD([{"lr": 1}]), tn.DTypeError, 'a dict with "params"'),
        (lambda: tn.optim.SGD([{"params": 3}]), tn.DTypeError, "the parameters are 3"),
        (lambda: tn.optim.SGD([W], lr=-0.1), tn.OptionError, "SGD: lr=-0.1; it is a number from 0 on"),
        (lambda: tn.optim.SGD([{"params": [W], "lr": -1}]), tn.OptionError, "SGD: lr=-1"),
        (lambda: tn.optim.SGD([W], "fast"), tn.DTypeError, "SGD: lr='fast'"),
        (lambda: tn.optim.SGD([W], momentum=-1), tn.OptionError, "momentum=-1"),
        (lambda: tn.optim.SGD([W], nesterov=True), tn.OptionError, "nesterov with momentum=0"),
        (lambda: tn.optim.SGD([W], nesterov=True, momentum=0.9, dampening=0.1), tn.OptionError, "and no dampening"),
        (lambda: tn.optim.Adam([W], betas=(0.9, 1.0)), tn.OptionError, r"Adam: betas=\(0.9, 1.0\); each is below 1"),
        (lambda: tn.optim.AdamW([W], betas=0.9), tn.OptionError, "AdamW: betas=0.9; they are two"),
        (lambda: tn.optim.AdamW([W], eps=-1), tn.OptionError, "AdamW: eps=-1"),
        (lambda: tn.optim.RMSprop([W], alpha=-1), tn.OptionError, "RMSprop: alpha=-1"),
        (lambda: tn.optim.RMSprop([W], centered="yes"), tn.OptionError, "RMSprop: centered='yes'"),
        (lambda: tn.optim.SGD([W]).step(3), tn.DTypeError, "SGD.step: closure=3"),
    ],
)
def test_misuse_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make()


def without(state, key):
    return {**state, "state": {0: {k: v for k, v in state["state"][0].items() if k != key}}}


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda s: 3, tn.DTypeError, "the state is 3"),
        (lambda s: {"state": {}}, tn.DTypeError, 'a dict of "state" and "param_groups"'),
        (
            lambda s: {**s, "param_groups": s["param_groups"] * 2},
            tn.OptionError,
            r"groups of \[1, 1\] parameters in the state, of \[1\]",
        ),
        (lambda s: {**s, "state": {5: {}}}, tn.OptionError, "has values for .*5"),
        (
            lambda s: {**s, "state": {0: {**s["state"][0], "exp_avg": np.ones(4)}}},
            tn.ShapeError,
            r"exp_avg of parameter 0 has shape \(4,\)",
        ),
        (lambda s: {**s, "state": {0: {**s["state"][0], "exp_avg": "x"}}}, tn.DTypeError, "exp_avg of parameter 0 is 'x'"),
        (lambda s: without(s, "exp_avg_sq"), tn.OptionError, "has no exp_avg_sq. Is it another optimizer's"),
        (lambda s: {**s, "param_groups": [{**s["param_groups"][0], "lr": -1}]}, tn.OptionError, "Adam: lr=-1"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(spoil, error, words):
    p = tn.tensor([1.0, 2.0], requires_grad=True)
    optimizer = tn.optim.Adam([p])
    p.grad = np.ones(2)
    optimizer.step()
    before = repr(optimizer.state_dict())
    with pytest.raises(error, match=words):
        optimizer.load_state_dict(spoil(optimizer.state_dict()))
    assert repr(optimizer.state_dict()) == before


def test_it_says_its_options():
    said = repr(tn.optim.SGD([W], lr=0.1)).splitlines()
    assert said[:2] == ["SGD (", "Parameter Group 0"]
    assert "    lr: 0.1" in said


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
@pytest.mark.costly(1)
def test_memory_does_not_grow(name, count):
    ps, optimizer = ours(name, **{"momentum": 0.9} if name != "Adam" else {})
    scheduler = tn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=count)
    gradients = [np.ones(shape) for shape in SHAPES]

    def steps(n):
        for _ in range(n):
            give(ps, gradients, tn.tensor)
            optimizer.step()
            scheduler.step()
        gc.collect()

    steps(20)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        steps(count)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 8 * 300, "not one float for each step"


def test_the_base_says_what_it_lacks():
    p = tn.ones(2, requires_grad=True)
    with pytest.raises(tn.DTypeError, match="Optimizer: defaults is True; it is a dict of options"):
        tn.optim.Optimizer([p], True)
    base = tn.optim.Optimizer([p], {"lr": 0.1})
    p.grad = tn.ones(2)
    with pytest.raises(tn.TinygradNormError, match="Optimizer: it has no _change"):
        base.step()
    with pytest.raises(tn.TinygradNormError, match="LRScheduler: no get_lr says the next rates of the optimizer"):
        tn.optim.lr_scheduler.LRScheduler(tn.optim.SGD([p], 0.1))
