from __future__ import annotations

from pathlib import Path

import pytest

from rookery.cli.reference import BEGIN, END, PAGES, refresh


@pytest.mark.parametrize("name", PAGES)
def test_the_documentation_shows_the_table_that_the_code_makes(name: str, repository: Path) -> None:
    """Run `python -m rookery.cli.reference docs` after a change."""
    page = repository / "docs" / name
    assert page.read_text(encoding="utf-8") == refresh(page)


def test_a_page_whose_table_lags_behind_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "settings.md"
    page.write_text(f"Before.\n\n{BEGIN}\n| old |\n{END}\n\nAfter.\n", encoding="utf-8")
    refreshed = refresh(page)
    assert "| old |" not in refreshed
    assert "`ROOKERY_PORT`" in refreshed
    assert refreshed.startswith("Before.")
    assert refreshed.endswith("After.\n")
