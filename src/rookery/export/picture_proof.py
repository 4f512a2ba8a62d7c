"""The proof that an adapted graph answers pictures as the original does, before anything is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from rookery.errors import PackageError
from rookery.service.pretrained import PictureActivation

Pictures = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

IMAGE = "image"
"""The adapted graph's input: uint8 [N, height, width, 3], RGB as decoders leave it."""
PROBABILITIES = "probabilities"
"""The adapted graph's output: float32 [N, labels]."""
TOLERANCE = 1e-4
"""How far a probability may lie from the original's: both are sums of many roundings, in another order."""
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFit:
    """How pictures are read by a graph of weights, and what it answers them."""

    source: str
    """Its input: float32 [N, 3, height, width], normalised RGB."""
    result: str
    """Its output: float32 [N, labels]."""
    height: int
    width: int
    labels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    activation: PictureActivation


def prove_pictures(original: bytes, adapted: bytes, fit: PictureFit) -> None:
    """Compare what both graphs answer to made-up pictures, in a batch and alone; the original gets them one by one.

    Raises:
        PackageError: a graph does not run, the answers differ, or they are no probabilities.
    """
    pictures = made_up_pictures(fit.height, fit.width)
    normalised = normalise_pictures(pictures, fit.mean, fit.std)
    runner = _Runner(original, fit.source, fit.result)
    scores = np.concatenate([runner.run(normalised[index : index + 1]) for index in range(len(pictures))])
    del runner
    if scores.shape != (len(pictures), fit.labels):
        raise PackageError(
            f"the graph answers {list(scores.shape[1:])} for one picture, expected are {fit.labels} scores",
            cure="Name as many labels as the weights have classes",
        )
    expected = _expect(scores, fit.activation)
    runner = _Runner(adapted, IMAGE, PROBABILITIES)
    batch = runner.run(pictures)
    single = np.concatenate([runner.run(pictures[index : index + 1]) for index in range(len(pictures))])
    for what, found in (("together", batch), ("alone", single)):
        _compare(what, found, expected)


def normalise_pictures(pictures: Pictures, mean: Sequence[float], std: Sequence[float]) -> Floats:
    """Return pictures [n, height, width, 3] as weights read them: float32 [n, 3, height, width], in NumPy's words."""
    normalised = (pictures / 255.0 - np.asarray(mean)) / np.asarray(std)
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2), dtype=np.float32)


def made_up_pictures(height: int, width: int) -> Pictures:
    """Return four pictures, uint8 [4, height, width, 3]: noise, a gradient, black beside white, one colour."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = np.linspace(0, 255, height)[:, None], np.linspace(0, 255, width)[None, :]
    gradient = np.stack([rows + 0 * columns, 0 * rows + columns, (rows + columns) / 2], axis=2).astype(np.uint8)
    halves = np.zeros_like(noise)
    halves[:, width // 2 :] = 255
    colour = np.full_like(noise, (200, 40, 90))
    return np.stack([noise, gradient, halves, colour])


class _Runner:
    """A graph with one input and one output that are asked for by name, on the CPU in one thread."""

    def __init__(self, model: bytes, source: str, result: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._source, self._result = source, result
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base but Exception
            raise _failed("cannot load the graph", error) from error

    def run(self, batch: npt.NDArray[Any]) -> Floats:
        try:
            return np.asarray(self._session.run([self._result], {self._source: batch})[0])
        except Exception as error:  # as above
            raise _failed(f"cannot run the graph on {len(batch)} picture(s)", error) from error


def _failed(what: str, error: Exception) -> PackageError:
    return PackageError(
        f"ONNX Runtime {what}: {' '.join(str(error).split())[:300]}",
        cure="Export it with an open first dimension, and operators that ONNX Runtime knows",
    )


def _expect(scores: Floats, activation: PictureActivation) -> Floats:
    """Return the probabilities that the original's scores stand for."""
    if not np.isfinite(scores).all():
        raise PackageError("the graph answers pictures with numbers that are not finite", cure="Check the weights")
    is_distribution = bool((scores >= -SUM_TOLERANCE).all() and np.allclose(scores.sum(axis=1), 1, atol=SUM_TOLERANCE))
    if activation == "none":
        if not is_distribution:
            raise PackageError("the graph's output is no distribution over labels", cure="Say activation='softmax'")
        return scores
    if is_distribution:
        raise PackageError("the graph's output is probabilities already", cure="Say activation='none'")
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def _compare(what: str, found: Floats, expected: Floats) -> None:
    if found.shape != expected.shape:
        raise PackageError(
            f"the graph answers {list(found.shape)} for {len(expected)} pictures {what}",
            cure="Export it with an open first dimension",
        )
    worst = float(np.abs(found - expected).max())
    if not worst <= TOLERANCE:
        raise PackageError(
            f"the graph answers pictures {what} otherwise than the original, by up to {worst:.2g}",
            cure="Export it in inference mode (PyTorch: model.eval())",
        )
