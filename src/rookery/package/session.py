"""`OnnxSession`: one graph, ready to run."""

from __future__ import annotations

import ctypes
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnxruntime

from rookery.errors import InferenceFailed, PackageError
from rookery.package.manifest import Tensors

Matrix = npt.NDArray[np.float32]
Inputs = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
"""What a graph reads: rows of numbers, or pictures."""
Device = Literal["auto", "cpu", "cuda"]

QUIET = 4
"""ONNX Runtime's severity above which it writes to stderr: fatal faults only; all others are raised."""
TREES = b"TreeEnsemble"
"""Part of the name of every tree ensemble operator."""
COMPACT_FROM_BYTES = 65_536
"""Graphs below this size weigh less than a megabyte however they are loaded, and load faster without the detour."""
DESCRIPTORS = Path("/proc/self/fd")
LATENCY_RUNS = 31
LATENCY_BUDGET_SECONDS = 0.05


class OnnxSession:
    """A graph with one input (float32 rows, or uint8 pictures) and one float32 output.

    It runs on the CPU, or on a GPU where `device` asks for it and ONNX Runtime has one (`choose_device`).
    Thread-safe: ONNX Runtime allows runs of one session side by side.

    Raises:
        PackageError: ONNX Runtime cannot load the graph, or has no such device.
    """

    def __init__(self, model_bytes: bytes, tensors: Tensors, *, threads: int = 1, device: Device = "cpu") -> None:
        (spec,) = tensors.outputs.values()
        self._input = tensors.input.name
        self._outputs = [spec.name]
        self._is_flat = spec.shape == (None, 1) and "value" in tensors.outputs
        """A regression that answers [N, 1] is flattened to [N]."""
        self._row_shape = tuple(length for length in tensors.input.shape if length is not None)
        self._dtype = np.dtype(tensors.input.dtype)
        self.device = choose_device(device)
        """Where the graph runs: `cpu` or `cuda`."""
        try:
            if self.device == "cuda":
                options = _session_options(threads)
                self._session = _load(model_bytes, options, ("CUDAExecutionProvider", "CPUExecutionProvider"))
            else:
                self._session = _load_compactly(model_bytes, threads)
        except Exception as error:  # onnxruntime's own exceptions share no base but Exception
            raise PackageError(f"model.onnx: ONNX Runtime cannot load the graph: {str(error)[:500]}") from error

    def run(self, matrix: Inputs) -> Matrix:
        """Run the graph for float32 [n, columns], or for pictures, uint8 [n, height, width, channels].

        Returns float32 [n, labels] (probabilities) or [n] (values).

        Raises:
            InferenceFailed: the graph failed on this matrix.
        """
        try:
            outputs: Matrix = self._session.run(self._outputs, {self._input: matrix})[0]
        except Exception as error:  # as above
            raise InferenceFailed(f"the graph failed: {str(error)[:500]}") from error
        return outputs.reshape(-1) if self._is_flat else outputs

    def measure_latency(self, rows: int = 1) -> float:
        """Return the median seconds of a run for so many rows, after warm-up; it takes 50 ms, or some runs."""
        row = np.zeros((rows, *self._row_shape), dtype=self._dtype)
        for _ in range(3 if rows == 1 else 1):
            self.run(row)
        times: list[float] = []
        stop = time.perf_counter() + LATENCY_BUDGET_SECONDS
        while len(times) < 3 or (len(times) < LATENCY_RUNS and time.perf_counter() < stop):
            start = time.perf_counter()
            self.run(row)
            times.append(time.perf_counter() - start)
        return statistics.median(times)


def choose_device(device: Device) -> Literal["cpu", "cuda"]:
    """Return where graphs run when `device` is asked for: `auto` takes a GPU if ONNX Runtime was built for one.

    Raises:
        PackageError: `cuda` is asked for, and this ONNX Runtime has none.
    """
    if device == "cpu":
        return "cpu"
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not has_cuda:
        raise PackageError(
            "device=cuda: this ONNX Runtime cannot use a GPU",
            cure="Install onnxruntime-gpu in place of onnxruntime, or set ROOKERY_DEVICE=auto",
        )
    return "cuda" if has_cuda else "cpu"


def _load_compactly(model_bytes: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Load a graph; large tree ensembles in a way that keeps a fifth of the memory, and answers the same bits.

    A session keeps the ONNX it was loaded from beside what it made of it: eight bytes per number and a string per
    node. A session loaded from ONNX Runtime's own format does not. So ONNX Runtime writes the trees in its format
    into memory that has no name outside this process, and they are loaded from there. (Only trees: for other
    operators that format leaves out what the optimiser knows of this processor.)
    """
    is_large = len(model_bytes) >= COMPACT_FROM_BYTES and TREES in model_bytes
    if not is_large or not hasattr(os, "memfd_create") or not DESCRIPTORS.is_dir():
        return _load(model_bytes, _session_options(threads))
    descriptor = os.memfd_create("graph")
    try:
        path = str(DESCRIPTORS / str(descriptor))
        writing = _session_options(threads)
        writing.optimized_model_filepath = path
        writing.add_session_config_entry("session.save_model_format", "ORT")
        _load(model_bytes, writing)
        session = _load(path, _session_options(threads, model_format="ORT"))
    finally:
        os.close(descriptor)
    # What loading used goes back to the system, not to this process's heap.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return session


def _load(
    source: bytes | str, options: onnxruntime.SessionOptions, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(source, sess_options=options, providers=list(providers))


def _session_options(threads: int, *, model_format: str = "ONNX") -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = QUIET
    # Without arena and pattern a session holds no more than its graph between runs. Measured with tree ensembles
    # (1 to 64 rows) and with MobileNetV2, no run is slower for it.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    # Threads that spin for work take the core from the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Bytes that were checked as ONNX must not be read as ONNX Runtime's other format.
    options.add_session_config_entry("session.load_model_format", model_format)
    return options
