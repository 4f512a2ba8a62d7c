"""Load on digits: drawings."""

from __future__ import annotations

from loadtests.users import pictures_user


class DigitsUser(pictures_user()):  # type: ignore[misc]
    """Sends drawings."""
