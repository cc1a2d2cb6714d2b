"""Files that stand alone: a norm for NumPy, PyTorch or JAX, made from its derived formula, each with its test."""

from __future__ import annotations

from collections.abc import Sequence

from ..derive.source import identifier
from ..derive.writer import Text
from .program import Definition, Program, closure
from .torch_modules import MODULES
from .whole import JAX, NUMPY, TORCH, Dialect, Functions

_ABOUT = '''"""{title}: made from its derived formula by tinygrad_norm. It needs {needs} and nothing else.

    {lines}
{notes}
Run this file to test it.
"""
'''


def about(program: Program, needs: str, notes: str = "") -> str:
    hand = Text(program.axes, ())
    needed = closure(program.steps, [program.y.expression])
    lines = [
        hand.equation(n, s.expression)
        if isinstance(s, Definition)
        else f"{n} = {'Σ' if s.function == 'sum' else s.function}_{''.join(s.over)}({hand(s.inside)})"
        for n, s in program.steps.items()
        if n in needed and n != program.y.array.letter
    ]
    y, dy = program.y.array.letter, program.dy.letter
    called = f"   the code calls {y} y, {dy} dy" if y != "y" else ""
    lines.append(hand.equation(y, program.y.expression) + called)
    lines += [hand.equation(t.array.letter, t.expression) for t in program.gradients.values()]
    said = f"\n{notes}\n" if notes else ""
    return _ABOUT.format(title=program.title, needs=needs, lines="\n    ".join(lines), notes=said)


class _Names:
    """What a file calls a program's functions and their arguments."""

    def __init__(self, program: Program, dialect: Dialect) -> None:
        self.p = program
        self.made = Functions(program, dialect)
        self.function = identifier(program.name, {n: n for n in ("forward", "backward", "test")})
        self.title = (
            "".join(c for c in program.title.replace("-", " ").title() if c.isalnum())
            if " " in program.title
            else "".join(c for c in program.title if c.isalnum())
        )
        self.inputs = [a.name for a in program.inputs]
        self.numbers = [n for _, n, _ in program.numbers] + [self.made.sizes[a] for a in program.sizes]
        self.defaults = [f"{n}={v!r}" for _, n, v in program.numbers] + [
            f"{self.made.sizes[a]}={n}" for a, n in program.sizes.items()
        ]
        by_letter = {a.letter: a.name for a in program.inputs}
        self.of = [by_letter[program.gradients[n].array.letter[1:]] for n in self.made.wanted]
        self.signature = ", ".join([*self.inputs, *self.defaults])
        self.call = ", ".join([*self.inputs, *self.numbers])

    def draws(self, usual: str, whole: str, positive: str, size: Sequence[int] = (4, 6, 5, 3, 2)) -> list[tuple[str, str]]:
        """Of each input its name and an expression that draws it: of {shape}, below {n} where it is an index."""
        shapes, n = self.shapes(size), {a: self.p.sizes.get(a, size[k % len(size)]) for k, a in enumerate(self.p.axes)}
        how = {"index": whole, "constant": positive}
        return [(a.name, how.get(a.role, usual).format(shape=shapes[a.name], n=n.get(a.along, 1))) for a in self.p.inputs]

    def shapes(self, size: Sequence[int] = (4, 6, 5, 3, 2)) -> dict[str, tuple[int, ...]]:
        """Of small inputs, for the test."""
        p = self.p
        n = {a: p.sizes.get(a, size[k % len(size)]) for k, a in enumerate(p.axes)}
        shapes = {}
        for a in p.inputs:
            shape = []
            for dim in a.layout:
                total = 1
                for x in dim:
                    total *= n[x]
                shape.append(total)
            shapes[a.name] = tuple(shape)
        return shapes


