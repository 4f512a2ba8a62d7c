"""MobileNetV2 behind FastAPI as its documentation teaches: an UploadFile, Pillow, and an ONNX session of a lifespan."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI, UploadFile
from PIL import Image
from pydantic import BaseModel

MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


class Score(BaseModel):
    """One class and how probable it is."""

    class_id: int
    confidence: float


class Answer(BaseModel):
    """What the service says."""

    predictions: list[Score]


models: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Load the model before the first request."""
    models["images"] = onnxruntime.InferenceSession(os.environ["BENCH_WEIGHTS"], providers=["CPUExecutionProvider"])
    yield
    models.clear()


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
def predict(file: UploadFile) -> Answer:
    """Tell the five most probable classes; a plain function, since its work would block the event loop."""
    image = Image.open(io.BytesIO(file.file.read())).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    image = image.crop((left, top, left + 224, top + 224))
    pixels = (np.asarray(image, dtype=np.float32) / 255 - MEAN) / STD
    session = models["images"]
    scores = session.run(None, {session.get_inputs()[0].name: pixels.transpose(2, 0, 1)[None]})[0][0]
    exponentials = np.exp(scores - scores.max())
    probabilities = exponentials / exponentials.sum()
    best = probabilities.argsort()[::-1][:5]
    return Answer(predictions=[Score(class_id=int(at), confidence=float(probabilities[at])) for at in best])
