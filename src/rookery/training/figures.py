"""Figures of a candidate for its run: PNG bytes, drawn without a display and without matplotlib's global state."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

SHOWN_POINTS = 5_000
"""Points in a scatter plot at most; more of them show no more."""


def _draw(width: float, height: float) -> tuple[Any, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _to_png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def draw_confusion(labels: tuple[str, ...], counts: Array, title: str) -> bytes:
    """Draw a confusion matrix, int [labels, labels]: true classes down, predicted ones across."""
    side = max(4.0, 0.7 * len(labels) + 2)
    figure, axes = _draw(side, side)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(
            column, row, str(count), ha="center", va="center", color="white" if shares[row, column] > 0.5 else "black"
        )
    return _to_png(figure)


def draw_residuals(target: Array, values: Array, title: str) -> bytes:
    """Draw residuals (prediction minus truth) over predictions, both [n] in the target's unit."""
    figure, axes = _draw(7, 4.5)
    step = max(1, len(target) // SHOWN_POINTS)
    axes.scatter(values[::step], (values - target)[::step], s=6, alpha=0.35, linewidths=0)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="predicted", ylabel="predicted - true", title=title)
    return _to_png(figure)


def draw_importance(importance: Mapping[str, float], metric: str, title: str) -> bytes:
    """Draw permutation importances as bars, the most important on top."""
    figure, axes = _draw(7, 0.32 * len(importance) + 1.4)
    names = list(importance)[::-1]
    axes.barh(names, [importance[name] for name in names])
    axes.set(xlabel=f"how much worse {metric} gets when the column is shuffled", title=title)
    return _to_png(figure)
