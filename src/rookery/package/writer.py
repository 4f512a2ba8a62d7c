"""Writing a package: completely, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rookery.errors import PackageError
from rookery.package.digests import content_digest, readable_json, sha256_hex
from rookery.package.files import PARTIAL_SUFFIX
from rookery.package.golden import GoldenCase, require_enough, write_golden
from rookery.package.manifest import MANIFEST_FILE, FileEntry, Manifest
from rookery.package.profile import Profile


def write_package(
    directory: Path,
    *,
    manifest: Manifest,
    model: bytes | None,
    profile: Profile | None,
    golden: Sequence[GoldenCase],
    metrics: Mapping[str, Any],
    card: str,
    on_file: Callable[[str], None] | None = None,
) -> Manifest:
    """Write a package as the new folder `directory` and return its manifest with the digests filled in.

    The files are made durable in a hidden folder beside it, which is then renamed: `directory` is a whole package
    or does not exist. The manifest is written last. `on_file` is told each file's name once it is on the disk.
    A `function` has no model and no profile.

    Raises:
        PackageError: the target exists, the parts do not make a package, or the disk refuses.
    """
    files = _render_files(manifest, model=model, profile=profile, golden=golden, metrics=metrics, card=card)
    entries = {name: FileEntry(sha256=sha256_hex(data), size=len(data)) for name, data in files.items()}
    digests = {name: entry.sha256 for name, entry in entries.items()}
    complete = manifest.model_copy(
        update={"files": entries, "content_digest": content_digest(digests, code=manifest.code_digest)}
    )
    files[MANIFEST_FILE] = complete.to_json()
    if os.path.lexists(directory):
        raise PackageError(f"{directory}: already exists", cure="Packages are never overwritten: choose another folder")
    try:
        _write_folder(directory, files, on_file)
    except OSError as error:
        raise PackageError(f"{directory}: cannot be written: {error.strerror or error}") from error
    return complete


def _render_files(
    manifest: Manifest,
    *,
    model: bytes | None,
    profile: Profile | None,
    golden: Sequence[GoldenCase],
    metrics: Mapping[str, Any],
    card: str,
) -> dict[str, bytes]:
    """Return the bytes of every file but the manifest."""
    files: dict[str, bytes] = {}
    if manifest.kind == "onnx":
        if model is None or profile is None:
            raise PackageError(f"{manifest.service}: a package with a graph has a model and a profile")
        described = [column.name for column in profile.columns]
        if described != [column.name for column in manifest.columns]:
            raise PackageError(f"{manifest.service}: the profile describes {described}, which are other columns")
        files["model.onnx"] = model
        files["profile.json"] = profile.to_json()
    elif model is not None or profile is not None:
        raise PackageError(f"{manifest.service}: a function's package has neither a model nor a profile")
    require_enough(golden)
    files["golden.jsonl"] = write_golden(golden)
    files["metrics.json"] = readable_json(dict(metrics))
    files["MODEL_CARD.md"] = card.encode("utf-8")
    return files


def _write_folder(directory: Path, files: Mapping[str, bytes], on_file: Callable[[str], None] | None) -> None:
    parent = directory.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=PARTIAL_SUFFIX, dir=parent))
    try:
        for name, data in files.items():
            _write_durably(partial / name, data)
            if on_file is not None:
                on_file(name)
        partial.chmod(0o755)
        _sync_folder(partial)
        # A folder that appeared meanwhile is kept: renaming onto one that holds anything fails.
        partial.rename(directory)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync_folder(parent)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
