"""Load on features: pictures of which half are asked about again and again."""

from __future__ import annotations

from loadtests.users import pictures_user


class FeaturesUser(pictures_user(path="/api/v1/features/detect", repeated=0.5)):  # type: ignore[misc]
    """Sends pictures."""
