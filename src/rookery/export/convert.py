"""Export: a fitted estimator becomes one graph from raw columns to probabilities or a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rookery.export.derived import write_derived, write_guard
from rookery.export.graph import COLUMNS, GraphBuilder
from rookery.export.kinds import check_estimator, describe_kind, kind_of
from rookery.export.original import ClassNames, check_fitted_columns, order_for
from rookery.fields.expression import Expression
from rookery.fields.schema import InputSchema
from rookery.package.manifest import Tensors, TensorSpec
from rookery.service.task import Classification, Task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exported:
    """A graph, and what its input and its one output are."""

    model: bytes
    """ONNX bytes: `columns` float32 [N, width] in, `probabilities` float32 [N, labels] or `value` float32 [N] out."""
    width: int
    labels: int | None
    """The number of probabilities; None for a regression."""
    estimator_kind: str

    @property
    def output(self) -> str:
        """The output tensor's name, which is its role in the manifest."""
        return "value" if self.labels is None else "probabilities"

    @property
    def tensors(self) -> Tensors:
        """Input and output as the manifest records them."""
        shape: tuple[int | None, ...] = (None,) if self.labels is None else (None, self.labels)
        return Tensors(
            input=TensorSpec(name=COLUMNS, shape=(None, self.width)),
            outputs={self.output: TensorSpec(name=self.output, shape=shape)},
        )


def export_estimator(
    estimator: Any,
    *,
    schema: InputSchema,
    derived: Mapping[str, Expression],
    task: Task,
    class_names: ClassNames = "indices",
) -> Exported:
    """Write a fitted estimator, with the derived features before it, as one deterministic graph.

    The estimator was fitted on `derive(schema, derived, matrix)`. Nothing is proven yet: `parity.prove` does that.

    Raises:
        UnsupportedEstimator: the estimator, or this variant of it, is not in the proven list.
        DataError: it was fitted on other columns.
        TrainingError: its classes are not the task's labels.
    """
    check_estimator(estimator, task)
    check_fitted_columns(estimator, [*(column.name for column in schema.columns), *derived])
    order = order_for(estimator, task, class_names)
    builder = GraphBuilder()
    features = write_derived(builder, schema.columns, derived)
    result = kind_of(estimator).convert(estimator, builder, features)
    if order is not None and order != sorted(order):
        result = builder.add("Gather", result, builder.constant(order, np.int64), axis=1)
    result = write_guard(builder, schema, derived, result)
    labels = len(task.labels) if isinstance(task, Classification) else None
    if labels is None:
        result = builder.add("Reshape", result, builder.constant([-1], np.int64))
    exported = Exported(model=b"", width=schema.width, labels=labels, estimator_kind=describe_kind(estimator))
    shape = exported.tensors.outputs[exported.output].shape
    model = builder.finish(source=COLUMNS, width=schema.width, result=result, output=exported.output, shape=shape)
    return replace(exported, model=model)
