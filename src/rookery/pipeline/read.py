"""`read`: bodies validated into one matrix of columns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from rookery.errors import InvalidInput, PayloadTooLarge
from rookery.fields.caps import ValueCap
from rookery.fields.encoder import Encoder
from rookery.fields.problems import describe_problems, overflow_problem, rule_problem
from rookery.fields.reader import ModelReader, Part, make_reader
from rookery.fields.rules import broken_rules
from rookery.pipeline.call import Call, Matrix, Pass
from rookery.service.contract import Contract

Problem: TypeAlias = Callable[[BaseModel], dict[str, Any]]
"""Describes what is wrong with an input."""


class Read:
    """Validate each body by the contract's input model and rules, and encode all rows at once."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._schema = contract.schema
        self._encoder = Encoder(contract.schema)
        self._model = ModelReader(contract.schema, self._encoder)
        self._reader = make_reader(contract.schema, self._model)
        self._is_judged = bool(contract.rules) or self._encoder.may_overflow
        self._cap = ValueCap(contract.schema, 1)
        self._batch_cap = ValueCap(contract.schema, contract.limits.rows)

    def __call__(self, work: Pass) -> None:
        """Set the pass's matrix; calls with bad bodies leave it."""
        parts: list[Part] = []
        row = 0
        failed = False
        read, is_exceeded = self._reader.read, self._cap.is_exceeded
        for call in work.calls:
            call.start = row
            try:
                if call.kind == "single":
                    if is_exceeded(call.body):
                        raise self._too_large("the body has more values than an input could have")
                    parts.append(read(call.body))
                    row += 1
                else:
                    part, count = self._read_batch(call.body)
                    parts.append(part)
                    row += count
            except ValidationError as error:
                call.error = self._invalid(describe_problems(error, self._schema))
                failed = True
            except PayloadTooLarge as error:
                call.error = error
                failed = True
            call.stop = row
        if failed:
            work.calls = [call for call in work.calls if call.error is None]
        work.matrix = self._reader.encode(parts, row)
        if self._is_judged and (problems := self._find_problems(work.matrix)):
            self._refuse(work, problems)

    def _read_batch(self, body: bytes) -> tuple[Part, int]:
        limit = self._contract.limits.rows
        if self._batch_cap.is_exceeded(body):
            raise self._too_large(f"the body has more values than {limit} rows could have")
        part, count = self._reader.read_batch(body)
        if count > limit:
            raise self._too_large(f"{count} rows are more than the limit of {limit}")
        return part, count

    def _too_large(self, message: str) -> PayloadTooLarge:
        return PayloadTooLarge(f"{self._contract.name}: {message}", cure="Send several requests")

    def _invalid(self, details: list[dict[str, Any]]) -> InvalidInput:
        return InvalidInput(f"{self._contract.name}: {details[0]['msg']}", details)

    def _find_problems(self, matrix: Matrix) -> dict[int, list[Problem]]:
        """Return what is wrong with rows that are valid field by field: a broken rule, a number beyond float32."""
        problems: dict[int, list[Problem]] = {
            int(row): [partial(overflow_problem, self._schema)] for row in self._encoder.overflowing(matrix)
        }
        for row, rule in broken_rules(self._contract.rules, self._schema, matrix):
            problems.setdefault(row, []).append(partial(rule_problem, rule))
        return problems

    def _refuse(self, work: Pass, problems: dict[int, list[Problem]]) -> None:
        """Fail the calls that own the rows named in `problems`, and drop them from the pass."""
        for call in work.calls:
            bad = [row for row in range(call.start, call.stop) if row in problems]
            if bad:
                is_single = call.kind == "single"
                inputs = self._model.read(call.body) if is_single else self._model.read_batch(call.body)[0]
                details = [
                    self._locate(call, row - call.start, problem(inputs[row - call.start]))
                    for row in bad
                    for problem in problems[row]
                ]
                call.error = self._invalid(details)
        kept = [call for call in work.calls if call.error is None]
        if len(kept) < len(work.calls):
            work.keep(kept)

    @staticmethod
    def _locate(call: Call, row: int, detail: dict[str, Any]) -> dict[str, Any]:
        """Put the row's place in the body in front of a field's."""
        place = ["body"] if call.kind == "single" else ["body", "rows", row]
        return {**detail, "loc": [*place, *detail["loc"]]}
