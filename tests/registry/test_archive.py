"""Archives: equal packages make equal bytes, and hostile or damaged files are refused."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rookery.errors import PackageError, RegistryError
from rookery.registry.archive import export_version, extract_package, import_version
from rookery.registry.memory import MemoryRegistry
from tests.registry.conftest import MakePackage


@pytest.fixture
def memory(tmp_path: Path, make_package: MakePackage) -> MemoryRegistry:
    """A registry with one version."""
    registry = MemoryRegistry(tmp_path / "memory")
    registry.register(make_package())
    return registry


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tgz"])
def test_equal_packages_make_equal_bytes(memory: MemoryRegistry, service: str, tmp_path: Path, ending: str) -> None:
    first = export_version(memory, service, "1", tmp_path / f"first{ending}")
    second = export_version(memory, service, "1", tmp_path / f"second{ending}")
    assert first.read_bytes() == second.read_bytes()
    assert import_version(memory, first).manifest_sha256 == memory.version(service, "1").manifest_sha256
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([first.name, second.name, "made", "memory"])


def test_other_programs_read_the_archive(memory: MemoryRegistry, service: str, tmp_path: Path) -> None:
    with tarfile.open(export_version(memory, service, "1", tmp_path / "a.tar.gz")) as tar:
        assert "package/manifest.json" in tar.getnames()
        assert {(entry.mtime, entry.uid, entry.mode) for entry in tar} == {(0, 0, 0o644)}


def test_an_archive_made_by_tar_itself_is_read(
    memory: MemoryRegistry, make_package: MakePackage, tmp_path: Path
) -> None:
    archive = tmp_path / "by-hand.tar.gz"
    with tarfile.open(archive, "w:gz", format=tarfile.GNU_FORMAT) as tar:
        tar.add(make_package(shift=0.7), arcname="flowers")
    assert import_version(memory, archive).version == "2"


def test_an_export_overwrites_nothing_and_wants_a_proper_name(
    memory: MemoryRegistry, service: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.tar").write_text("mine")
    with pytest.raises(RegistryError, match="is there already"):
        export_version(memory, service, "1", tmp_path / "mine.tar")
    with pytest.raises(RegistryError, match="no name for an archive"):
        export_version(memory, service, "1", tmp_path / "mine.zip")
    with pytest.raises(RegistryError, match="cannot be written"):
        export_version(memory, service, "1", tmp_path / "nowhere" / "mine.tar")
    assert (tmp_path / "mine.tar").read_text() == "mine"


def entry(name: str, data: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def link(name: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, b"", type=kind, linkname="/etc/passwd")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry("../manifest.json")], "outside"),
        ([entry("/package/manifest.json")], "outside"),
        ([entry("package/../../manifest.json")], "outside"),
        ([entry("a/b/manifest.json")], "outside"),
        ([link("package/manifest.json", tarfile.SYMTYPE)], "no plain file"),
        ([link("package/manifest.json", tarfile.LNKTYPE)], "no plain file"),
        ([entry("package/model.onnx", b"", type=tarfile.CHRTYPE)], "no plain file"),
        ([entry("package/model.onnx", b"", type=tarfile.FIFOTYPE)], "no plain file"),
        ([entry("package/model.onnx", b"17 path=/etc/x\n", type=tarfile.XHDTYPE)], "no plain file"),
        ([entry("package/model.onnx", b"/etc/x\0", type=tarfile.GNUTYPE_LONGNAME)], "no plain file"),
        ([entry("package/setup.py")], "no file of a package"),
        ([entry("package/manifest.json"), entry("other/manifest.json")], "twice"),
        ([entry("package", b"", type=tarfile.DIRTYPE)] * 40, "more files"),
        ([entry("package/manifest.json", b"", size=1 << 40)], "at most"),
        ([entry("package/manifest.json", b"abc", size=4096)], "ends in the middle"),
    ],
)
def test_hostile_entries_are_refused_and_nothing_is_written_elsewhere(
    entries: list[tuple[tarfile.TarInfo, bytes]], words: str, tmp_path: Path
) -> None:
    archive = tmp_path / "hostile.tar"
    with archive.open("wb") as file:
        for info, data in entries:
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            file.write(data + b"\0" * (-len(data) % 512))
    with pytest.raises(PackageError, match=rf"hostile\.tar: .*{words}"):
        extract_package(archive, tmp_path / "out" / "package")
    assert {path.name for path in tmp_path.rglob("*")} <= {"hostile.tar", "out", "package", "manifest.json"}


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: b"",
        lambda data: b"not an archive at all",
        lambda data: b"\x1f\x8b" + b"rubbish" * 100,
        lambda data: data[: len(data) // 2],
        lambda data: data[:200] + bytes([data[200] ^ 255]) + data[201:],
        lambda data: gzip.compress(b"\xff" * 4096),
    ],
)
def test_a_damaged_archive_is_refused_by_name(
    harm: Callable[[bytes], bytes], memory: MemoryRegistry, service: str, tmp_path: Path
) -> None:
    archive = export_version(memory, service, "1", tmp_path / "flowers.tar.gz")
    archive.write_bytes(harm(archive.read_bytes()))
    with pytest.raises(PackageError):
        import_version(memory, archive)
    assert len(memory.versions(service)) == 1


def test_a_decompression_bomb_is_stopped_at_its_first_header(memory: MemoryRegistry, tmp_path: Path) -> None:
    """Two gigabytes are announced and never unpacked: the header alone is refused."""
    info, _ = entry("package/MODEL_CARD.md", b"", size=2 << 30)
    archive = tmp_path / "bomb.tar.gz"
    archive.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * (8 << 20)))
    with pytest.raises(PackageError, match="at most"):
        import_version(memory, archive)


def test_a_package_that_does_not_open_is_not_imported(
    memory: MemoryRegistry, service: str, make_package: MakePackage, tmp_path: Path
) -> None:
    archive = tmp_path / "altered.tar"
    package = make_package(shift=0.4)
    with tarfile.open(archive, "w") as tar:
        for file in package.iterdir():
            data = file.read_bytes()
            data = data.replace(b"0.97", b"0.99") if file.name == "metrics.json" else data
            tar.addfile(entry(f"package/{file.name}", data)[0], io.BytesIO(data))
    with pytest.raises(PackageError, match=r"metrics\.json: was altered"):
        import_version(memory, archive)
    assert len(memory.versions(service)) == 1


def test_a_file_that_is_not_there_is_named(memory: MemoryRegistry, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"missing\.tar: cannot be read: No such file"):
        import_version(memory, tmp_path / "missing.tar")
