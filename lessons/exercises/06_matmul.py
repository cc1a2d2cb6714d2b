# %% [markdown]
# # 6 · A matrix product
#
# y = x·W. Write both gradients. Written out, y(b, j) = Σᵢ x(b, i)·w(i, j): each x(b, i) is used for
# every j, each w(i, j) for every b, and shares add up, as they did for γ. With x of 4 × 5 and W of
# 5 × 3, shapes would leave little choice: dx has x's shape, dW has W's. So the check asks with
# square matrices, where shapes say nothing.

# %%
import tinygrad_norm as tn


def linear(x, w):
    return x @ w


def backward(dy, x, w):
    # >>> yours
    dx = dy @ w.T
    dw = x.T @ dy
    # --- stub
    # dx = 0 * x
    # dw = 0 * w
    # <<<
    return dx, dw


# %%
if __name__ == "__main__":  # for who runs this file by itself; the course runs the check for you
    print(tn.check(backward, linear, inputs={"x": [[1.0, 2.0]], "w": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}))

# === for the teacher
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="take a gradient back through a matrix product, to both factors",
    lesson="broadcasting",
    minutes=10,
    judge=Backward(linear, {"x": (4, 4), "w": (4, 4)}),
    hints=(
        "y's entry (b, j) is Σᵢ x(b, i)·w(i, j). In which entries of y does x(b, i) occur, and with what slope?",
        "Way: from x(b, i) to every y(b, j), with slope w(i, j): dx(b, i) = Σⱼ dy(b, j)·w(i, j). For W the sum is over b.",
        "Shape: dx = dy · (W the other way round); dW = (x the other way round) · dy",
        "dx = dy @ w.T and dw = x.T @ dy",
    ),
    wrong=(
        Wrong("", "", "nothing went back", numbers=True),
        Wrong("dy @ w.T", "dy @ w", "w was not transposed on the way back"),
        Wrong("dy @ w.T", "w.T @ dy", "the order of dx: dy·Wᵀ, and not Wᵀ·dy", numbers=True),
        Wrong("dy @ w.T", "dy * w", "dx: * multiplies entry by entry; a matrix product is @", numbers=True),
        Wrong("x.T @ dy", "dy @ x.T", "the order of dW: xᵀ·dy, and not dy·xᵀ", numbers=True),
        Wrong("x.T @ dy", "dy * x", "dW: * multiplies entry by entry; a matrix product is @", numbers=True),
        Wrong("dy @ w.T\n    dw = x.T @ dy", "dy @ w\n    dw = x @ dy", "x was not transposed on the way back", numbers=True),
        Wrong("x.T @ dy", "x @ dy", "x was not transposed on the way back", numbers=True),
        Wrong(
            "x.T @ dy", "dy.T @ x", "dyᵀ·x is dW the other way round: where W is square only the numbers show it", numbers=True
        ),
    ),
    predict=Question(
        "Over which index does dW sum?",
        ("the samples", "the inputs", "the outputs"),
        "the samples",
        "Every sample uses the same W: its shares come together.",
    ),
    picture=lambda: linear(
        tn.tensor([[1.0, 2.0]], requires_grad=True, name="x"), tn.tensor([[1.0], [2.0]], requires_grad=True, name="W")
    ),
)
