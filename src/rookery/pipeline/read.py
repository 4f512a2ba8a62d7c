"""`read`: bodies validated into one matrix of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from rookery.errors import InvalidInput, PayloadTooLarge
from rookery.fields.caps import ValueCap
from rookery.fields.encoder import Encoder
from rookery.fields.problems import describe_problems, overflow_problem, rule_problem
from rookery.fields.rules import broken_rules
from rookery.fields.schema import batch_model
from rookery.pipeline.call import Call, Matrix, Pass
from rookery.service.contract import Contract


class Read:
    """Validate each body by the contract's input model and rules, and encode all rows at once."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._schema = contract.schema
        self._encoder = Encoder(contract.schema)
        self._validate = contract.schema.model.__pydantic_validator__.validate_json
        self._cap = ValueCap(contract.schema, 1)
        self._batch_cap = ValueCap(contract.schema, contract.limits.rows)
        self._validate_batch = batch_model(contract.schema).__pydantic_validator__.validate_json

    def __call__(self, work: Pass) -> None:
        """Set the pass's matrix; calls with bad bodies leave it."""
        rows: list[BaseModel] = []
        failed = False
        validate = self._validate
        for call in work.calls:
            call.start = len(rows)
            try:
                if call.kind == "single":
                    if self._cap.is_exceeded(call.body):
                        raise self._too_large("the body has more values than an input could have")
                    rows.append(validate(call.body))
                else:
                    rows.extend(self._read_batch(call.body))
            except ValidationError as error:
                call.error = self._invalid(describe_problems(error, self._schema))
                failed = True
            except PayloadTooLarge as error:
                call.error = error
                failed = True
            call.stop = len(rows)
        if failed:
            work.calls = [call for call in work.calls if call.error is None]
        work.matrix = self._encoder.encode_rows(rows)
        problems = self._find_problems(rows, work.matrix)
        if problems:
            self._refuse(work, problems)

    def _read_batch(self, body: bytes) -> Sequence[BaseModel]:
        limit = self._contract.limits.rows
        if self._batch_cap.is_exceeded(body):
            raise self._too_large(f"the body has more values than {limit} rows could have")
        rows: Sequence[BaseModel] = self._validate_batch(body).rows
        if len(rows) > limit:
            raise self._too_large(f"{len(rows)} rows are more than the limit of {limit}")
        return rows

    def _too_large(self, message: str) -> PayloadTooLarge:
        return PayloadTooLarge(f"{self._contract.name}: {message}", cure="Send several requests")

    def _invalid(self, details: list[dict[str, Any]]) -> InvalidInput:
        return InvalidInput(f"{self._contract.name}: {details[0]['msg']}", details)

    def _find_problems(self, rows: list[BaseModel], matrix: Matrix) -> dict[int, list[dict[str, Any]]]:
        """Return what is wrong with rows that are valid field by field: a broken rule, a number beyond float32."""
        problems = {int(row): [overflow_problem(self._schema, rows[row])] for row in self._encoder.overflowing(matrix)}
        for row, rule in broken_rules(self._contract.rules, self._schema, matrix):
            problems.setdefault(row, []).append(rule_problem(rule, rows[row]))
        return problems

    def _refuse(self, work: Pass, problems: dict[int, list[dict[str, Any]]]) -> None:
        """Fail the calls that own the rows named in `problems`, and drop them from the pass."""
        for call in work.calls:
            details = [
                detail | {"loc": self._locate(call, row, detail["loc"])}
                for row in range(call.start, call.stop)
                for detail in problems.get(row, ())
            ]
            if details:
                call.error = self._invalid(details)
        kept = [call for call in work.calls if call.error is None]
        if len(kept) < len(work.calls):
            work.keep(kept)

    @staticmethod
    def _locate(call: Call, row: int, loc: Sequence[str | int]) -> list[str | int]:
        """Put the row's place in the body in front of a field's."""
        return ["body", *loc] if call.kind == "single" else ["body", "rows", row - call.start, *loc]
