"""`LocalClient`: a service or a package served in this process, without a port."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rookery.errors import PackageError
from rookery.fields.schema import schema_digest
from rookery.package.contract import contract_from_manifest
from rookery.package.function import function_code
from rookery.package.opener import Package, open_package
from rookery.pipeline.endpoint import Endpoint, LoadedVersion
from rookery.service.contract import Contract, contract_of
from rookery.service.definition import Service
from rookery.serving.app import build_app
from rookery.serving.compatibility import find_mismatch
from rookery.serving.mount import Mount
from rookery.settings import Settings
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.testing.asgi import AsgiCaller, LocalResponse
from rookery.testing.forms import File, encode_form


class LocalClient:
    """Requests to one service in this process, through its application and its whole pipeline.

    With `service` the answers have the service's own shape, without it the package's generic one. Use it as a
    context manager, or call `close`.

    Raises:
        PackageError: the package is refused, or belongs to another input model than the service's.
    """

    def __init__(
        self,
        package: Path | Package,
        *,
        service: Service | None = None,
        version: str = "1",
        settings: Settings | None = None,
    ) -> None:
        code = None if service is None or service.function is None else function_code(service)
        self.package = package if isinstance(package, Package) else open_package(package, code=code)
        self.contract = _contract(self.package, service)
        metrics = WorkerMetrics("local")
        loaded = LoadedVersion(self.package, version, series=metrics.series(self.contract.name, version))
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="local-inference")
        mount = Mount(Endpoint(self.contract), metrics=metrics, executor=self._executor)
        mount.install({version: loaded}, champion=version, weights={version: 100}, aliases={"champion": version})
        self.application = build_app([mount], settings=settings or Settings(), metrics=metrics)
        """The ASGI application, for other test clients."""
        self._caller = AsgiCaller(self.application)

    def __enter__(self) -> LocalClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the application."""
        self._caller.close()
        self._executor.shutdown()

    def request(
        self, method: str, path: str, *, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> LocalResponse:
        """Send any request; `content` goes as it is."""
        return self._caller.request(method, path, content, headers)

    def get(self, path: str) -> LocalResponse:
        """Send a GET."""
        return self.request("GET", path)

    def post(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> LocalResponse:
        """Send a POST with `body` as JSON."""
        return self.request("POST", path, content=json.dumps(body).encode(), headers=headers)

    def post_pictures(
        self, path: str, files: Sequence[File], texts: Mapping[str, object] | None = None
    ) -> LocalResponse:
        """Send files (name and content) and parameters as a form to a service that takes pictures."""
        picture = self.contract.schema.picture
        body, kind = encode_form("file" if picture is None else picture.name, files, texts)
        return self.request("POST", path, content=body, headers={"content-type": kind})

    def predict_picture(self, data: bytes, *, filename: str = "picture", **parameters: object) -> Any:
        """Return the answer to one picture.

        Raises:
            AssertionError: the picture or a parameter is refused; the message says why.
        """
        return _expect_ok(self.post_pictures(self.contract.paths[0], [(filename, data)], parameters))

    def predict_pictures(self, files: Sequence[File], **parameters: object) -> list[Any]:
        """Return the answers to many pictures (each a name and its content), in their order.

        Raises:
            AssertionError: the batch is refused; the message says why.
        """
        answer = _expect_ok(self.post_pictures("/predict/batch", files, parameters))
        return list(answer["predictions"])

    def predict(self, row: Mapping[str, Any]) -> Any:
        """Return the answer to one input.

        Raises:
            AssertionError: the input is refused; the message says why.
        """
        return _expect_ok(self.post(self.contract.paths[0], dict(row)))

    def predict_batch(self, rows: list[Mapping[str, Any]]) -> list[Any]:
        """Return the answers to many inputs, in their order.

        Raises:
            AssertionError: the batch is refused; the message says why.
        """
        answer = _expect_ok(self.post("/predict/batch", {"rows": [dict(row) for row in rows]}))
        return list(answer["predictions"])


def _contract(package: Package, service: Service | None) -> Contract:
    if service is None:
        return contract_from_manifest(package.manifest)
    manifest, contract = package.manifest, contract_of(service)
    is_other = manifest.service != service.name or schema_digest(manifest.columns) != schema_digest(
        contract.schema.columns
    )
    if is_other or (contract.schema.picture is not None and find_mismatch(contract, manifest)):
        raise PackageError(
            f"the package belongs to {manifest.service} with another input model than the service {service.name}",
            cure="Train the service again, or leave the service out to get the generic contract",
        )
    return contract


def _expect_ok(response: LocalResponse) -> Any:
    if response.status != 200:
        raise AssertionError(f"status {response.status}: {response.text[:2000]}")
    return response.json()
