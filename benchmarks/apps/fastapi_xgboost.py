"""The same estimator behind FastAPI as most tutorials show it: XGBoost's scikit-learn API fed with a pandas frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pandas as pd
from fastapi import FastAPI

from benchmarks.apps.fastapi_onnx import SPECIES, Answer, Penguin
from benchmarks.model import fit_with_pandas

models: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Fit the model before the first request."""
    models["penguins"] = fit_with_pandas()
    yield
    models.clear()


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
async def predict(penguin: Penguin) -> Answer:
    """Predict one penguin's species."""
    pipeline = models["penguins"]
    frame = pd.DataFrame([penguin.model_dump()])
    probabilities = pipeline.predict_proba(frame)[0]
    best = int(probabilities.argmax())
    return Answer(
        species=SPECIES[best],
        confidence=float(probabilities[best]),
        probabilities={name: float(value) for name, value in zip(SPECIES, probabilities, strict=True)},
    )
