"""What the arguments of one call have in common, and what a caller may hand in by mistake."""

from __future__ import annotations

import math
from random import Random

AXES_OF = (1, 2, 2, 2, 3, 3, 4, 0)
FLOATS = ("float32", "float64", "float64", "float16")

#: What a caller may hand in by mistake, whatever was asked for.
WILD = (
    *("None", "True", "False", "3.5", "2.0", "-1", "-7", "0", "7", "10**30", "2**31", "-(2**63)", "1e300", "float('nan')"),
    *("float('inf')", "1j", "'a'", "'mean'", "''", "b'a'", "[]", "()", "[1, 2]", "(0, 0)", "(1, -1)", "[0, 5]", "[1.5, 2]"),
    *(
        "[[1., 2.], [3.]]",
        "[None]",
        "['a', 'b']",
        "[True, False]",
        "{}",
        "{'a': 1}",
        "{1, 2}",
        "object()",
        "len",
        "int",
        "lambda *a: a",
    ),
    *(
        "np.array(1.)",
        "np.array(1)",
        "np.array([0, 1])",
        "np.array([[0]])",
        "np.array([0.5, 1.5])",
        "np.array([])",
        "np.array('a')",
    ),
    *("np.array(None)", "np.array([1, 'a'], dtype=object)", "np.array(['2020-01-01'], 'M8[s]')", "np.zeros(2, [('a', 'f4')])"),
    *(
        "np.float32(1)",
        "np.float16(0.5)",
        "np.int64(1)",
        "np.bool_(True)",
        "np.uint8(3)",
        "np.complex64(1j)",
        "np.float64('nan')",
    ),
    *(
        "slice(None)",
        "...",
        "range(3)",
        "iter([1, 2])",
        "Fraction(1, 3)",
        "Decimal('0.1')",
        "np.float64",
        "'float32'",
        "tn.Tensor",
    ),
    *(
        "tn.tensor(2)",
        "tn.tensor(1.5)",
        "tn.tensor(True)",
        "tn.tensor([0, 1])",
        "tn.tensor([])",
        "tn.tensor(1., requires_grad=True)",
    ),
    *("tn.tensor([[1., 2.]], requires_grad=True)", "[tn.tensor(1.), tn.tensor([1., 2.])]", "nn.Linear(2, 2)", "np", "np.newaxis"),
)

INDICES = (
    *(
        "0",
        "-1",
        "...",
        "None",
        "slice(0, 2)",
        "(slice(None), 0)",
        "(..., slice(None, None, -1))",
        "[0, 1]",
        "np.array([0, 1])",
        "()",
    ),
    *("(0, ...)", "([0, 1], [1, 0])", "tn.tensor([0, 1])", "(None, 0)", "slice(5, 1)", "True", "np.array([True, False])"),
)

WORDS = (
    "mean",
    "sum",
    "none",
    "recorded",
    "analytic",
    "compiled",
    "tanh",
    "same",
    "valid",
    "constant",
    "reflect",
    "variance",
    "fro",
)


class Scene:
    """What the arguments of one call have in common."""

    def __init__(self, rng: Random, spatial: int | None, axes: int | None = None) -> None:
        self.rng = rng
        axes = spatial + 2 if spatial is not None else rng.choice(AXES_OF) if axes is None else axes
        self.shape = tuple(rng.choice((2, 3, 4, 4)) for _ in range(axes))
        if spatial is not None:
            self.shape = (*self.shape[:2], *(rng.choice((4, 5, 6)) for _ in range(spatial)))
        if rng.random() < 0.07 and self.shape:
            at = rng.randrange(len(self.shape))
            self.shape = tuple(rng.choice((0, 1)) if k == at else n for k, n in enumerate(self.shape))
        self.dtype = rng.choice(FLOATS)
        self.features = self.shape[-1] if self.shape else 2
        self.channels = self.shape[1] if len(self.shape) > 1 else self.features
        self.salt = 0
        self.odd = rng.random() < 0.15  # layouts and values that are allowed and rare

    def array(self, shape: tuple[int, ...], dtype: str | None = None, plain: bool = False) -> str:
        """Numbers that do not repeat, none of them drawn: the text says them all."""
        self.salt += 1
        dtype, count = dtype or self.dtype, math.prod(shape)
        text = f"np.sin(np.arange({self.salt}., {self.salt + count}.))" if shape else f"np.array(0.{self.salt}7)"
        if len(shape) > 1:
            text += f".reshape({shape})"
        if dtype.startswith(("int", "uint")):
            text = f"({text}*3)" if dtype != "uint8" else f"({text}*3 + 3)"
        elif dtype == "bool":
            text = f"({text} > 0)"
        if dtype != "float64" and dtype != "bool":
            text += f".astype('{dtype}')"
        if self.odd and not plain and dtype.startswith("float"):
            text = self.rng.choice(
                (
                    f"({text}*{'6e4' if dtype == 'float16' else '1e30' if dtype == 'float32' else '1e300'})",
                    f"np.where({text} > 0.5, np.nan, {text})",
                    f"np.where({text} > 0.5, np.inf, {text})",
                    f"({text}*{'1e-7' if dtype == 'float16' else '1e-40' if dtype == 'float32' else '1e-310'})",
                    f"{text}.astype('>{'f2' if dtype == 'float16' else 'f4' if dtype == 'float32' else 'f8'}')",
                    f"np.asfortranarray({text})",
                    f"np.repeat({text}[None], 2, 0)[1]" if shape else text,
                    f"np.broadcast_to({text}, {shape})",
                    f"np.zeros({shape}, '{dtype}')",
                    f"({text}*0 + 1)",
                    f"np.flip({text})" if shape else text,
                )
            )
        return text

    def tensor(self, shape: tuple[int, ...] | None = None, dtype: str | None = None) -> str:
        shape = self.shape if shape is None else shape
        dtype = dtype or self.dtype
        floating = dtype.startswith("float")
        how = self.rng.random()
        if how < 0.04:
            return self.array(shape, dtype)
        if how < 0.07 and len(shape) == 1:
            return str([round(0.3 * k - 0.5, 1) for k in range(shape[0])])
        if how < 0.12:
            array = self.array(shape, dtype) if shape else f"np.asarray({self.array(shape, dtype)})"  # arithmetic leaves no array
            return f"tn.from_numpy({array}{', requires_grad=True' if floating else ''})"
        if how < 0.25 or not floating:
            return f"tn.tensor({self.array(shape, dtype)})"
        return f"tn.tensor({self.array(shape, dtype)}, requires_grad=True)"

    def any_tensor(self) -> str:
        """A tensor that need not fit."""
        rng = self.rng
        shape = rng.choice((self.shape, self.shape[1:], (*self.shape, 2), (), (0,), (1,), (3, 0), (1, 2, 3, 2, 2), (7,), (5, 7)))
        dtype = rng.choice(
            (self.dtype, "int64", "bool", "float16", "float32", "float64", "complex128", "uint8", "int32", "complex64")
        )
        return f"tn.tensor({self.array(shape, dtype)}{', requires_grad=True' if dtype.startswith('float') and rng.random() < 0.7 else ''})"
