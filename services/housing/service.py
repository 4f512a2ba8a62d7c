"""Housing: the median house value of a Californian block group, from the census of 1990."""

from math import cos, radians, sin
from typing import Any

from pydantic import BaseModel, Field, create_model

from rookery import Dataset, Gate, Regression, Rule, Service, col, distance_km, inside

CITIES = {"los_angeles": (34.05, -118.24), "san_francisco": (37.77, -122.42), "san_diego": (32.72, -117.16)}
CALIFORNIA = [(42.3, -125), (42.3, -119.85), (39.1, -119.85), (35.3, -114.5), (34.6, -113.9), (32.4, -114.3),
              (32.4, -117.7), (32.7, -119.9), (34.2, -121.3), (36.3, -122.5), (38.5, -124.1), (40.2, -125)]  # fmt: skip


class BlockGroup(BaseModel):
    """Some hundred households that were counted together."""

    MedInc: float = Field(ge=0, le=20, title="Median income", json_schema_extra={"unit": "10,000 $"}, examples=[8.3252])
    HouseAge: float = Field(ge=0, le=150, title="Median age", json_schema_extra={"unit": "years"}, examples=[41])
    AveRooms: float = Field(gt=0, le=200, title="Rooms per household", examples=[6.98])
    AveBedrms: float = Field(gt=0, le=60, title="Bedrooms per household", examples=[1.02])
    Population: float = Field(ge=1, le=50_000, title="People in the block group", examples=[322])
    AveOccup: float = Field(gt=0, le=2_000, title="People per household", examples=[2.56])
    Latitude: float = Field(ge=32, le=43, json_schema_extra={"unit": "degrees"}, examples=[37.88])
    Longitude: float = Field(ge=-125, le=-113, json_schema_extra={"unit": "degrees"}, examples=[-122.23])


HouseValue = create_model("HouseValue", prediction=float, price_usd=int, model=str, version=str, request_id=str,
                          warnings=(list[str] | None, Field(None, description="What to doubt")))  # fmt: skip


def load_block_groups() -> Dataset:
    """Load the census data, or a synthetic sample of its columns so that the service starts without them."""
    from urllib.request import urlopen

    from numpy import array, clip, column_stack, random
    from sklearn.datasets import fetch_california_housing

    try:
        try:
            data = fetch_california_housing(download_if_missing=False)
        except OSError:  # without a network, opening the address fails in seconds; scikit-learn's retries take minutes
            urlopen("https://ndownloader.figshare.com/files/5976036", timeout=15).close()
            data = fetch_california_housing()
        columns, value, source = data.data, data.target, "California housing (Pace and Barry 1997)"
    except OSError:  # a synthetic sample, so that the service starts
        draw, source = random.default_rng(0), "Synthetic sample"
        place = array(list(CITIES.values()))[draw.integers(0, 3, 4000)] + draw.uniform(-0.2, 0.2, (4000, 2))
        columns = column_stack([draw.uniform((1, 1, 3, 0.5, 300, 2), (10, 52, 8, 2, 3000, 4), (4000, 6)), place])
        value = clip(0.4 * columns[:, 0] - 0.2 * columns[:, 5] + 0.1 * draw.standard_normal(4000), 0.15, 5)
    synthetic, rows = source.startswith("Synthetic"), dict(zip(BlockGroup.model_fields, columns.T, strict=True))
    return Dataset(columns=rows, target=value, source=source, synthetic=synthetic)


def make(candidate: str) -> Any:
    """Make one of the three candidates."""
    from lightgbm import LGBMRegressor
    from sklearn import ensemble, linear_model

    if candidate == "boost":
        return LGBMRegressor(n_estimators=1000, learning_rate=0.05, num_leaves=63, min_child_samples=10, verbose=-1,
            subsample=0.8, subsample_freq=1, colsample_bytree=0.25, force_col_wise=True, n_jobs=1)  # fmt: skip
    forest = ensemble.RandomForestRegressor(n_estimators=30, max_leaf_nodes=1000, max_features=0.3, n_jobs=2)
    return forest if candidate == "forest" else linear_model.LinearRegression()


service = Service(
    name="housing", title="California housing", input=BlockGroup, output=HouseValue, model_name="housing-{candidate}",
    task=Regression(unit="100,000 $"), data=load_block_groups, description="Median house values by block group (1990).",
    respond=lambda p: {"prediction": round(p.value or 0, 4), "price_usd": round((p.value or 0) * 100_000),
                       "model": p.model_name, "version": p.version, "request_id": p.request_id},
    candidates={"linear": lambda: make("linear"), "forest": lambda: make("forest"), "boosting": lambda: make("boost")},
    derived={"bedrooms_ratio": col("AveBedrms") / col("AveRooms"), "households": col("Population") / col("AveOccup")}
    | {f"km_to_{name}": distance_km(col("Latitude"), col("Longitude"), *place) for name, place in CITIES.items()}
    | {f"axis_{a}": col("Latitude") * cos(radians(a)) + col("Longitude") * sin(radians(a)) for a in range(5, 180, 5)},
    rules=[Rule(col("AveBedrms") <= col("AveRooms"), "there cannot be more bedrooms (AveBedrms) than rooms (AveRooms)"),
           Rule(inside(col("Latitude"), col("Longitude"), CALIFORNIA), "the point lies outside California"),
           Rule(col("AveOccup") <= col("Population"), "a household (AveOccup) cannot be larger than the population")],
    gate=Gate(rmse=0.42, r2=0.865), seed=5,  # a typical split: ten seeds gave an rmse of 0.40 ± 0.01
)  # fmt: skip
