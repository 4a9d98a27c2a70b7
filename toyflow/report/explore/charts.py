"""The page's charts as Vega-Lite specifications. Each draws rows that the page's script gives it, by name.

Why Vega-Lite, by altair and vl-convert-python: its library is 0.9 MB of a page (plotly.js has 4.7), it works
without a network, draws SVG with ARIA roles, and a chart is a declaration that is checked against a schema
here, not code in the page. Colours are named (`category`, `ordinal`, `heatmap`, and styles); the script gives
them for a light and for a dark page. A and B differ in colour, in shape and in dashes.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from toyflow.report.explore.denoising import BOUND

SIDES = ["A", "B"]
SIDE = alt.Color("side:N", scale=alt.Scale(domain=SIDES), legend=None)
SHAPE = alt.Shape("side:N", scale=alt.Scale(domain=SIDES, range=["circle", "diamond"]), legend=None)
DASH = alt.StrokeDash("side:N", scale=alt.Scale(domain=SIDES, range=[[1, 0], [6, 3]]), legend=None)
PARTS = ["leak", "bias", "bias and spread", "spread"]
DEEP = 2
"""The number of a code from which its cell is too deep in colour for a reading in the colour of text."""
POWERS_OF_TEN: Any = {
    "condition": {"test": "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6", "value": 1},
    "value": 0,
}
"""Of a logarithmic axis, the ticks that have a line."""
PADDING: Any = {"left": 5, "top": 5, "bottom": 8, "right": 44}
"""Of a chart whose lines are named at their right end."""
HIGHEST = alt.ExprRef("highest")
"""A parameter: two charts side by side have one scale."""


def charts() -> dict[str, dict[str, Any]]:
    """Every chart by name."""
    drawn = {
        "success": _success(),
        "errors": _errors(),
        "anatomy": _anatomy(),
        "curve": _curve(),
        "curves": _curves(),
        "codes": _codes(),
        "scalars": _scalars(),
    }
    return {name: chart.properties(width="container").to_dict() for name, chart in drawn.items()}


def _rows(name: str = "rows") -> alt.Chart:
    return alt.Chart(alt.NamedData(name))


def _success() -> alt.LayerChart:
    """Score against milliseconds: all decodings of the study, and those of A and B."""
    x = alt.X(
        "ms:Q", scale=alt.Scale(type="log", nice=False, padding=24), title="milliseconds for an answer",
        axis=alt.Axis(tickCount=5, format="~g", grid=False),
    )  # fmt: skip
    y = alt.Y(
        "score:Q", scale=alt.Scale(domain=[0, 1.06]), title=None,
        axis=alt.Axis(format=".0%", values=[0, 0.2, 0.4, 0.6, 0.8, 1]),
    )  # fmt: skip
    tooltip = [
        alt.Tooltip("name:N", title="setting"), alt.Tooltip("score:Q", format=".1%"),
        alt.Tooltip("ms:Q", format=".3~g", title="ms"), alt.Tooltip("decoding:N", title="decoding"),
    ]  # fmt: skip
    base = _rows().encode(x=x, y=y)
    others = base.mark_point(style="other", size=36, filled=True).encode(tooltip=tooltip)
    way = _rows("ways").mark_line(strokeWidth=1.5, opacity=0.6).encode(
        x=x, y=y, color=SIDE, strokeDash=DASH, order="steps:Q", detail="side:N"
    )  # fmt: skip
    stops = _rows("ways").mark_point(size=40, filled=True, opacity=0.7).encode(
        x=x, y=y, color=SIDE, shape=SHAPE, tooltip=tooltip
    )  # fmt: skip
    chosen = _rows("chosen").encode(x=x, color=SIDE)
    interval = chosen.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", title=None), y2="high:Q")
    point = chosen.mark_point(size=190, filled=True, opacity=1).encode(y=y, shape=SHAPE, tooltip=tooltip)
    texts = [
        chosen.transform_filter(f"datum.side == '{side}'")
        .mark_text(dx=10, dy=dy, align="left", fontSize=13, fontWeight=600)
        .encode(y=y, text="told:N")
        for side, dy in zip(SIDES, (-13, 14), strict=True)  # apart, also where the points are close
    ]
    return alt.layer(others, way, stops, interval, point, *texts).properties(height=320)


def _errors() -> alt.LayerChart:
    """Error of the velocity by noise level."""
    x = alt.X(
        "noise:Q", scale=alt.Scale(domain=[1, 0]), title="noise level: 1 is pure noise, 0 the answer",
        axis=alt.Axis(values=[1, 0.75, 0.5, 0.25, 0], grid=False, format=".2~f"),
    )  # fmt: skip
    scale = alt.Scale(type="log", nice=True)
    axis = alt.Axis(format="~g", tickCount=4, gridOpacity=POWERS_OF_TEN)
    base = _rows().encode(x=x, color=SIDE)
    band = base.mark_area(opacity=0.18).encode(
        y=alt.Y("low:Q", scale=scale, title=None, axis=axis), y2="high:Q"
    )
    line = base.mark_line(strokeWidth=2.5).encode(
        y=alt.Y("mse:Q", scale=scale, title=None, axis=axis), strokeDash=DASH,
        tooltip=["told:N", alt.Tooltip("noise:Q", format="~g"), alt.Tooltip("mse:Q", format=".3~g")],
    )  # fmt: skip
    text = (
        base.transform_filter("datum.last")
        .mark_text(dx=6, align="left", fontSize=13, fontWeight=700)
        .encode(y="mse:Q", text="told:N")
    )
    return alt.layer(band, line, text).properties(height=300, padding=PADDING)


def _anatomy() -> alt.LayerChart:
    """Areas of one step's error by its parts, against the number of draws that are averaged.

    The page has their legend: a name in an area that becomes thin would not fit.
    """
    x = alt.X(
        "draws:Q", scale=alt.Scale(type="log", base=2, nice=False, domain=[1, 16]), title="draws averaged",
        axis=alt.Axis(values=[1, 2, 4, 8, 16], format="d", grid=False),
    )  # fmt: skip
    y = alt.Y(
        "value:Q", stack="zero", title=None, scale=alt.Scale(domainMin=0, domainMax=HIGHEST, nice=False),
        axis=alt.Axis(format="~g", tickCount=4),
    )  # fmt: skip
    area = _rows().mark_area(interpolate="monotone", style="part").encode(
        x=x, y=y, order="place:Q",
        fill=alt.Fill("part:N", scale=alt.Scale(domain=PARTS, range="ordinal"), legend=None),
        tooltip=["part:N", "draws:Q", alt.Tooltip("value:Q", format=".3~g")],
    )  # fmt: skip
    chosen = _rows("chosen").mark_rule(strokeWidth=2, strokeDash=[3, 3], style="rule").encode(x="draws:Q")
    return alt.layer(area, chosen).add_params(alt.param(name="highest", value=1)).properties(height=240)


def _curve() -> alt.LayerChart:
    """A target of numbers in a row: each draw on its way, their mean, and the target."""
    x = alt.X("place:Q", title=None, axis=alt.Axis(grid=False, tickMinStep=1, tickCount=8, format="d"))
    y = alt.Y(
        "value:Q",
        title=None,
        scale=alt.Scale(domain=[-3, 3], clamp=True),
        axis=alt.Axis(tickCount=5, format="~g"),
    )
    base = _rows("frames").encode(x=x, y=y, detail="draw:N")
    goal = base.transform_filter("datum.role == 'target'").mark_line(style="goal", strokeWidth=9)
    draws = (
        base.transform_filter("datum.role == 'draw'")
        .mark_line(strokeWidth=1, opacity=0.55)
        .encode(color=SIDE)
    )
    mean = (
        base.transform_filter("datum.role == 'mean'")
        .mark_line(strokeWidth=2.75, point=alt.OverlayMarkDef(size=42, filled=True))
        .encode(color=SIDE)
    )
    return alt.layer(goal, draws, mean).properties(height=220)


def _curves() -> alt.LayerChart:
    """A target of several rows of numbers, such as an action chunk: a curve for each dimension."""
    x = alt.X("place:Q", title="action of the chunk", axis=alt.Axis(grid=False, tickMinStep=1, format="d"))
    y = alt.Y(
        "value:Q",
        title=None,
        scale=alt.Scale(domain=[-3, 3], clamp=True),
        axis=alt.Axis(tickCount=5, format="~g"),
    )
    colour = alt.Color("series:N", scale=alt.Scale(scheme="tableau10"), legend=None)
    base = _rows("frames").encode(x=x, y=y, color=colour, detail=["draw:N", "series:N"])
    goal = base.transform_filter("datum.role == 'target'").mark_line(strokeDash=[2, 3], strokeWidth=1.5)
    mean = base.transform_filter("datum.role == 'mean'").mark_line(strokeWidth=2.25)
    return alt.layer(goal, mean).properties(height=260)


def _codes() -> alt.LayerChart:
    """Digits in codes of ten numbers: a row per digit, a column per number, its reading in its cell."""
    x = alt.X("digit:O", title=None, axis=alt.Axis(orient="top", labelAngle=0, domain=False, ticks=False))
    y = alt.Y("tile:O", title=None, axis=None)
    base = _rows("frames").encode(x=x, y=y)
    cells = base.mark_rect(style="cell").encode(
        color=alt.Color("value:Q", scale=alt.Scale(domain=[-1, 3], clamp=True, range="heatmap"), legend=None)
    )
    goal = base.transform_filter("datum.goal").mark_rect(style="outlined", filled=False, strokeWidth=2)
    read = [
        base.transform_filter(f"datum.read && datum.value {where} {DEEP}")
        .mark_text(fontWeight=700, fontSize=12, style=style)
        .encode(text="mark:N", opacity=alt.value(1))
        for where, style in ((">=", "reading"), ("<", "faint"))
    ]
    return alt.LayerChart(layer=[cells, goal, *read])


def _scalars() -> alt.LayerChart:
    """Digits in codes of one number: a row per digit, its number a point, the right digit a bar."""
    x = alt.X(
        "at:Q",
        title=None,
        scale=alt.Scale(domain=[-2, 11], clamp=True),
        axis=alt.Axis(values=list(range(10)), format="d"),
    )
    y = alt.Y("tile:O", title=None, axis=None)
    base = _rows("frames").encode(y=y)
    goal = base.mark_tick(style="goal", thickness=9, size=17).encode(x=alt.X("target:Q"))
    point = base.mark_point(filled=True, size=70, opacity=1).encode(x=x, color=SIDE, shape=SHAPE)
    read = base.mark_text(align="right", fontWeight=700, fontSize=12, style="beside").encode(
        x=alt.value("width"), text="mark:N"
    )
    return alt.LayerChart(layer=[goal, point, read])


assert BOUND > 3  # what is stored reaches beyond what is drawn
