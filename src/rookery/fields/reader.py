"""Readers: JSON bodies turned into the rows of a matrix, by the schema's model or around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from rookery.fields.encoder import Encoder
from rookery.fields.packing import Packer, make_packer
from rookery.fields.schema import InputSchema, batch_model

Matrix: TypeAlias = npt.NDArray[np.float32]
Part: TypeAlias = Any
"""The rows of one body, as its reader keeps them until all are encoded together."""


class Reader(Protocol):
    """What turns bodies into rows; each raises pydantic's `ValidationError` for a body that is not allowed."""

    def read(self, body: bytes) -> Part:
        """Read a body with one input."""

    def read_batch(self, body: bytes) -> tuple[Part, int]:
        """Read a body with a batch; returns its rows and how many they are."""

    def encode(self, parts: Sequence[Part], rows: int) -> Matrix:
        """Return all rows, float32 [rows, width]."""


class ModelReader:
    """Reads bodies by the schema's model alone."""

    def __init__(self, schema: InputSchema, encoder: Encoder) -> None:
        self._encoder = encoder
        self._validate = schema.model.__pydantic_validator__.validate_json
        self._validate_batch = batch_model(schema).__pydantic_validator__.validate_json

    def read(self, body: bytes) -> Sequence[BaseModel]:
        """Validate a body with one input."""
        return (self._validate(body),)

    def read_batch(self, body: bytes) -> tuple[Sequence[BaseModel], int]:
        """Validate a body with a batch."""
        rows: Sequence[BaseModel] = self._validate_batch(body).rows
        return rows, len(rows)

    def encode(self, parts: Sequence[Sequence[BaseModel]], _: int) -> Matrix:
        """Encode all inputs at once."""
        return self._encoder.encode_rows([row for part in parts for row in part])


class PackingReader:
    """Reads bodies by a packer, and those that it refuses by the model: the answers are the model's."""

    def __init__(self, packer: Packer, model: ModelReader) -> None:
        self._packer = packer
        self._pack = packer.pack
        self._model = model
        self._width = packer.row_bytes // 4
        self._type = np.dtype(np.float32)

    def read(self, body: bytes) -> bytes:
        """Pack a body with one input."""
        try:
            return self._pack(body)
        except Exception:  # whatever the packer dislikes, the model decides
            return self._model.encode([self._model.read(body)], 1).tobytes()

    def read_batch(self, body: bytes) -> tuple[bytes, int]:
        """Pack a body with a batch."""
        try:
            packed = self._packer.pack_batch(body)
        except Exception:  # as above
            rows, count = self._model.read_batch(body)
            packed = self._model.encode([rows], count).tobytes()
        return packed, len(packed) // self._packer.row_bytes

    def encode(self, parts: Sequence[bytes], rows: int) -> Matrix:
        """Lay the packed rows out as a matrix, which cannot be written to."""
        packed = parts[0] if len(parts) == 1 else b"".join(parts)
        return np.ndarray((rows, self._width), self._type, packed)


def make_reader(schema: InputSchema, model: ModelReader) -> Reader:
    """Return the fastest reader whose answers are those of the schema's model."""
    packer = make_packer(schema)
    return model if packer is None else PackingReader(packer, model)
