# %% [markdown]
# # 1 · A nudge
#
# The derivative of f at x says how much f(x) changes when x does. So nudge x a little, to the right
# and to the left, and look: the two values differ by the slope times the distance between the two
# points.
#
# Write `slope`, for any f, x and h. Then choose h: what is right on paper for h → 0 is computed
# with 16 digits.

# %%


def slope(f, x, h):
    # >>> yours: how much f changes, over how far the two points are apart
    return (f(x + h) - f(x - h)) / (2 * h)
    # --- stub
    # return (f(x + h) - f(x)) / h  # one nudge, to the right
    # <<<


# >>> yours: a good nudge, for numbers of 16 digits
h = 1e-5
# --- stub
# h = 0.1
# <<<

# %% [markdown]
# Try it: the slope of x² at 3 is 6.

# %%
print(slope(lambda x: x * x, 3.0, h))

# === for the teacher
import math

from tinygrad_norm.learn import Exercise, Facts, Question, Wrong


def rule(names):
    slope, h = names["slope"], names["h"]
    got = slope(lambda x: x * x, 3.0, 1e-3)
    yield got is not None, "slope gives nothing back: does it end without its return?"
    yield abs(got - 6e-6) > 1e-9, "6e-06 for x² at 3: `/ 2 * h` divides by 2 and multiplies by h; brackets: / (2 * h)"
    yield abs(got - 12) > 1e-6, "12 for x² at 3, twice the slope: the two points are 2h apart, not h"
    yield abs(got - 3) > 1e-6, "3 for x² at 3, half the slope: is one nudge made, and divided by two?"
    yield abs(got + 6) > 1e-6, "−6 for x² at 3: the sign: right less left"
    yield (
        abs(abs(got - 6) - 1e-3) > 1e-8,
        f"{got:.6g} for x² at 3 with h = 0.001, and not 6: a nudge to one side only is off by h; to both sides, that cancels",
    )
    yield (
        abs(got - 6) < 1e-8,
        f"{got:.6g} for x² at 3 with h = 0.001, and not 6: the change of f, over the distance of the two points",
    )
    other = slope(lambda x: 5 * x, 3.0, 1e-3)
    yield abs(other - 5) < 1e-8, f"{other:.6g} for 5x, and not 5: f is to be asked, whatever it is, at x + h and at x − h"
    yield isinstance(h, float) and h > 0, f"h = {h!r}: a positive number, such as 0.01"
    error = abs(slope(math.sin, 1.0, h) - math.cos(1.0))
    yield (
        h > 1e-8,
        f"rounding: with h = {h:g} the slope of sin is off by {error:.0e}: f(x + h) and f(x − h) agree in most of their 16 digits, and only the rest is left",
    )
    yield error < 1e-9, f"the curve: with h = {h:g} the slope of sin is off by {error:.0e}: within h, sin is not yet a line"


exercise = Exercise(
    goal="measure a derivative with two evaluations, and say how large the nudge should be",
    lesson="a_tensor_remembers",
    minutes=8,
    judge=Facts(rule),
    hints=(
        "How far apart are the two points at which f is evaluated?",
        "Way: f to the right less f to the left, over the distance. For h: try 0.1, 1e-3, 1e-5, … 1e-12 and watch the error.",
        "Shape: (f(…) − f(…)) / (2·h), and an h in the middle between the curve's error h² and rounding's 1e-16/h.",
        "return (f(x + h) - f(x - h)) / (2 * h), with h = 1e-5",
    ),
    found="x² at 3 with a nudge of 0.001 gives 6.001, and the slope is 6",
    wrong=(
        Wrong("", "", "a nudge to one side only is off by h"),
        Wrong("/ (2 * h)", "/ h", "twice the slope: the two points are 2h apart"),
        Wrong("/ (2 * h)", "/ 2 * h", "divides by 2 and multiplies by h; brackets"),
        Wrong("return (f(x + h) - f(x - h)) / (2 * h)", "return 6.0", "f is to be asked, whatever it is"),
        Wrong("return (f(x + h) - f(x - h)) / (2 * h)", "f(x + h) - f(x - h)", "does it end without its return?"),
        Wrong("f(x + h) - f(x - h)", "f(x - h) - f(x + h)", "the sign: right less left"),
        Wrong("h = 1e-5", "h = 1e-12", "rounding: with h = 1e-12"),
        Wrong("h = 1e-5", "h = 0.1", "the curve: with h = 0.1"),
    ),
    predict=Question(
        "Which h gives the smallest error?",
        ("1e-1", "1e-5", "1e-15"),
        "1e-5",
        "The curve's error falls as h², rounding's grows as 1e-16/h; they meet near 1e-5.",
    ),
)
