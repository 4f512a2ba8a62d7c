"""The estimator that every server of a run answers with: XGBoost, 300 trees, on the Palmer penguins."""

from __future__ import annotations

from typing import Any

SEED = 7
ROUNDS = 100
TREES = 3 * ROUNDS
"""One tree for each of the three species in each round."""
NUMERIC = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year"]
CATEGORICAL = ["sex", "island"]


def make_estimator() -> Any:
    """Return the unfitted estimator, one thread, so that servers compare and not thread pools."""
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=ROUNDS, max_depth=4, learning_rate=0.1, n_jobs=1, random_state=SEED)


def fit_with_pandas() -> Any:
    """Fit the estimator behind one-hot encoding in a scikit-learn pipeline that reads pandas frames."""
    from palmerpenguins import load_penguins
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = load_penguins().dropna()
    target = frame["species"].map({"Adelie": 0, "Chinstrap": 1, "Gentoo": 2})
    encode = ColumnTransformer(
        [("categories", OneHotEncoder(sparse_output=False), CATEGORICAL)], remainder="passthrough"
    )
    return Pipeline([("encode", encode), ("model", make_estimator())]).fit(frame[NUMERIC + CATEGORICAL], target)
