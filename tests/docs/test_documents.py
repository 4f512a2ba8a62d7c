"""What the README and the guides tell a reader to do works, block by block."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.documents import Session, assert_alike, read_blocks

GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("document", [ROOT / "README.md", *GUIDES], ids=lambda path: path.name)
def test_a_document_can_be_followed(document: Path, tmp_path: Path) -> None:
    """Every block of the document runs, in order, in one folder, and prints what is shown."""
    blocks = list(read_blocks(document.read_text()))
    assert blocks
    with Session(tmp_path, ROOT) as session:
        for block in blocks:
            session.run(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file of the repository."""
    targets = [page.parent / target for target in LINK.findall(page.read_text())]
    missing = [str(target) for target in targets if not target.exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_name_no_place_of_one_machine(page: Path) -> None:
    """No page holds a path that exists on its writer's machine only."""
    found = re.findall(r"/(?:home|root|work|Users)/\S*", page.read_text())
    assert found == []


def test_other_keys_texts_and_lengths_are_noticed() -> None:
    """The comparison with what a document shows can fail: on keys, on texts and on lengths, but not on numbers."""
    assert_alike({"a": 1.5, "b": ["x"]}, {"a": 2, "b": ["x"]}, "here")
    for other in ({"a": 1.5}, {"a": 1.5, "b": ["y"]}, {"a": 1.5, "b": []}, {"a": "1.5", "b": ["x"]}):
        with pytest.raises(AssertionError):
            assert_alike(other, {"a": 2, "b": ["x"]}, "here")


def test_a_failing_block_is_noticed(tmp_path: Path) -> None:
    """A command that fails, a script that raises and an unknown language are errors with the block's line."""
    for text in ("```bash\nfalse | true\n```\n", "```python\n1 / 0\n```\n", "```ruby\nputs 1\n```\n"):
        (block,) = read_blocks("A document\n\n" + text)
        assert block.line == 3
        with Session(tmp_path, ROOT) as session, pytest.raises(AssertionError, match="line 3"):
            session.run(block)


def test_blocks_that_need_weights_are_left_out_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With weights and photographs they run beside them, and fail as any other; without, nothing is done."""
    (block,) = read_blocks("```bash weights\ncat mobilenetv2-12.onnx dog.jpg cat.jpg\nfalse\n```\n")
    given = tmp_path / "given"
    given.mkdir()
    for name in ("some.onnx", "dog.jpg", "cat.jpg"):
        (given / name).write_text(name)
    monkeypatch.delenv("ROOKERY_TEST_MOBILENET", raising=False)
    monkeypatch.setenv("ROOKERY_TEST_PICTURES", str(given))
    with Session(tmp_path, ROOT) as session:
        session.run(block)
        monkeypatch.setenv("ROOKERY_TEST_MOBILENET", str(given / "some.onnx"))
        with pytest.raises(AssertionError, match=r"some\.onnxdog\.jpgcat\.jpg"):
            session.run(block)


def test_the_parity_page_lists_what_is_supported() -> None:
    """The page's table names every supported estimator and preprocessing step."""
    from rookery.export.kinds import supported_kinds
    from rookery.export.preprocessing import supported_steps

    page = (ROOT / "docs" / "architecture" / "07-parity.md").read_text()
    missing = [name for name in (*supported_kinds(), *supported_steps()) if f"`{name}`" not in page]
    assert missing == []


def test_the_house_plan_names_every_room() -> None:
    """The plan in the documentation has each room of the source, and a row that says what it is for."""
    page = (ROOT / "docs" / "architecture" / "02-house-plan.md").read_text()
    rooms = {path.stem for path in (ROOT / "src" / "rookery").iterdir() if not path.name.startswith(("_", "py."))}
    missing = [room for room in sorted(rooms) if f"| {room} |" not in page]
    assert missing == []
