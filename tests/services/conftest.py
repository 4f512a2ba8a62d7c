"""The services, each trained once per session from its own definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from rookery.fields.problems import describe_problems
from rookery.fields.rules import broken_rules
from rookery.package.opener import Package, open_package
from rookery.registry.memory import MemoryRegistry
from rookery.service.definition import Service
from rookery.service.discovery import load_service
from rookery.service.prediction import Prediction
from rookery.service.task import Classification
from rookery.training.report import TrainingReport
from rookery.training.run import train
from rookery.training.tracker import NullTracker


@dataclass(frozen=True)
class Trained:
    """A service with the version that its training registered."""

    service: Service
    report: TrainingReport
    package: Package
    card: str

    def problems(self, body: str) -> list[str]:
        """What is wrong with a request's body: the messages of its fields and rules."""
        schema = self.service.schema
        try:
            row = schema.model.model_validate_json(body)
        except ValidationError as error:
            return [str(problem["msg"]) for problem in describe_problems(error, schema)]
        broken = broken_rules(self.service.rules, schema, self.package.encoder.encode_rows([row]))
        return [rule.message for _, rule in broken]

    def answer(self, body: str) -> dict[str, Any]:
        """What the service answers to a request's body, warnings left out."""
        assert self.problems(body) == []
        row = self.service.schema.model.model_validate_json(body)
        outputs = self.package.run(self.package.encoder.encode_rows([row]))
        common: dict[str, Any] = {
            "request_id": "r",
            "version": "1",
            "model_name": self.package.manifest.model_name,
            "latency_ms": 1.5,
        }
        if isinstance(self.service.task, Classification):
            index = int(outputs[0].argmax())
            labels = self.service.task.labels
            prediction = Prediction(
                class_id=index,
                label=labels[index],
                confidence=float(outputs[0, index]),
                probabilities=dict(zip(labels, outputs[0].tolist(), strict=True)),
                **common,
            )
        else:
            prediction = Prediction(value=float(outputs[0]), **common)
        answer = self.service.respond(prediction)
        return answer.model_dump() if isinstance(answer, BaseModel) else dict(answer)


Train = Callable[[str], Trained]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Train a service of the repository by its name; the second time is free."""
    done: dict[str, Trained] = {}

    def train_once(name: str) -> Trained:
        if name not in done:
            done[name] = _train(name, tmp_path_factory.mktemp(name))
        return done[name]

    return train_once


def _train(name: str, folder: Path) -> Trained:
    service = load_service(Path(__file__).resolve().parents[2] / "services", name)
    registry = MemoryRegistry(folder / "registry")
    report = train(service, registry=registry, tracker=NullTracker(), home=folder / "home")
    directory = registry.download(name, "1", folder / "package")
    return Trained(service, report, open_package(directory), (directory / "MODEL_CARD.md").read_text())