def _notes(program: Program) -> str:
    lines = []
    if program.held:
        lines.append("What the forward holds constant is constant to the gradient, so differences do not show it.")
    lines += [
        f"{a.name}: whole numbers from 0, places along {a.along}; there is none to ignore." for a in program.inputs if a.along
    ]
    if program.floor:
        lines.append("Where a length is below the least that the norm divides by, this is not its formula.")
    return "\n".join(lines)


def numpy_file(program: Program) -> str:
    """``layer_norm(x, …)`` and ``layer_norm_backward(dy, x, …)``."""
    n = _Names(program, NUMPY)
    text = ["\n".join(n.made.forward("forward")), "\n".join(n.made.backward("backward"))]
    text.append(f'def {n.function}({n.signature}):\n    """y"""\n    return forward({n.call})[0]')
    grads = ", ".join(f"d{x}" for x in n.of)
    text.append(
        f'def {n.function}_backward(dy, {n.signature}):\n    """{grads}"""\n    y, saved = forward({n.call})\n'
        f"    found = backward(dy, y, saved, {n.call})\n    return found[0] if len(found) == 1 else found"
    )
    tested = [k for k, x in enumerate(n.of) if not (program.held and x == n.inputs[0])]
    usual, whole = "rng.normal(size={shape})", "rng.integers(0, {n}, {shape})"
    given = n.draws(usual, whole, f"abs({usual}) + 0.5")
    text.append(
        "\n".join(
            [
                "def test():",
                '    """The gradients against central differences, along random directions."""',
                "    rng = np.random.default_rng(0)",
                f"    given = {{{', '.join(f'{name!r}: {text}' for name, text in given)}}}",
                f"    dy = rng.normal(size=np.shape({n.function}(**given)))",
                "    found = backward(dy, *forward(**given), **given)",
                f"    for name, gradient in [(n, g) for k, (n, g) in enumerate(zip({n.of!r}, found)) if k in {tested!r}]:",
                "        v, h = rng.normal(size=np.shape(given[name])), 1e-6",
                f"        more = {n.function}(**{{**given, name: given[name] + h * v}})",
                f"        less = {n.function}(**{{**given, name: given[name] - h * v}})",
                "        want, got = np.sum(dy * (more - less)) / (2 * h), np.sum(gradient * v)",
                '        assert abs(want - got) < 1e-6 * (1 + abs(want)), f"{name}: {got}, by differences {want}"',
                '        print(f"d{name}: right to {abs(want - got):.0e}")',
            ]
        )
    )
    text.append('if __name__ == "__main__":\n    test()')
    head = "import math\n\n" if any("math." in t for t in text) else ""
    return about(program, "NumPy", _notes(program)) + f"\n{head}import numpy as np\n\n\n" + "\n\n\n".join(text) + "\n"


def torch_file(program: Program) -> str:
    """An ``autograd.Function``, a function and a module."""
    head = about(program, "PyTorch", _notes(program))
    parts = torch_parts(program)
    needs = "import math\n\n" if any("math." in p for p in parts) else ""
    return head + f"\n{needs}import torch\n\n\n" + "\n\n\n".join(parts) + "\n"


