# %% [markdown]
# # 37 · Fuse: two passes over a row
#
# A kernel has no arrays in between: it goes over a row, entry by entry, and every pass costs as
# much as reading the row from memory. Written as in exercise 14, LayerNorm's dx takes three: one
# for mean(g), one for mean(g·x̂), one for dx. Write it in **two**: `row` is asked for one row; `mu`
# and `rstd` were saved on the way there. The rows share γ, so `dweight` is that of the rows before
# this one: add to it, in a pass that you make anyway. `tn.kernel("layer_norm").schedule` is how the
# library plans its own.

# %%
import tinygrad_norm as tn


def row(dy, x, weight, mu, rstd, dx, dweight):
    """One row: ``dx`` is written, ``dweight`` added to. All but mu and rstd are rows of N numbers."""
    n = len(x)
    # >>> yours
    sum_g = sum_gx = 0.0
    for i in range(n):
        d, x_hat = dy[i], (x[i] - mu) * rstd
        g = d * weight[i]
        sum_g += g
        sum_gx += g * x_hat
        dweight[i] += d * x_hat
    for i in range(n):
        x_hat = (x[i] - mu) * rstd
        dx[i] = rstd * (dy[i] * weight[i] - sum_g / n - x_hat * sum_gx / n)
    # --- stub
    # sum_g = sum(dy[i] * weight[i] for i in range(n))
    # sum_gx = sum(dy[i] * weight[i] * (x[i] - mu) * rstd for i in range(n))
    # for i in range(n):
    #     d, x_hat = dy[i], (x[i] - mu) * rstd
    #     dx[i] = rstd * (d * weight[i] - sum_g / n - x_hat * sum_gx / n)
    #     dweight[i] = d * x_hat
    # <<<


# %%
if __name__ == "__main__":  # for who runs this file by itself
    print(tn.kernel("layer_norm").schedule)

# === for the teacher
import tracemalloc
from array import array

import numpy as np

from tinygrad_norm.learn import Exercise, Facts, Question, Wrong


class Counted:
    """A row of numbers that counts how often it is read, and what is written into it."""

    def __init__(self, numbers):
        self.numbers, self.reads, self.written, self.passes, self.last = array("d", numbers), 0, 0, 0, len(numbers)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, i):
        if not isinstance(i, int):
            self._whole()
        found = self.numbers[i]  # one too far ends a loop over the row, and is no reading
        self.reads += 1
        at = i % len(self.numbers)
        self.passes += at < self.last
        self.last = at
        return found

    def __setitem__(self, i, value):
        if not isinstance(i, int):
            self._whole()
        self.written += 1
        self.numbers[i] = value

    def _whole(self, *others, **options):
        raise TypeError("row: a kernel has no arrays in between: entry by entry, x[i], in a loop over i")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = __neg__ = __iadd__ = (
        _whole
    )
    __array__ = __array_ufunc__ = __array_function__ = __lt__ = __gt__ = _whole


LONG = 3000


def in_between(row):
    """The most bytes that are there at once while a long row is worked on."""
    rows = [Counted(np.linspace(-1, 1, LONG)) for _ in range(5)]
    traced = tracemalloc.is_tracing()
    if not traced:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        row(*rows[:3], 0.0, 1.0, *rows[3:])
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not traced:
            tracemalloc.stop()


