"""The libraries that read pictures: an extra of its own, which servers of tables do without."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

INSTALL_IMAGES = "Run: pip install 'rookery[images]'"

READERS: Mapping[str, str] = {"PIL": "Pillow", "simplejpeg": "simplejpeg"}
"""What decodes pictures: each module, and what its distribution is called."""
FORM_READERS: Mapping[str, str] = {**READERS, "python_multipart": "python-multipart"}
"""What a server of pictures needs: forms carry them."""


def missing_libraries(needed: Mapping[str, str] = READERS) -> str:
    """Return which of these libraries is not installed, in words ("Pillow is not installed"); empty if none is."""
    missing = [name for module, name in needed.items() if find_spec(module) is None]
    if not missing:
        return ""
    return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
