"""Pictures of figures: everything is in the picture, and what is strange has a place."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tinygrad_norm.learn import Dots, Lines
from tinygrad_norm.learn.charts import Scale

STRANGE = [
    Dots({"<a> & b": [0.0, 1e-9], "far": [np.inf, 2.0]}, "size", log=True),
    Dots({"the same": [3.0, 3.0]}, "size", at={"mark": 3.0}),
    Dots({"below": [-1.2, 4.0]}, "size"),
    Dots({"nothing": [0.0]}, "size", log=True),
    Lines({"a": {1: [0.5, 0.7], 2: [0.1]}, "b": {1: [np.inf], 2: [3.0]}}, "x", "y", log=True, at={"chance": 0.1}),
    Lines({"one place": {"p": [1.0]}}, "x", "y"),
]


@pytest.mark.parametrize("chart", STRANGE, ids=range(len(STRANGE)))
def test_it_is_a_picture(chart):
    text = chart.svg("<title> & more")
    root = ET.fromstring(text)
    wide, high = (float(root.get(k)) for k in ("width", "height"))
    assert not re.search(r"nan|[^<]\binf\b", text)
    for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(circle.get("cx")) < wide
        assert 0 < float(circle.get("cy")) < high
    words = {t.text for t in root.iter("{http://www.w3.org/2000/svg}text")}
    names = chart.rows if isinstance(chart, Dots) else chart.series
    assert {*names, *chart.at} <= words
    assert {chart.axis} <= words if isinstance(chart, Dots) else {chart.x, chart.y} <= words
    assert text == chart.svg("<title> & more")


def test_a_dot_for_each_seed():
    assert Dots({"a": [1.0, 2.0, 4.0], "b": [1.0, 1.0]}, "size").svg("t").count("<circle") == 5


def test_places_keep_the_order_of_the_values():
    values = [0.0, 1e-12, 1e-3, 1.0, 50.0, np.inf]
    scale = Scale.of(values, log=True)
    places = [scale(v) for v in values]
    assert places == sorted(places)
    assert len(set(places)) == len(values)
    assert (places[0], places[-1]) == (0.0, 1.0)
    assert [label for _, label in scale.ticks()][:2] == ["0", "10⁻¹²"]
    assert scale.ticks()[-1] == (1.0, "∞")


def test_a_scale_ends_in_round_numbers():
    scale = Scale.of([0.13, 0.87], log=False)
    assert [label for _, label in scale.ticks()] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]


def test_labels_of_lines_do_not_cover_each_other():
    text = Lines({name: {"x": [1.0 + i / 1000]} for i, name in enumerate("abcd")}, "x", "y").svg("t")
    root = ET.fromstring(text)
    ys = sorted(float(t.get("y")) for t in root.iter("{http://www.w3.org/2000/svg}text") if t.text in tuple("abcd"))
    assert min(np.diff(ys)) >= 14
