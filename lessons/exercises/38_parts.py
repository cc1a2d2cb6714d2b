# %% [markdown]
# # 38 · One batch, many machines
#
# BatchNorm over a batch that lies in parts on several machines, not all equally large. Each machine
# may send a few numbers per channel, never its samples. `share` says what it sends of its part (n,
# C): how many, their mean, their squared deviations from it, added up. Write `together`: from all
# shares the mean and the variance of the *whole* batch. On the way back each machine sends two sums
# per channel; they are added up over all machines, and `backward` is asked for dx of a part. (γ is
# 1.)

# %%
def share(x):
    mean = x.mean(0)
    return len(x), mean, ((x - mean) ** 2).sum(0)


def together(shares):
    """(how many, mean, variance) of the whole batch."""
    # >>> yours: mean and variance of the whole batch
    count = sum(n for n, _, _ in shares)
    mean = sum(n * m for n, m, _ in shares) / count
    var = sum(q + n * (m - mean) ** 2 for n, m, q in shares) / count
    # --- stub
    # count = sum(n for n, _, _ in shares)
    # mean = sum(m for _, m, _ in shares) / len(shares)  # the mean of the means
    # var = sum(q for _, _, q in shares) / count
    # <<<
    return count, mean, var


def sums(dy, x_hat):
    """What a machine sends on the way back: added up over all, it is ``total``."""
    return dy.sum(0), (dy * x_hat).sum(0)


def backward(dy, x_hat, rstd, count, total):
    """dx of a part."""
    # >>> yours: with what all machines sent
    return rstd * (dy - total[0] / count - x_hat * total[1] / count)
    # --- stub
    # return rstd * (dy - dy.mean(0) - x_hat * (dy * x_hat).mean(0))  # as if the part were all
    # <<<


# === for the teacher
import numpy as np

from tinygrad_norm.learn import Exercise, Facts, Question, Wrong


def rule(names):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(12, 3)) * [1, 3, 0.2] + np.arange(12)[:, None] / 4, rng.normal(size=(12, 3))
    cuts = [2, 5]
    parts = np.split(x, cuts)
    count, mean, var = names["together"]([names["share"](p) for p in parts])
    yield count == 12, f"how many: the batch has 12 samples, not {count}"
    yield (
        np.allclose(mean, x.mean(0), rtol=1e-12),
        "the mean: the parts are not equally large; a part of 7 counts more than one of 2",
    )
    apart = sum((p.mean(0) - x.mean(0)) ** 2 for p in parts)
    yield (
        not np.allclose(var, sum(((p - p.mean(0)) ** 2).sum(0) for p in parts) / 12 + apart / 12),
        "the variance: how far a part's mean lies from that of all counts for each sample of the part, n times, and not once",
    )
    yield (
        np.allclose(var, x.var(0), rtol=1e-10),
        "the variance: deviations are to be those from the mean of all. A part's own leave out how far its mean lies from that one",
    )
    far = x + 1e7
    digits = np.abs(names["together"]([names["share"](p) for p in np.split(far, cuts)])[2] / far.var(0) - 1).max()
    yield digits < 1e-6, f"the variance at a mean of 10⁷ is off by {digits:.0e} of itself: mean(x²) − mean² has lost its digits"
    rstd = 1 / np.sqrt(x.var(0) + 1e-5)
    x_hat = (x - x.mean(0)) * rstd
    truth = rstd * (dy - dy.mean(0) - x_hat * (dy * x_hat).mean(0))
    pieces = list(zip(np.split(dy, cuts), np.split(x_hat, cuts)))
    sent = [names["sums"](*p) for p in pieces]
    total = tuple(sum(s[i] for s in sent) for i in (0, 1))
    mine = np.concatenate([names["backward"](d, h, rstd, 12, total) for d, h in pieces])
    yield mine.shape == truth.shape, f"dx has the shape of the part, (n, C); together {truth.shape}, not {mine.shape}"
    alone = np.concatenate([rstd * (d - d.mean(0) - h * (d * h).mean(0)) for d, h in pieces])
    yield (
        not np.allclose(mine, alone),
        "dx: the part's own sums. Every sample of the batch is in μ and σ², on whatever machine it lies",
    )
    yield (
        np.allclose(mine, truth, rtol=1e-10, atol=1e-12),
        "dx: rstd·(dy − a mean − x̂·a mean), both over all samples of the batch",
    )


exercise = Exercise(
    goal="spread a norm over machines, and say what they must tell each other, there and back",
    lesson="more_than_one_machine",
    claims=("batch-of-two", "batch-noise"),
    minutes=15,
    judge=Facts(rule),
    hints=(
        "When is the mean of the means not the mean?",
        "Way: Σ(x − mean)² of a part = its own squared deviations + n·(its mean − mean)². On the way back the sums are over the batch.",
        "Shape: mean = Σ n·m / Σ n; var = Σ (q + n·(…)²) / Σ n; dx = rstd·(dy − total/count − x̂·total/count)",
        "mean = sum(n * m for n, m, _ in shares) / count;  var = sum(q + n * (m - mean) ** 2 for n, m, q in shares) / count;  "
        "return rstd * (dy - total[0] / count - x_hat * total[1] / count)",
    ),
    wrong=(
        Wrong("", "", "the parts are not equally large"),
        Wrong("q + n * (m - mean) ** 2", "q", "A part's own leave out how far its mean lies"),
        Wrong("q + n * (m - mean) ** 2", "q + n * m**2 - n * mean**2", "has lost its digits"),
        Wrong("q + n * (m - mean) ** 2", "q + (m - mean) ** 2", "n times, and not once"),
        Wrong("total[0] / count - x_hat * total[1] / count", "dy.mean(0) - x_hat * (dy * x_hat).mean(0)", "the part's own sums"),
        Wrong(
            "total[0] / count - x_hat * total[1] / count",
            "total[0] / len(dy) - x_hat * total[1] / len(dy)",
            "both over all samples",
        ),
    ),
    predict=Question(
        "C channels, any number of samples: how many numbers does a machine send there, at the least?",
        ("2·C + 1", "3·C", "n·C"),
        "2·C + 1",
        "Its count, and for each channel a mean and a sum of squares.",
    ),
)
