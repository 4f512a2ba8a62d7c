"""Penguins: which of three species a penguin of the Palmer Archipelago is, from its measurements."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from rookery import Classification, Dataset, Gate, Service, col


class Penguin(BaseModel):
    """A penguin as it was measured. The limits are biological: beyond them lies a typing error or a wrong unit."""

    bill_length_mm: float = Field(ge=25, le=70, json_schema_extra={"unit": "mm"}, examples=[39.1])
    bill_depth_mm: float = Field(ge=10, le=24, json_schema_extra={"unit": "mm"}, examples=[18.7])
    flipper_length_mm: float = Field(ge=150, le=260, json_schema_extra={"unit": "mm"}, examples=[181])
    body_mass_g: float = Field(ge=1500, le=8000, json_schema_extra={"unit": "g"}, examples=[3750])
    year: int = Field(ge=1900, le=2100, description="Year of the measurement", examples=[2007])
    sex: Literal["female", "male"] = Field(examples=["male"])
    island: Literal["Torgersen", "Biscoe", "Dream"] = Field(examples=["Torgersen"])


class Species(BaseModel):
    """The most probable species, and how probable each one is."""

    species: Literal["Adelie", "Chinstrap", "Gentoo"]
    confidence: float = Field(ge=0, le=1)
    probabilities: dict[str, float]
    warnings: list[str] | None = Field(None, description="What to doubt; absent when there is nothing")


def load_penguins() -> Dataset:
    """Load the complete rows of the `palmerpenguins` package."""
    import palmerpenguins

    rows = palmerpenguins.load_penguins().dropna()
    return Dataset(columns=rows, target=rows["species"], source="Palmer penguins (Horst, Hill and Gorman 2020)")


def logistic() -> Any:
    """Make the simplest candidate; it needs its columns on one scale."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))


def forest() -> Any:
    """Make a random forest."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=100)


def xgboost() -> Any:
    """Make gradient boosted trees."""
    from xgboost import XGBClassifier

    return XGBClassifier(
        n_estimators=200, max_depth=3, learning_rate=0.1, subsample=0.8, colsample_bytree=0.5, n_jobs=1
    )


service = Service(
    name="penguins",
    title="Palmer penguins",
    description="Tells the species of a penguin from body measurements, sex and island.",
    input=Penguin, output=Species, task=Classification("Adelie", "Chinstrap", "Gentoo"),
    respond=lambda p: {"species": p.label, "confidence": p.confidence, "probabilities": p.probabilities},
    data=load_penguins, candidates={"logistic": logistic, "forest": forest, "xgboost": xgboost},
    derived={
        "bill_ratio": col("bill_length_mm") / col("bill_depth_mm"),
        "on_biscoe": col("island").equals(1),  # categories are compared by their position
        "on_dream": col("island").equals(2),
    },
    metric="accuracy", gate=Gate(accuracy=0.964), confidence_threshold=0.7,
    cross_validation=5, cross_validation_repeats=3,
)  # fmt: skip
