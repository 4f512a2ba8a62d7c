"""The same graph behind FastAPI, written as FastAPI's documentation teaches: models in, models out, a lifespan."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel, Field

SPECIES = ("Adelie", "Chinstrap", "Gentoo")
SEXES = ("female", "male")
ISLANDS = ("Torgersen", "Biscoe", "Dream")


class Penguin(BaseModel):
    """What the model reads."""

    bill_length_mm: float = Field(ge=25, le=70)
    bill_depth_mm: float = Field(ge=10, le=24)
    flipper_length_mm: float = Field(ge=150, le=260)
    body_mass_g: float = Field(ge=1500, le=8000)
    year: int = Field(ge=1900, le=2100)
    sex: Literal["female", "male"]
    island: Literal["Torgersen", "Biscoe", "Dream"]


class Answer(BaseModel):
    """What the service says."""

    species: str
    confidence: float
    probabilities: dict[str, float]


models: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Load the model before the first request."""
    models["penguins"] = onnxruntime.InferenceSession(os.environ["BENCH_GRAPH"], providers=["CPUExecutionProvider"])
    yield
    models.clear()


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
async def predict(penguin: Penguin) -> Answer:
    """Predict one penguin's species."""
    row = np.array(
        [
            [
                penguin.bill_length_mm,
                penguin.bill_depth_mm,
                penguin.flipper_length_mm,
                penguin.body_mass_g,
                penguin.year,
                SEXES.index(penguin.sex),
                ISLANDS.index(penguin.island),
            ]
        ],
        dtype=np.float32,
    )
    probabilities = models["penguins"].run(None, {"columns": row})[0][0]
    best = int(probabilities.argmax())
    return Answer(
        species=SPECIES[best],
        confidence=float(probabilities[best]),
        probabilities={name: float(value) for name, value in zip(SPECIES, probabilities, strict=True)},
    )
