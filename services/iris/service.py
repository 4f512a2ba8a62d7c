"""Iris: which of three species an iris is, from four lengths."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from rookery import Classification, Dataset, Gate, Service

Centimetres = Annotated[float, Field(gt=0, le=30)]


class Flower(BaseModel):
    """Four lengths of one flower, in centimetres."""

    features: tuple[Centimetres, Centimetres, Centimetres, Centimetres] = Field(
        description="Sepal length, sepal width, petal length, petal width",
        json_schema_extra={"unit": "cm"},
        examples=[[5.1, 3.5, 1.4, 0.2]],
    )


class Answer(BaseModel):
    """The most probable class (0 setosa, 1 versicolor, 2 virginica)."""

    prediction: Literal[0, 1, 2]
    probability: float = Field(ge=0, le=1)
    latency_ms: float
    model: str
    version: str
    request_id: str
    warnings: list[str] | None = Field(None, description="What to doubt; absent when there is nothing")


def load_flowers() -> Dataset:
    """Load scikit-learn's own copy of Fisher's data."""
    from sklearn.datasets import load_iris

    iris = load_iris()
    return Dataset(columns={"features": iris.data}, target=iris.target_names[iris.target], source="Iris (Fisher 1936)")


def logistic_regression() -> Any:
    """Make the simplest candidate."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def random_forest() -> Any:
    """Make a forest of 100 trees."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=100)


def support_vectors() -> Any:
    """Make a support vector machine whose margins are calibrated to probabilities."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    return CalibratedClassifierCV(SVC(), ensemble=False)


service = Service(
    name="iris",
    title="Iris flowers",
    description="Tells the species of an iris from the lengths of its sepals and petals.",
    input=Flower, output=Answer, task=Classification("setosa", "versicolor", "virginica"),
    respond=lambda p: {"prediction": p.class_id, "probability": round(p.confidence or 0, 4),
                       "latency_ms": p.latency_ms, "model": p.model_name, "version": p.version,
                       "request_id": p.request_id},
    data=load_flowers, candidates={"LR": logistic_regression, "SVM": support_vectors, "RF": random_forest},
    metric="f1_macro", gate=Gate(f1_macro=0.9), cross_validation=5, cross_validation_repeats=3,
    model_name="demo-iris-{candidate}",
)  # fmt: skip