def torch_parts(program: Program, kernels: tuple[str, ...] = ()) -> list[str]:
    """What such a file is made of.

    kernels:  functions ``forward_on_gpu`` and ``backward_on_gpu``, which are taken for tensors on a GPU
    """
    n = _Names(program, TORCH)
    text = ["\n".join(n.made.forward("forward")), "\n".join(n.made.backward("backward"))]
    text += kernels
    count, extra = len(n.inputs), len(n.numbers)
    there = f"{n.inputs[0]}.is_cuda or os.environ.get('TRITON_INTERPRET')"
    first = f"forward_on_gpu({n.call}) if {there} else forward({n.call})" if kernels else f"forward({n.call})"
    again = "backward"
    if kernels:
        again = "way"
    ctx = ", ".join(["ctx", *n.inputs, *n.numbers])
    places = [n.inputs.index(x) for x in n.of]
    order = (
        "found"
        if places == list(range(len(places)))
        else f"tuple(found[{places!r}.index(k)] if k in {places!r} else None for k in range({count}))"
    )
    numbers = f"ctx.numbers = ({', '.join(n.numbers)}{',' if extra == 1 else ''})" if extra else "ctx.numbers = ()"
    text.append(
        "\n".join(
            [
                f"class {n.title}Function(torch.autograd.Function):",
                '    """One node. Differentiated again, it computes its statistics again, so that every order is right."""',
                "",
                "    @staticmethod",
                f"    def forward({ctx}):",
                f"        y, saved = {first}",
                f"        ctx.save_for_backward({', '.join(n.inputs)}, y, *saved)",
                f"        {numbers}",
                "        return y",
                "",
                "    @staticmethod",
                "    def backward(ctx, dy):",
                f"        *inputs, y = ctx.saved_tensors[:{count + 1}]",
                f"        saved = ctx.saved_tensors[{count + 1}:]",
                *(
                    ["        way = backward_on_gpu if dy.is_cuda or os.environ.get('TRITON_INTERPRET') else backward"]
                    if kernels
                    else []
                ),
                "        if torch.is_grad_enabled():",
                *(["            way = backward"] if kernels else []),
                "            y, saved = forward(*inputs, *ctx.numbers)",
                f"        found = {again}(dy, y, saved, *inputs, *ctx.numbers)",
                *([] if order == "found" else [f"        found = {order}"]),
                "        found = [g if need else None for g, need in zip(found, ctx.needs_input_grad)]",
                "        return "
                + ", ".join(["*found", *["None"] * (extra + (count - len(n.of) if order == "found" else 0))])
                + ("," if not extra and (order != "found" or count == len(n.of)) else ""),
            ]
        )
    )
    text.append(
        f'def {n.function}({n.signature}):\n    """y; under autocast, cast the inputs to one dtype first."""\n'
        f"    return {n.title}Function.apply({n.call})"
    )
    text += [MODULES[program.name].strip()] if program.name in MODULES else []
    usual, whole = "torch.randn({shape}, dtype=torch.float64, generator=rng)", "torch.randint({n}, {shape}, generator=rng)"
    draws = ", ".join(f"{name}={text}" for name, text in n.draws(usual, whole, f"{usual}.abs() + 0.5"))
    checked = [x for x in n.of if not (program.held and x == n.inputs[0])]
    if kernels:
        usual, whole = (
            "torch.randn({shape}, generator=rng, device=device)",
            "torch.randint({n}, {shape}, generator=rng, device=device)",
        )
        draws32 = ", ".join(text for _, text in n.draws(usual, whole, f"{usual}.abs() + 0.5", (5, 33, 7, 4, 3)))
        return [
            *text,
            "\n".join(
                [
                    "def test():",
                    "    device = 'cuda' if torch.cuda.is_available() else 'cpu'",
                    "    rng = torch.Generator(device).manual_seed(0)",
                    f"    given = [{draws32}]",
                    "    y, saved = forward_on_gpu(*given)",
                    "    dy = torch.randn(y.shape, generator=rng, device=device)",
                    "    found = (y, *backward_on_gpu(dy, y, saved, *given))",
                    "    wide = [g.double() if g.is_floating_point() else g for g in given]",
                    "    y, saved = forward(*wide)",
                    "    for a, b in zip(found, (y, *backward(dy.double(), y, saved, *wide))):",
                    "        off = ((a - b).abs().max() / b.abs().max()).item()",
                    "        assert off < 1e-4, off",
                    '    print("the kernels are right")',
                ]
            ),
            'if __name__ == "__main__":\n    test()',
        ]
    text.append(
        "\n".join(
            [
                "def test():",
                "    rng = torch.Generator().manual_seed(0)",
                f"    given = dict({draws})",
                f"    wanted = {checked!r}",
                "    for name in wanted:",
                "        given[name] = given[name].detach().requires_grad_()",
                f"    call = lambda *some: {n.function}(**{{**given, **dict(zip(wanted, some))}})  # noqa: E731",
                *_checks(checked, program.held),
            ]
        )
    )
    text.append('if __name__ == "__main__":\n    test()')
    return text


