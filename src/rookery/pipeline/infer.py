"""`infer`: one run of the model for all rows of a pass."""

from __future__ import annotations

import math

import numpy as np

from rookery.errors import InferenceFailed
from rookery.pipeline.call import Pass

FEW_NUMBERS = 16
"""So few numbers are added up one by one sooner than as an array."""


class Infer:
    """Run the version's graph; rows whose answer is not finite fail, their neighbours do not.

    Touches nothing but its pass, so it may run in any thread.
    """

    def __call__(self, work: Pass) -> None:
        """Set the pass's outputs."""
        if work.matrix is None or work.version is None:
            raise InferenceFailed("a pass reached inference without rows or a version")
        work.outputs = outputs = work.version.package.run(work.matrix)
        # One sum tells of any NaN or infinity; it may itself overflow, so what it accuses is looked at closely.
        is_small = outputs.size <= FEW_NUMBERS
        if math.isfinite(sum(outputs.ravel().tolist()) if is_small else np.add.reduce(outputs, axis=None)):
            return
        finite = np.asarray(np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1))
        for call in work.calls:
            if not finite[call.start : call.stop].all():
                call.error = InferenceFailed(f"{work.version.model_name}: the model's answer is not a finite number")
        if not finite.all():
            work.keep([call for call in work.calls if call.error is None])
