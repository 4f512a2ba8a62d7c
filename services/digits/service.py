"""Digits: which digit a drawing shows; trained on scikit-learn's own digits, so nothing is downloaded."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from rookery import Classification, Dataset, Gate, Image, PicturePrediction, Service


class Drawing(BaseModel):
    """A digit, dark on light or light on dark, of any size."""

    image: Annotated[bytes, Image(width=8, height=8, mode="L", fit="trace")] = Field(description="JPEG, PNG or WebP")


class Answer(BaseModel):
    """The most probable digit."""

    digit: int = Field(ge=0, le=9)
    confidence: float = Field(ge=0, le=1)
    probabilities: dict[str, float]
    warnings: list[str] | None = Field(None, description="What to doubt; absent when there is nothing")


def load_digits() -> Dataset:
    """Load scikit-learn's 1,797 digits (Alpaydin and Kaynak 1998), their counts of 0 to 16 as grey values."""
    from sklearn.datasets import load_digits as load

    digits = load()
    pixels = (digits.data * (255 / 16)).round()
    return Dataset(columns={"image": pixels}, target=digits.target, source="Optical recognition of handwritten digits")


def logistic() -> Any:
    """Make the simplest candidate."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    return make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=5000))


def kernel() -> Any:
    """Make a support vector machine with a Gaussian kernel, its scores calibrated."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler
    from sklearn.svm import SVC

    return make_pipeline(MinMaxScaler(), CalibratedClassifierCV(SVC(C=10, gamma=0.05), ensemble=False))


def respond(prediction: PicturePrediction) -> dict[str, Any]:
    """Phrase the answer."""
    return {
        "digit": prediction.class_id,
        "confidence": prediction.confidence,
        "probabilities": prediction.probabilities,
    }


service = Service(
    name="digits",
    title="Handwritten digits",
    description="Tells which digit a drawing shows.",
    input=Drawing, output=Answer, task=Classification(*range(10)), respond=respond,
    data=load_digits, candidates={"logistic": logistic, "kernel": kernel},
    metric="accuracy", gate=Gate(accuracy=0.98), confidence_threshold=0.6,
)  # fmt: skip
