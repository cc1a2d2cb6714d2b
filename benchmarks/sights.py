"""What is seen at first sight of a network: boxes, names its author wrote, the smallest text; beside torchviz and torchlens where they are."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .peers import Options, Row, turns

WIDE, HIGH = 1600, 900  # pixels


@dataclass(frozen=True)
class Seen:
    """A peer's picture of a network.

    make:   draws it, from the model
    boxes:  how many it has; named: how many of these carry a name that the author of the network wrote
    source: its DOT text, where there is one
    """

    make: Callable[[], Any]
    boxes: int
    named: int
    source: str = ""


def rows(options: Options) -> Iterator[Row]:
    import tinygrad_norm as tn

    for name, (ours, theirs) in {
        "transformer of 12 blocks": (_transformer, _torch_transformer),
        "ResNet-20": (_resnet, _torch_resnet),
    }.items():
        y = ours(tn)
        peers: dict[str, Seen] = {}
        for peer, look in {"torchviz": _torchviz, "torchlens": _torchlens}.items():
            with contextlib.suppress(ImportError):
                peers[peer] = look(*theirs())
        yield from _beside(name, tn, y, peers, options)


def _beside(name: str, tn: Any, y: Any, peers: Mapping[str, Seen], options: Options) -> Iterator[Row]:
    picture = tn.graph(y).to_svg()
    nodes = set(re.findall(r'<g class="(?:node|frame)" data-node="([^"]*)"', picture))
    folded = tn.graph(y).fold()
    boxes = [u for u, n in zip(folded.units, folded.nodes) if n.op is not None]
    alone = [u for u in boxes if u.box is None]  # operations outside any call or scope, shown as what they are: +
    named = sum(u.box.named for u in boxes if u.box is not None) + sum(bool(folded.whole.tensors[u.id].name) for u in alone)
    width, height = map(int, re.search(r'width="(\d+)" height="(\d+)"', picture).groups())  # type: ignore[union-attr]
    smallest = min(map(float, re.findall(r'font-size="([\d.]+)"', picture)))
    figures: dict[str, dict[str, float]] = {
        "boxes": {"ours": len(nodes)},
        "operations that stand alone": {"ours": len(alone)},
        "named by the author, %": {"ours": 100 * named / len(boxes)},
        "calls and scopes named, %": {"ours": 100 * sum(u.box.named for u in boxes if u.box) / (len(boxes) - len(alone))},
        "smallest text at 1600 px": {"ours": smallest * min(1, WIDE / width)},
        "smallest text at 1600 × 900": {"ours": smallest * min(1, WIDE / width, HIGH / height)},
        "bytes": {"ours": len(picture.encode())},
    }
    for peer, seen in peers.items():
        figures["boxes"][peer] = seen.boxes
        figures["named by the author, %"][peer] = 100 * seen.named / seen.boxes
        if seen.source:
            figures["bytes"][peer] = len(seen.source.encode())
        if seen.source and shutil.which("dot"):
            figures["smallest text at 1600 px"][peer] = 10 * min(1, WIDE / _drawn_width(seen.source))
    for what, found in figures.items():
        if options.wants(f"{name}, {what}"):
            yield Row(f"{name}, {what}", "", {k: float(v) for k, v in found.items()})
    if options.wants(f"{name}, from record to picture"):
        contenders = {"ours": lambda: tn.graph(y).to_svg()} | {peer: seen.make for peer, seen in peers.items()}
        times = turns(contenders, options.seconds)
        yield Row(f"{name}, from record to picture", "ms", {k: v * 1e3 for k, v in times.items()})


def _torchviz(model: Any, x: Any) -> Seen:
    """Every parameter has the name that ``named_parameters`` gives it; an operation has its class's."""
    import torchviz

    y = model(x)

    def make() -> str:
        return str(torchviz.make_dot(y, dict(model.named_parameters())).source)

    source = make()
    labels = re.findall(r'\[label="?([^"\]]+)', source)
    return Seen(make, len(labels), sum("Backward" not in v and v != "AccumulateGrad" for v in labels), source)


def _torchlens(model: Any, x: Any) -> Seen:
    """Every layer that is the output of a module carries the module's address. It draws with Graphviz's program; without
    that only its tracing is timed."""
    import torchlens

    def make() -> Any:
        trace = torchlens.trace(model, x)
        return trace.draw(return_graph=True, vis_save_only=True) if shutil.which("dot") else trace

    layers = list(torchlens.trace(model, x).layers)
    made = make()
    named = sum(bool(layer.output_of_modules) for layer in layers)
    return Seen(make, len(layers), named, str(getattr(made, "source", "")) if shutil.which("dot") else "")


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


def _torch_transformer() -> tuple[Any, Any]:
    import torch

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

    return torch.nn.Sequential(*(Block() for _ in range(12))), torch.randn(2, 5, 16, requires_grad=True)


def _resnet_of(nn: Any, F: Any) -> Any:
    """Written once: the names are the same in both."""

    class Basic(nn.Module):  # type: ignore[misc]
        def __init__(self, before: int, channels: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(channels)
            self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
            self.down = nn.Conv2d(before, channels, 1, stride=stride, bias=False) if before != channels else None

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            return F.relu(y + (x if self.down is None else self.down(x)))

    class ResNet(nn.Module):  # type: ignore[misc]
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

    return ResNet()


def _resnet(tn: Any) -> Any:
    x = tn.tensor(np.random.default_rng(0).normal(size=(2, 3, 8, 8)), requires_grad=True, name="x")
    return _resnet_of(tn.nn, tn.functional)(x)


def _torch_resnet() -> tuple[Any, Any]:
    import torch

    return _resnet_of(torch.nn, torch.nn.functional), torch.randn(2, 3, 8, 8, requires_grad=True)
