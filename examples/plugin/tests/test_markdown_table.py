from pathlib import Path

import pytest
from ganlab_example_plugin.markdown_table import MarkdownTable

import ganlab


def test_the_table_has_the_wanted_numbers_of_the_last_iterations(tmp_path: Path) -> None:
    """A score comes apart from the losses of its iteration, and is in one row with them."""
    table = MarkdownTable(ganlab.RunContext(tmp_path), columns=("kimg", "evaluation/"), rows=2)
    for images in (100, 200, 300):
        table.log_metrics({"generator/adversarial": 1.0, "kimg": images / 1000}, step=images)
    table.log_metrics({"evaluation/fid": 31.25}, step=300)
    assert (tmp_path / "metrics.md").read_text().splitlines() == [
        "| kimg | evaluation/fid |",
        "| ---: | ---: |",
        "| 0.2 |  |",
        "| 0.3 | 31.25 |",
    ]


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows must be at least 1"):
        MarkdownTable(ganlab.RunContext(tmp_path), rows=0)