def rule(names):
    rng = np.random.default_rng(0)
    dy, x, w = rng.normal(size=(3, 7)), rng.normal(size=(3, 7)) + 2, rng.normal(size=7)
    mu, rstd = x.mean(-1), 1 / np.sqrt(x.var(-1) + 1e-5)
    x_hat = (x - mu[:, None]) * rstd[:, None]
    g = dy * w
    truth = rstd[:, None] * (g - g.mean(-1, keepdims=True) - x_hat * (g * x_hat).mean(-1, keepdims=True))
    dweight, weight = Counted(np.zeros(7)), Counted(w)
    for b in range(3):
        mine = {"dy": Counted(dy[b]), "x": Counted(x[b])}
        dx = Counted(np.full(7, np.nan))
        names["row"](mine["dy"], mine["x"], weight, float(mu[b]), float(rstd[b]), dx, dweight)
        off = np.abs(np.array(dx.numbers) - truth[b])
        yield not np.isnan(dx.numbers).any(), "dx: not every entry is written"
        yield (
            off.max() < 1e-10,
            f"dx is off by {off.max():.2g} at entry {int(off.argmax())} of row {b}: rstd·(g − mean(g) − x̂·mean(g·x̂))",
        )
        yield mine["dy"].written == mine["x"].written == 0, "what was given is written over: another operation may still need it"
        passes = max(a.passes for a in mine.values())
        yield passes <= 2, f"{passes} passes over the row. Does the one sum wait for the other?"
        often = max(mine, key=lambda n: mine[n].reads)
        yield (
            mine[often].reads <= 14,
            f"2 passes, but {often} is read {mine[often].reads / 7:g} times an entry: read it once in a pass, into a number of its own",
        )
    kept = in_between(names["row"])
    yield (
        kept < 4 * LONG,
        f"something as long as the row is kept in between ({kept} bytes for {LONG} numbers): a kernel has room for a few numbers, and reads again",
    )
    off = np.abs(np.array(dweight.numbers) - (dy * x_hat).sum(0)).max()
    yield off < 1e-10, "dγ: the rows share γ, so each row adds to what stands there: +=, and dy·x̂"


exercise = Exercise(
    goal="fuse a backward into two passes over memory, and say what decides their number",
    lesson="one_formula_five_languages",
    minutes=15,
    judge=Facts(rule),
    hints=(
        "Does the second sum need the result of the first?",
        "Way: neither sum needs the other, so one pass gathers both, and dγ besides; dx needs both, so it takes a second pass.",
        "Shape: two sums at 0; for i …: read dy[i] and x[i] once, add to three things; for i …: write dx[i]",
        "in the first loop: d, x_hat = dy[i], (x[i] - mu) * rstd; g = d * weight[i]; sum_g += g; sum_gx += g * x_hat; dweight[i] += d * x_hat",
    ),
    wrong=(
        Wrong("", "", "3 passes over the row"),
        Wrong("dweight[i] += d * x_hat", "dweight[i] = d * x_hat", "dγ: the rows share γ"),
        Wrong("- sum_g / n - x_hat * sum_gx / n", "- sum_g / n - x_hat * sum_gx", "dx is off by"),
        Wrong(
            "sum_g = sum_gx = 0.0",
            "dy, x = [dy[i] for i in range(n)], [x[i] for i in range(n)]\n    sum_g = sum_gx = 0.0",
            "something as long as the row is kept",
        ),
        Wrong("dx[i] = rstd", "dy[i] = dx[i] = rstd", "what was given is written over"),
        Wrong(
            "d, x_hat = dy[i], (x[i] - mu) * rstd",
            "d, x_hat = dy[i] + 0 * dy[i] + 0 * dy[i], (x[i] - mu) * rstd",
            "2 passes, but dy is read 4 times",
        ),
        Wrong("sum_g += g\n", "sum_g += g + 0 * dy[i]\n", "2 passes, but dy is read 3 times"),
        Wrong("sum_g = sum_gx = 0.0", "sum_g = sum_gx = 0 * (dy * weight)", "entry by entry, x[i], in a loop"),
        Wrong(
            "sum_g = sum_gx = 0.0", "import numpy as np\n    sum_g = sum_gx = 0 * np.sum(dy)", "entry by entry, x[i], in a loop"
        ),
    ),
    predict=Question(
        "And the forward, from x alone, by the two-pass variance: how many passes?",
        ("one", "two", "three"),
        "three",
        "σ² needs μ, which needs all of x; y needs both.",
    ),
)
