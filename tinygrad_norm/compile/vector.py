"""exp, tanh and their like as arithmetic, within 2 units of the last place, so that loops over them vectorize.

The polynomials are those of Moshier's Cephes library. Each function is written once, in the words of both languages.
"""

from __future__ import annotations

import re

_EXP: dict[str, str] = {
    "float32": """
    c = x if x > LOW else LOW
    c = c if c < HIGH else HIGH
    k = floor(c * 1.44269504088896341 + 0.5)
    r = c - k * 0.693359375
    r = r - k * -2.12194440e-4
    p = 1.9875691500e-4
    p = p * r + 1.3981999507e-3
    p = p * r + 8.3334519073e-3
    p = p * r + 4.1665795894e-2
    p = p * r + 1.6666665459e-1
    p = p * r + 5.0000001201e-1
    y = p * r * r + r + 1.0
""",
    "float64": """
    c = x if x > LOW else LOW
    c = c if c < HIGH else HIGH
    k = floor(c * 1.4426950408889634073599 + 0.5)
    r = c - k * 6.93145751953125e-1
    r = r - k * 1.42860682030941723212e-6
    s = r * r
    p = r * ((1.26177193074810590878e-4 * s + 3.02994407707441961300e-2) * s + 9.99999999999999999910e-1)
    q = ((3.00198505138664455042e-6 * s + 2.52448340349684104192e-3) * s + 2.27265548208155028766e-1) * s + 2.0
    y = 1.0 + 2.0 * (p / (q - p))
""",
}
_TANH: dict[str, str] = {
    "float32": """
    a = abs(x)
    s = x * x
    p = -5.70498872745e-3
    p = p * s + 2.06390887954e-2
    p = p * s + -5.37397155531e-2
    p = p * s + 1.33314422036e-1
    p = p * s + -3.33332819422e-1
    near = p * s * x + x
    far = 1.0 - 2.0 / (exp_(a + a) + 1.0)
    far = far if x > 0.0 else -far
    y = near if a < 0.625 else far
    y = x if a < 1.0e-4 else y
""",
    "float64": """
    a = abs(x)
    s = x * x
    p = (-9.64399179425052238628e-1 * s + -9.92877231001918586564e1) * s + -1.61468768441708447952e3
    q = ((s + 1.12811678491632931402e2) * s + 2.23548839060100448583e3) * s + 4.84406305325125486048e3
    near = x * (s * (p / q)) + x
    far = 1.0 - 2.0 / (exp_(a + a) + 1.0)
    far = far if x > 0.0 else -far
    y = near if a < 0.625 else far
    y = x if a < 1.0e-8 else y
""",
}
_SIGMOID = """
    e = exp_(-abs(x))
    y = (1.0 if x >= 0.0 else e) / (1.0 + e)
"""
_SOFTPLUS = """
    a = x if x > 0.0 else 0.0
    y = a + log1p(exp_(-abs(x)))
    y = y if x == x else x
"""
_SIGN = """
    y = 1.0 if x > 0.0 else 0.0
    y = -1.0 if x < 0.0 else y
    y = y if x == x else x
"""
_LARGER = """
    y = x if x > z else z
    y = y if x == x else x
"""
_SMALLER = """
    y = x if x < z else z
    y = y if x == x else x
"""
_ENDS = {"float32": ("-104.0", "89.0"), "float64": ("-746.0", "710.0")}
_BODIES: dict[str, dict[str, str]] = {
    "exp": _EXP,
    "tanh": _TANH,
    **{name: {"float32": body, "float64": body} for name, body in
       (("sigmoid", _SIGMOID), ("softplus", _SOFTPLUS), ("sign", _SIGN), ("max", _LARGER), ("min", _SMALLER))},
}  # fmt: skip


def _numba(name: str, dtype: str) -> str:
    body = _BODIES[name][dtype].strip("\n")
    low, high = _ENDS[dtype]
    body = body.replace("LOW", low).replace("HIGH", high)
    body = re.sub(r"(?<![\w.])(\d+\.\d*(?:e-?\d+)?)", r"T(\1)", body)
    body = body.replace("floor(", "np.floor(").replace("log1p(", "np.log1p(")
    two = "z" if name in ("max", "min") else ""
    lines = [
        '@njit(fastmath={"contract"}, forceinline=True, error_model="numpy")',
        f"def {name}_(x{', z' if two else ''}):",
        body,
    ]
    if name == "exp":
        integer, bias, shift = ("np.int32", 127, 23) if dtype == "float32" else ("np.int64", 1023, 52)
        lines += [
            f"    n = {integer}(k)",
            f"    h = n >> {integer}(1)",
            f"    y = y * {integer}(({integer}(h) + {integer}({bias})) << {integer}({shift})).view(T)",
            f"    y = y * {integer}(({integer}(n - h) + {integer}({bias})) << {integer}({shift})).view(T)",
            "    return y if x == x else x",
        ]
    else:
        lines.append("    return y")
    return "\n".join(lines)


def _c(name: str, dtype: str) -> str:
    real = {"float32": "float", "float64": "double"}[dtype]
    suffix = "f" if dtype == "float32" else ""
    low, high = _ENDS[dtype]
    body = _BODIES[name][dtype].strip("\n").replace("LOW", low).replace("HIGH", high)
    body = re.sub(r"(?<![\w.])(\d+\.\d*(?:e-?\d+)?)", rf"\1{suffix}", body)
    for f in ("floor", "log1p"):
        body = body.replace(f"{f}(", f"{f}{suffix}(")
    body = body.replace("abs(", f"fabs{suffix}(")
    seen: set[str] = set()
    lines = [f"static inline {real} {name}_({real} x{', ' + real + ' z' if name in ('max', 'min') else ''}) {{"]
    for line in body.split("\n"):
        left, right = line.strip().split(" = ", 1)
        right = (
            re.sub(r"\(?([^()]+?) if ([^()]+?) else ([\w.-]+)\)?(?= /|$)", r"(\2 ? \1 : \3)", right) if " if " in right else right
        )
        lines.append(f"    {'' if left in seen else real + ' '}{left} = {right};")
        seen.add(left)
    if name == "exp":
        integer, bias, shift = ("int32_t", 127, 23) if dtype == "float32" else ("int64_t", 1023, 52)
        lines += [
            f"    {integer} n = ({integer})k, h = n >> 1, i = (h + {bias}) << {shift}, j = (n - h + {bias}) << {shift};",
            f"    {real} a, b;",
            "    memcpy(&a, &i, sizeof a); memcpy(&b, &j, sizeof b); /* 2 to the power h, and n - h */",
            "    return x == x ? y * a * b : x;",
        ]
    else:
        lines.append("    return y;")
    return "\n".join([*lines, "}"])


NUMBA = {name: {dtype: _numba(name, dtype) for dtype in ("float32", "float64")} for name in _BODIES}
C = {name: {dtype: _c(name, dtype) for dtype in ("float32", "float64")} for name in _BODIES}
NUMBA["larger"] = dict.fromkeys(
    ("float32", "float64"),
    "@njit(forceinline=True)\n"
    "def larger_(a, b):  # a NaN is passed by; it makes a NaN of the sum that comes after, and is found there\n"
    "    return b if b > a else a",
)
NUMBA["erf"] = dict.fromkeys(
    ("float32", "float64"),
    '@njit(fastmath={"contract"}, forceinline=True, error_model="numpy")\ndef erf_(x):\n    return T(math.erf(x))',
)
