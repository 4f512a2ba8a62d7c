"""Run a graph while it is being made: before there is a manifest, and without a package around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Matrix = npt.NDArray[np.float32]

CHUNK_ROWS = 16_384
"""Rows per run, so that a wide graph's intermediate tensors stay small."""


class GraphRunner:
    """An ONNX graph with one float32 input [N, width] and one output, run on the CPU in one thread."""

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def run(self, matrix: Matrix) -> npt.NDArray[Any]:
        """Return the graph's output for rows of shape [n, width]; n must be at least 1."""
        parts = [
            self._session.run([self._output], {self._input: matrix[start : start + CHUNK_ROWS]})[0]
            for start in range(0, len(matrix), CHUNK_ROWS)
        ]
        return np.asarray(parts[0] if len(parts) == 1 else np.concatenate(parts))
