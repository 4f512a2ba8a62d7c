"""A package opens only if every byte, the graph and every golden case are as they were written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from rookery.errors import DigestMismatch, GoldenMismatch, PackageError, UnsafeGraph
from rookery.package.digests import sha256_hex
from rookery.package.manifest import read_manifest
from rookery.package.opener import FUNCTION_FILES, GRAPH_FILES, open_package, read_verified
from rookery.package.profile import Profile
from rookery.package.writer import write_package
from tests.package.builders import (
    build_package,
    classifier,
    encode,
    function_manifest,
    golden_bytes,
    make_golden,
    make_inputs,
    make_manifest,
    regression_manifest,
    regressor,
    replace_file,
    reseal,
)

ALL_FILES = [*sorted(GRAPH_FILES), "manifest.json"]


def edit_manifest(directory: Path, **changes: Any) -> None:
    content = json.loads((directory / "manifest.json").read_bytes())
    content.update(changes)
    replace_file(directory / "manifest.json", json.dumps(content).encode())


def test_a_good_package_opens_and_answers_as_it_was_recorded(package_folder: Path) -> None:
    package = open_package(package_folder)
    matrix = encode(make_inputs())
    answers = package.run(matrix)
    assert answers.shape == (24, 3)
    assert answers.dtype == np.float32
    assert np.allclose(answers, [case.expected for case in package.golden], atol=1e-6)
    assert package.schema.width == 4
    assert package.manifest.service == "penguins"
    assert package.manifest_sha256 == sha256_hex((package_folder / "manifest.json").read_bytes())
    assert package.profile.rows == 200


@pytest.mark.parametrize(("shape", "declared"), [(("N", 1), (None, 1)), (("N",), (None,))])
def test_a_regression_answers_one_number_per_row_whichever_way_its_graph_does(
    tmp_path: Path, shape: tuple[int | str, ...], declared: tuple[int | None, ...]
) -> None:
    build_package(tmp_path / "package", manifest=regression_manifest(declared), model=regressor(shape=shape))
    package = open_package(tmp_path / "package")
    assert package.run(encode(make_inputs(5))).shape == (5,)


@pytest.mark.parametrize("name", sorted(GRAPH_FILES))
@pytest.mark.parametrize("position", [0, 0.5, 1])
def test_one_flipped_byte_in_any_file_is_refused_by_its_name(package_folder: Path, name: str, position: float) -> None:
    path = package_folder / name
    data = bytearray(path.read_bytes())
    data[round(position * (len(data) - 1))] ^= 1
    replace_file(path, bytes(data))
    with pytest.raises(
        DigestMismatch, match=rf"^{name}: was altered: its digest is [0-9a-f]{{12}}…, the manifest says"
    ):
        open_package(package_folder)


def test_a_flipped_byte_of_the_manifest_is_refused_or_shows_in_its_digest(package_folder: Path) -> None:
    """A manifest names no digest of itself: a byte that still makes sense changes `manifest_sha256`."""
    path, before = package_folder / "manifest.json", open_package(package_folder).manifest_sha256
    data = path.read_bytes()
    refused = 0
    for position in range(0, len(data), max(1, len(data) // 40)):
        altered = bytearray(data)
        altered[position] ^= 1
        replace_file(path, bytes(altered))
        try:
            assert open_package(package_folder).manifest_sha256 != before
        except PackageError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_missing_file_is_refused_by_its_name(package_folder: Path, name: str) -> None:
    (package_folder / name).unlink()
    with pytest.raises(DigestMismatch, match=rf"^{name}: the package lacks this file"):
        open_package(package_folder)


@pytest.mark.parametrize("name", ["notes.txt", "model.onnx.data", ".hidden", "libcustom.so"])
def test_an_extra_file_is_refused_by_its_name(package_folder: Path, name: str) -> None:
    (package_folder / name).write_bytes(b"?")
    with pytest.raises(DigestMismatch, match=rf"'{name}': the package has a file that is no part of a package"):
        open_package(package_folder)


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_symbolic_link_is_refused_even_to_the_same_bytes(package_folder: Path, tmp_path: Path, name: str) -> None:
    (package_folder / name).rename(tmp_path / name)
    (package_folder / name).symlink_to(tmp_path / name)
    with pytest.raises(DigestMismatch, match=rf"^{name}: is a symbolic link"):
        open_package(package_folder)


def test_a_named_pipe_or_folder_in_a_files_place_is_refused_without_waiting(package_folder: Path) -> None:
    (package_folder / "metrics.json").unlink()
    os.mkfifo(package_folder / "metrics.json")
    with pytest.raises(DigestMismatch, match=r"metrics\.json: is no regular file"):
        open_package(package_folder)
    (package_folder / "metrics.json").unlink()
    (package_folder / "metrics.json").mkdir()
    with pytest.raises(DigestMismatch, match=r"metrics\.json: is no regular file"):
        open_package(package_folder)


def test_the_folder_itself_may_be_reached_through_a_link(package_folder: Path, tmp_path: Path) -> None:
    """Mounted volumes are often links; what counts is that no entry leads out of the folder."""
    (tmp_path / "mounted").symlink_to(package_folder)
    assert open_package(tmp_path / "mounted").manifest.service == "penguins"


def test_no_package_at_all_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="there is no package here"):
        open_package(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(PackageError, match="a package is a folder, this is a file"):
        open_package(tmp_path / "file")
    with pytest.raises(DigestMismatch, match=r"manifest\.json: the package lacks this file"):
        open_package(tmp_path)


def test_a_truncated_file_is_refused_with_both_sizes(package_folder: Path) -> None:
    data = (package_folder / "model.onnx").read_bytes()
    replace_file(package_folder / "model.onnx", data[:-7])
    with pytest.raises(DigestMismatch, match=rf"model\.onnx: has {len(data) - 7} bytes, the manifest says {len(data)}"):
        open_package(package_folder)


def test_a_file_declared_larger_than_its_limit_is_refused_before_it_is_read(package_folder: Path) -> None:
    files = json.loads((package_folder / "manifest.json").read_bytes())["files"]
    files["profile.json"]["size"] = 1 << 40
    edit_manifest(package_folder, files=files)
    with pytest.raises(PackageError, match=r"profile\.json: has 1099511627776 bytes, at most"):
        open_package(package_folder)


def test_a_huge_manifest_is_not_read(package_folder: Path) -> None:
    (package_folder / "manifest.json").chmod(0o644)
    os.truncate(package_folder / "manifest.json", 1 << 30)
    with pytest.raises(PackageError, match=r"manifest\.json: is longer than the 4194304 bytes"):
        open_package(package_folder)


def test_a_manifest_that_lists_a_file_outside_the_folder_is_refused(package_folder: Path) -> None:
    files = json.loads((package_folder / "manifest.json").read_bytes())["files"]
    edit_manifest(package_folder, files=files | {"../../etc/passwd": files["model.onnx"]})
    with pytest.raises(DigestMismatch, match=r"'\.\./\.\./etc/passwd': the manifest has a file that is no part"):
        open_package(package_folder)
    del files["golden.jsonl"]
    edit_manifest(package_folder, files=files)
    with pytest.raises(DigestMismatch, match=r"golden\.jsonl: the manifest lacks this file"):
        open_package(package_folder)


def test_a_wrong_content_digest_is_refused(package_folder: Path) -> None:
    edit_manifest(package_folder, content_digest="0" * 64)
    with pytest.raises(DigestMismatch, match="the content digest is not that of the package's files"):
        open_package(package_folder)


def test_a_graph_of_a_wrong_shape_is_refused_though_every_digest_is_right(package_folder: Path) -> None:
    reseal(package_folder, model=classifier(labels=4).SerializeToString())
    with pytest.raises(UnsafeGraph, match=r"shape \[N, 4\], declared is \[N, 3\]"):
        open_package(package_folder)


def test_a_graph_that_lies_about_its_shape_is_refused(package_folder: Path) -> None:
    """Declared [N, 3], answered [N, 4]: only running it tells."""
    liar = classifier(labels=4)
    liar.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3
    reseal(package_folder, model=liar.SerializeToString())
    with pytest.raises(PackageError, match=r"(golden\.jsonl: run in a batch|model\.onnx)"):
        open_package(package_folder)


def test_a_graph_with_external_data_is_refused_though_every_digest_is_right(package_folder: Path) -> None:
    model = classifier()
    weights = model.graph.initializer[2]
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="MODEL_CARD.md")
    reseal(package_folder, model=model.SerializeToString())
    with pytest.raises(UnsafeGraph, match="takes its data from outside"):
        open_package(package_folder)


def test_a_graph_that_answers_nan_is_refused(package_folder: Path) -> None:
    model = classifier()
    weights = np.full((4, 3), np.nan, dtype=np.float32)
    model.graph.initializer[2].CopyFrom(onnx.numpy_helper.from_array(weights, "weights"))
    reseal(package_folder, model=model.SerializeToString())
    with pytest.raises(GoldenMismatch, match=r"case 1, run in a batch: the answer \[nan, nan, nan\] is not finite"):
        open_package(package_folder)


def test_a_graph_that_answers_otherwise_than_recorded_is_refused(package_folder: Path) -> None:
    reseal(package_folder, model=classifier(scale=1.01).SerializeToString())
    with pytest.raises(GoldenMismatch, match=r"case \d+, run in a batch: the answer .* is off the recorded .* allowed"):
        open_package(package_folder)


def test_a_graph_that_onnx_runtime_cannot_load_is_refused(package_folder: Path) -> None:
    model = classifier()
    model.graph.node[3].op_type = "NoSuchOperator"
    reseal(package_folder, model=model.SerializeToString())
    with pytest.raises(PackageError, match=r"model\.onnx: ONNX Runtime cannot load the graph"):
        open_package(package_folder)


def test_fewer_than_twenty_golden_cases_are_refused(package_folder: Path) -> None:
    manifest = read_manifest(package_folder)
    cases = make_golden(classifier().SerializeToString(), manifest, make_inputs(19))
    reseal(package_folder, golden=golden_bytes(cases))
    with pytest.raises(PackageError, match=r"golden\.jsonl: 19 cases, at least 20 are needed"):
        open_package(package_folder)


def test_a_golden_case_that_is_no_valid_input_is_refused_by_its_number(package_folder: Path) -> None:
    manifest = read_manifest(package_folder)
    cases = make_golden(classifier().SerializeToString(), manifest, make_inputs())
    cases[6] = cases[6].model_copy(update={"input": {**cases[6].input, "island": "Atlantis"}})
    reseal(package_folder, golden=golden_bytes(cases))
    with pytest.raises(GoldenMismatch, match=r"golden\.jsonl: case 7: island"):
        open_package(package_folder)


def test_a_profile_of_other_columns_is_refused(package_folder: Path) -> None:
    profile = Profile.from_json((package_folder / "profile.json").read_bytes())
    reseal(package_folder, profile=profile.model_copy(update={"columns": profile.columns[::-1]}).to_json())
    with pytest.raises(PackageError, match=r"profile\.json: describes other columns"):
        open_package(package_folder)
    reseal(package_folder, profile=profile.model_copy(update={"outputs": profile.outputs[:1]}).to_json())
    with pytest.raises(PackageError, match=r"profile\.json: describes other outputs"):
        open_package(package_folder)


def test_a_rule_that_cannot_be_computed_is_refused(package_folder: Path) -> None:
    content = json.loads((package_folder / "manifest.json").read_bytes())["input"]
    content["rules"] = [{"condition": {"op": "less", "args": ["mass_g"]}, "message": "?"}]
    edit_manifest(package_folder, input=content)
    with pytest.raises(PackageError, match=r"manifest\.json: input\.rules\.0: .*not an expression"):
        open_package(package_folder)


def test_columns_that_make_no_input_model_are_refused(package_folder: Path) -> None:
    content = json.loads((package_folder / "manifest.json").read_bytes())["input"]
    content["columns"][2]["categories"] = []
    edit_manifest(package_folder, input=content)
    with pytest.raises(PackageError):
        open_package(package_folder)


def test_a_functions_package_is_verified_but_not_run(tmp_path: Path) -> None:
    manifest = function_manifest()
    golden = make_golden(classifier().SerializeToString(), make_manifest(), make_inputs())
    written = write_package(
        tmp_path / "sift", manifest=manifest, model=None, profile=None, golden=golden, metrics={}, card=""
    )
    assert set(written.files) == FUNCTION_FILES
    assert read_verified(tmp_path / "sift").manifest.to_json() == written.to_json()
    with pytest.raises(PackageError, match="cannot be opened alone"):
        open_package(tmp_path / "sift")


def test_bytes_that_were_verified_are_the_bytes_that_are_used(package_folder: Path) -> None:
    """Files are read once: replacing them after verification changes nothing that was read."""
    verified = read_verified(package_folder)
    replace_file(package_folder / "model.onnx", b"another graph")
    assert sha256_hex(verified.contents["model.onnx"]) == verified.manifest.files["model.onnx"].sha256


def test_opening_a_package_loads_no_training_library(package_folder: Path) -> None:
    code = (
        "import sys, pathlib, rookery.package.opener as opener\n"
        "opener.open_package(pathlib.Path(sys.argv[1]))\n"
        "heavy = {'onnx', 'skl2onnx', 'onnxmltools', 'sklearn', 'scipy', 'xgboost', 'lightgbm', 'pandas', 'mlflow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(package_folder)], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
