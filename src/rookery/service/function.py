"""`PictureFunction`: code of a service's own that answers a picture, where no model was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class PictureFunction(Protocol):
    """Computes an answer's cacheable part from a picture; called in several threads at once."""

    def __call__(self, picture: npt.NDArray[np.uint8], parameters: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Return fields of the answer by name, as JSON values.

        `picture` is uint8 [height, width, 3] (mode `RGB`) or [height, width, 1] (mode `L`); `parameters` holds every
        parameter of the request by name, defaults filled in. The same arguments always give the same result.
        """
