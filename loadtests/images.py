"""Load on images: photographs to be classified."""

from __future__ import annotations

from loadtests.users import pictures_user


class ImagesUser(pictures_user()):  # type: ignore[misc]
    """Sends pictures."""