def jax_file(program: Program) -> str:
    """A ``custom_vjp``."""
    n = _Names(program, JAX)
    text = ["\n".join(n.made.forward("forward")), "\n".join(n.made.backward("backward"))]
    count = len(n.inputs)
    still = tuple(range(count, count + len(n.numbers)))
    first = f"@partial(jax.custom_vjp, nondiff_argnums={still})" if still else "@jax.custom_vjp"
    text.append(f'{first}\ndef {n.function}({n.signature}):\n    """y"""\n    return forward({n.call})[0]')
    zeros = {a.name for a in program.inputs} - set(n.of)
    places = [f"found[{n.of.index(x)}]" if x not in zeros else "None" for x in n.inputs]
    numbers = "".join(f"{x}, " for x in n.numbers)
    text.append(
        f"def _forward({', '.join([*n.inputs, *n.numbers])}):\n    y, saved = forward({n.call})\n    return y, ({', '.join(n.inputs)}, y, saved)"
    )
    text.append(
        f"def _backward({numbers}kept, dy):\n    {', '.join(n.inputs)}, y, saved = kept\n"
        f"    found = backward(dy, y, saved, {n.call})\n    return ({', '.join(places)},)"
    )
    text.append(f"{n.function}.defvjp(_forward, _backward)")
    usual, whole = "jax.random.normal(next(keys), {shape})", "jax.random.randint(next(keys), {shape}, 0, {n})"
    draws = ", ".join(text for _, text in n.draws(usual, whole, f"abs({usual}) + 0.5"))
    text.append(
        "\n".join(
            [
                "def test():",
                "    from jax.test_util import check_grads",
                "",
                '    jax.config.update("jax_enable_x64", True)',
                f"    keys = iter(jax.random.split(jax.random.PRNGKey(0), {count}))",
                f"    given = [{draws}]",
                f"    wanted = {[n.inputs.index(x) for x in n.of if not (program.held and x == n.inputs[0])]!r}",
                f"    call = lambda *some: {n.function}(*[some[wanted.index(k)] if k in wanted else g for k, g in enumerate(given)])  # noqa: E731",
                f'    check_grads(call, [given[k] for k in wanted], order={1 if program.held else 2}, modes=["rev"])',
                '    print("check_grads passes")',
            ]
        )
    )
    text.append('if __name__ == "__main__":\n    test()')
    head = "from functools import partial\n\n" if still else ""
    return (
        about(program, "JAX", _notes(program)) + f"\n{head}import jax\nimport jax.numpy as jnp\n\n\n" + "\n\n\n".join(text) + "\n"
    )


def _checks(checked: Sequence[str], held: bool) -> list[str]:
    """What PyTorch's own checks can say: nothing where a factor that every input has a part in is held constant."""
    if not checked:
        return [
            "    leaves = [t.requires_grad_() for t in given.values() if t.is_floating_point()]",
            "    y = call()",
            "    found = torch.autograd.grad(y, leaves, torch.randn(y.shape, dtype=y.dtype, generator=rng))",
            "    assert all(g.shape == t.shape and g.isfinite().all() for g, t in zip(found, leaves))",
            '    print("it runs; a factor is held constant, so that differences cannot check the gradient")',
        ]
    lines = ["    some = [given[name] for name in wanted]", "    assert torch.autograd.gradcheck(call, some)"]
    if held:
        return [*lines, '    print("gradcheck passes")']
    return [*lines, "    assert torch.autograd.gradgradcheck(call, some)", '    print("gradcheck and gradgradcheck pass")']
