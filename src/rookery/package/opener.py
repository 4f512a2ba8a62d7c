"""Opening a package: every byte verified, the graph judged, every golden case reproduced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rookery.errors import DigestMismatch, InferenceFailed, PackageError
from rookery.fields.encoder import Encoder
from rookery.fields.pictures.libraries import INSTALL_IMAGES, missing_libraries
from rookery.fields.schema import InputSchema
from rookery.package.digests import content_digest, sha256_hex
from rookery.package.files import PackageFolder
from rookery.package.function import FunctionCode, check_code, check_function
from rookery.package.golden import GoldenCase, check_golden, read_golden
from rookery.package.graph import check_graph
from rookery.package.manifest import MANIFEST_BYTES, MANIFEST_FILE, Manifest, parse_manifest
from rookery.package.profile import Profile
from rookery.package.session import Device, Inputs, Matrix, OnnxSession
from rookery.service.task import Classification

FILE_LIMITS: Mapping[str, int] = {
    "model.onnx": (2 << 30) - 1,
    "profile.json": 16 << 20,
    "golden.jsonl": 16 << 20,
    "metrics.json": 16 << 20,
    "MODEL_CARD.md": 4 << 20,
}
"""The files of a package besides its manifest, and the bytes each may have (a graph: protobuf's own limit)."""
GRAPH_FILES = frozenset(FILE_LIMITS)
FUNCTION_FILES = frozenset({"golden.jsonl", "metrics.json", "MODEL_CARD.md"})

NO_PROFILE = Profile(rows=0, columns=(), outputs=())
"""What a function has: it was trained on nothing."""


@dataclass(frozen=True, eq=False)
class Package:
    """A package that proved itself, ready to answer."""

    directory: Path
    manifest: Manifest
    manifest_sha256: str
    """Identifies the package as a whole, scores and provenance included."""
    profile: Profile
    golden: tuple[GoldenCase, ...]
    schema: InputSchema
    """The input model that the manifest describes."""
    encoder: Encoder
    session: OnnxSession | None
    """The graph; None where the service's own code answers."""
    code: FunctionCode | None = None
    """That code; None where a graph answers."""

    def run(self, matrix: Inputs) -> Matrix:
        """Answer float32 [n, columns], or pictures, with float32 [n, labels] or [n]; see `OnnxSession.run`."""
        if self.session is None:
            raise InferenceFailed(f"{self.manifest.service}: a function has no graph to run")
        return self.session.run(matrix)


@dataclass(frozen=True, eq=False)
class VerifiedFiles:
    """A package's bytes, as its digests promise them; nothing has been run yet."""

    manifest: Manifest
    manifest_sha256: str
    contents: Mapping[str, bytes]


def read_verified(directory: Path) -> VerifiedFiles:
    """Read a package's files, each once, and hold them against the manifest.

    Raises:
        DigestMismatch: a file is missing, added, a link, or has other bytes than the manifest says.
        PackageError: a file is too long, or the manifest cannot be read.
    """
    with PackageFolder(directory) as folder:
        data = folder.read(MANIFEST_FILE, limit=MANIFEST_BYTES)
        manifest = parse_manifest(data)
        names = set(folder.names()) - {MANIFEST_FILE}
        expected = GRAPH_FILES if manifest.kind == "onnx" else FUNCTION_FILES
        _compare_names("the manifest", set(manifest.files), expected)
        _compare_names("the package", names, expected)
        contents = {name: _read_verified_file(folder, manifest, name) for name in sorted(expected)}
    digests = {name: entry.sha256 for name, entry in manifest.files.items()}
    if content_digest(digests, code=manifest.code_digest) != manifest.content_digest:
        raise DigestMismatch(f"{MANIFEST_FILE}: the content digest is not that of the package's files")
    return VerifiedFiles(manifest, sha256_hex(data), contents)


def _compare_names(where: str, names: set[str], expected: frozenset[str]) -> None:
    for name in sorted(expected - names):
        raise DigestMismatch(f"{name}: {where} lacks this file", cure="Fetch or write the package again")
    for name in sorted(names - expected):
        raise DigestMismatch(f"{name[:100]!r}: {where} has a file that is no part of a package", cure="Remove it")


def _read_verified_file(folder: PackageFolder, manifest: Manifest, name: str) -> bytes:
    entry = manifest.files[name]
    if entry.size > FILE_LIMITS[name]:
        raise PackageError(f"{name}: has {entry.size} bytes, at most {FILE_LIMITS[name]} are read")
    data = folder.read(name, limit=FILE_LIMITS[name])
    if len(data) != entry.size:
        raise DigestMismatch(f"{name}: has {len(data)} bytes, the manifest says {entry.size}")
    actual = sha256_hex(data)
    if actual != entry.sha256:
        raise DigestMismatch(
            f"{name}: was altered: its digest is {actual[:12]}…, the manifest says {entry.sha256[:12]}…",
            cure="Fetch or write the package again",
        )
    return data


def open_package(
    directory: Path, *, threads: int = 1, device: Device = "cpu", code: FunctionCode | None = None
) -> Package:
    """Open a package for answering, `threads` being what one run may use.

    Verified are, in this order: every file's digest; the graph's operators, its data and its shapes; the profile;
    the input model; that ONNX Runtime loads the graph; every golden case. Of a function: that `code`, the one
    deployed here, is what the package was made of, and every golden case.

    Raises:
        PackageError: the package is refused (`DigestMismatch`, `UnsafeGraph`, `GoldenMismatch` say why more closely);
            the message names the file and the reason.
    """
    verified = read_verified(directory)
    manifest, contents = verified.manifest, verified.contents
    _check_libraries(manifest)
    golden = read_golden(contents["golden.jsonl"])
    schema = manifest.input_schema()
    encoder = Encoder(schema)
    profile, session = NO_PROFILE, None
    if manifest.kind == "function":
        commit = manifest.provenance.git_commit
        code = check_code(code, recorded=manifest.code_digest, service=manifest.service, commit=commit)
        check_function(code, golden)
    elif manifest.tensors is None:
        raise PackageError(f"{manifest.service}: {MANIFEST_FILE} declares no tensors")
    else:
        check_graph(contents["model.onnx"], manifest)
        profile, code = Profile.from_json(contents["profile.json"]), None
        _check_profile(profile, manifest)
        session = OnnxSession(contents["model.onnx"], manifest.tensors, threads=threads, device=device)
        check_golden(golden, encoder, session, schema)
    return Package(
        directory=directory,
        manifest=manifest,
        manifest_sha256=verified.manifest_sha256,
        profile=profile,
        golden=tuple(golden),
        schema=schema,
        encoder=encoder,
        session=session,
        code=code,
    )


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How the packages of one service are opened on this machine; see `open_package`."""

    threads: int = 1
    device: Device = "cpu"
    code: FunctionCode | None = None

    def open(self, directory: Path) -> Package:
        """Open a package.

        Raises:
            PackageError: it is refused.
        """
        return open_package(directory, threads=self.threads, device=self.device, code=self.code)


def _check_libraries(manifest: Manifest) -> None:
    missing = "" if manifest.input.picture is None else missing_libraries()
    if missing:
        raise PackageError(f"{manifest.service} takes pictures, and {missing} here", cure=INSTALL_IMAGES)


def _check_profile(profile: Profile, manifest: Manifest) -> None:
    if [part.name for part in profile.columns] != [column.name for column in manifest.columns]:
        raise PackageError("profile.json: describes other columns than the manifest")
    is_classification = isinstance(manifest.task_object(), Classification)
    expected = ["label", "confidence"] if is_classification else ["value"]
    if [part.name for part in profile.outputs] != expected:
        raise PackageError(f"profile.json: describes other outputs than {expected}")
