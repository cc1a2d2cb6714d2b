"""What is seen at first sight of a network: boxes, names its author wrote, the smallest text, beside torchviz where it is installed."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .peers import Options, Row, turns

WIDE = 1600  # pixels
SMALLEST = 11.0  # the smallest text in our pictures, as drawn


def rows(options: Options) -> Iterator[Row]:
    import tinygrad_norm as tn

    for name, (ours, theirs) in {
        "transformer of 12 blocks": (_transformer, _torch_transformer),
        "ResNet-20": (_resnet, None),
    }.items():
        y = ours(tn)
        with contextlib.suppress(ImportError):
            peer = theirs and theirs()
            yield from _beside(name, tn, y, peer, options)


def _beside(name: str, tn: Any, y: Any, peer: Callable[[], str] | None, options: Options) -> Iterator[Row]:
    picture = tn.graph(y).to_svg()
    folded = tn.graph(y).fold()
    boxes = [n for n in folded.nodes if n.op is not None]
    named = sum(u.box is None or u.box.named for u, n in zip(folded.units, folded.nodes) if n.op is not None)
    width = int(re.search(r'width="(\d+)"', picture)[1])  # type: ignore[index]
    mine = {
        "boxes": len(boxes),
        "named, %": 100 * named / len(boxes),
        "smallest text at 1600 px": SMALLEST * min(1, WIDE / width),
    }
    mine |= {"bytes": len(picture.encode())}
    other: dict[str, float] = {}
    if peer is not None:
        text = peer()
        labels = re.findall(r'\[label="?([^"\]]+)', text)
        other = {
            "boxes": len(labels),
            "named, %": 100 * sum("Backward" not in v for v in labels) / len(labels),
            "bytes": len(text.encode()),
        }
        if shutil.which("dot"):
            wide = _drawn_width(text)
            other["smallest text at 1600 px"] = 10 * min(1, WIDE / wide)
    for what, value in mine.items():
        if options.wants(f"{name}, {what}"):
            found = {"ours": float(value)} | ({"torchviz": float(other[what])} if what in other else {})
            yield Row(f"{name}, {what}", "", found)
    contenders: dict[str, Callable[[], Any]] = {"ours": lambda: tn.graph(y).to_svg()}
    if peer is not None:
        contenders["torchviz"] = peer
    if options.wants(f"{name}, from record to text"):
        times = turns(contenders, options.seconds)
        yield Row(f"{name}, from record to text", "ms", {k: v * 1e3 for k, v in times.items()})


def _drawn_width(text: str) -> float:
    import graphviz

    made = graphviz.Source(text).pipe(format="svg").decode()
    return float(re.search(r'width="([\d.]+)pt"', made)[1])  # type: ignore[index]


def _transformer(tn: Any) -> Any:
    F, rng = tn.functional, np.random.default_rng(0)

    class Block(tn.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = tn.nn.LayerNorm(16), tn.nn.LayerNorm(16)
            self.q, self.k, self.v, self.o = (tn.nn.Linear(16, 16) for _ in range(4))
            self.fc1, self.fc2 = tn.nn.Linear(16, 32), tn.nn.Linear(32, 16)

        def forward(self, x: Any) -> Any:
            h = self.norm1(x)
            x = x + self.o(F.scaled_dot_product_attention(self.q(h), self.k(h), self.v(h)))
            return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))

    return tn.nn.Sequential(*(Block() for _ in range(12)))(tn.tensor(rng.normal(size=(2, 5, 16)), requires_grad=True, name="x"))


def _torch_transformer() -> Callable[[], str]:
    import torch
    import torchviz

    class Block(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = torch.nn.LayerNorm(16), torch.nn.LayerNorm(16)
            self.q, self.k, self.v, self.o = (torch.nn.Linear(16, 16) for _ in range(4))
            self.fc1, self.fc2 = torch.nn.Linear(16, 32), torch.nn.Linear(32, 16)

        def forward(self, x: Any) -> Any:
            h = self.norm1(x)
            x = x + self.o(torch.nn.functional.scaled_dot_product_attention(self.q(h), self.k(h), self.v(h)))
            return x + self.fc2(torch.nn.functional.gelu(self.fc1(self.norm2(x))))

    model = torch.nn.Sequential(*(Block() for _ in range(12)))
    y = model(torch.randn(2, 5, 16))
    return lambda: str(torchviz.make_dot(y, dict(model.named_parameters())).source)


def _resnet(tn: Any) -> Any:
    nn, F = tn.nn, tn.functional

    class Basic(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, before: int, channels: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(channels)
            self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
            self.down = nn.Conv2d(before, channels, 1, stride=stride, bias=False) if before != channels else None

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            return F.relu(y + (x if self.down is None else self.down(x)))

    class ResNet(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
            self.layer1 = nn.Sequential(*(Basic(4, 4, 1) for _ in range(3)))
            self.layer2 = nn.Sequential(Basic(4, 8, 2), Basic(8, 8, 1), Basic(8, 8, 1))
            self.layer3 = nn.Sequential(Basic(8, 16, 2), Basic(16, 16, 1), Basic(16, 16, 1))
            self.fc = nn.Linear(16, 10)

        def forward(self, x: Any) -> Any:
            x = F.relu(self.bn1(self.conv1(x)))
            return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))

    x = tn.tensor(np.random.default_rng(0).normal(size=(2, 3, 8, 8)), requires_grad=True, name="x")
    return ResNet()(x)
