"""Pretrained weights become a complete package: graph, golden cases from generated pictures, profile, card."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import DefinitionError, PackageError
from rookery.export.parameters import count_parameters
from rookery.export.picture_graph import adapt_picture_model, picture_tensors
from rookery.fields.encoder import Encoder
from rookery.fields.schema import PictureField
from rookery.package.describe import describe_service, read_library_versions
from rookery.package.golden import PICTURES_TOGETHER, GoldenCase, golden_inputs
from rookery.package.golden_pictures import describe_golden
from rookery.package.manifest import Manifest, Provenance
from rookery.package.profile import make_profile
from rookery.package.session import Matrix, OnnxSession
from rookery.package.writer import write_package
from rookery.service.definition import Service
from rookery.service.pretrained import Pretrained
from rookery.service.task import Classification

GOLDEN_CASES = 20
GOLDEN_TOLERANCE = 2e-3
"""Of a probability: networks are summed in another order on every processor, and pictures resized by another Pillow."""


def package_pretrained(service: Service, architecture: str, weights: Path, destination: Path) -> Manifest:
    """Write a package of the weights of one of a service's architectures, and return its manifest.

    `weights` is an ONNX file as `service.pretrained[architecture]` describes it; whose digest it has is for the
    caller to decide. `destination` is the folder to write; it must not exist.

    Raises:
        DefinitionError: the service declares no such architecture.
        PackageError: the weights do not fit the declaration, or the package cannot be written.
    """
    pretrained, picture = _find(service, architecture)
    shape = picture.image.shape
    if not isinstance(service.task, Classification) or shape is None:
        raise DefinitionError(f"{service.name}: pretrained weights answer a classification of pictures of one size")
    labels = len(service.task.labels)
    try:
        data = weights.read_bytes()
    except OSError as error:
        raise PackageError(f"{weights} cannot be read: {error.strerror or error}") from error
    model = adapt_picture_model(
        data,
        input=pretrained.input,
        output=pretrained.output,
        height=shape[0],
        width=shape[1],
        labels=labels,
        mean=pretrained.mean,
        std=pretrained.std,
        activation=pretrained.activation,
    )
    tensors = picture_tensors(shape[0], shape[1], labels)
    outputs, golden = _record(service, OnnxSession(model, tensors))
    provenance = Provenance(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        libraries=read_library_versions(("pillow", "simplejpeg")),
    )
    digest = hashlib.sha256(data).hexdigest()
    return write_package(
        destination,
        manifest=describe_service(service, candidate=architecture, tensors=tensors, provenance=provenance),
        model=model,
        profile=make_profile((), np.empty((len(outputs), 0), np.float32), outputs, service.task),
        golden=golden,
        metrics={
            "service": service.name,
            "architecture": architecture,
            "parameters": count_parameters(model),
            "weights": _describe_weights(pretrained, digest, len(data)),
        },
        card=_render_card(service, architecture, pretrained, digest=digest),
    )


def _describe_weights(pretrained: Pretrained, digest: str, size: int) -> dict[str, Any]:
    return {
        "sha256": digest,
        "bytes": size,
        "declared": digest == pretrained.sha256,
        "source": pretrained.source,
        "licence": pretrained.licence,
    }


def _find(service: Service, architecture: str) -> tuple[Pretrained, PictureField]:
    if architecture not in service.pretrained or service.schema.picture is None:
        known = ", ".join(service.pretrained) or "none"
        raise DefinitionError(
            f"{service.name} has no architecture {architecture!r}", cure=f"Declared are: {known} (pretrained=…)"
        )
    return service.pretrained[architecture], service.schema.picture


def _record(service: Service, session: OnnxSession) -> tuple[Matrix, list[GoldenCase]]:
    """Return what the graph answers to generated pictures, as outputs [n, labels] and as golden cases."""
    blank = [
        GoldenCase(input=describe_golden(number), expected=(), tolerance=GOLDEN_TOLERANCE)
        for number in range(GOLDEN_CASES)
    ]
    pictures = golden_inputs(blank, Encoder(service.schema), service.schema)
    parts = [session.run(pictures[at : at + PICTURES_TOGETHER]) for at in range(0, len(pictures), PICTURES_TOGETHER)]
    outputs = np.concatenate(parts)
    golden = [
        GoldenCase(input=case.input, expected=tuple(row.astype(float).tolist()), tolerance=case.tolerance)
        for case, row in zip(blank, outputs, strict=True)
    ]
    return outputs, golden


def _render_card(service: Service, architecture: str, pretrained: Pretrained, *, digest: str) -> str:
    """Return the card as Markdown."""
    is_declared = digest == pretrained.sha256
    origin = f"from {pretrained.source or pretrained.url}" if is_declared else "from a file that was given"
    picture = service.schema.picture
    lines = [f"# {service.title or service.name}: {architecture}", "", service.description, "", "## Weights", ""]
    lines += [f"Pretrained weights {origin}; Rookery did not train them. SHA-256 `{digest}`.", ""]
    if not is_declared:
        lines += ["They are not the file whose digest the service declares: whoever gave them answers for them.", ""]
    if pretrained.licence and is_declared:
        lines += [f"Licence: {pretrained.licence}.", ""]
    if picture is not None:
        image = picture.image
        lines += ["## Input", "", f"A picture ({image.accepted}), fitted to {image.width} x {image.height} pixels.", ""]
    lines += ["## Proof", "", "The graph was compared with the original on made-up pictures, together and alone; the"]
    lines += ["golden cases are generated pictures with the graph's own answers.", "", "## Limits", ""]
    lines += ["How well it predicts was not measured here. The profile's outputs are those to generated pictures.", ""]
    return "\n".join(lines)
