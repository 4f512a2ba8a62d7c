from __future__ import annotations

from pathlib import Path

from rookery.settings import Settings
from rookery.supervisor.banner import banner_lines
from rookery.supervisor.messages import Orders, Report, read_orders, read_report
from rookery.supervisor.run_folder import clear_leftovers, make_run_folder


def test_orders_survive_their_line() -> None:
    orders = Orders(
        settings=Settings(port=9, home=Path("/h"), allowed_hosts=("a",)),
        services=("iris", "penguins"),
        optional=("penguins",),
        slot=1,
        source="worker-1-2-3",
        metrics_folder="/h/run/metrics",
        threads=2,
    )
    line = orders.to_line()
    assert line.count(b"\n") == 1
    assert read_orders(line) == orders


def test_reports_survive_their_line_and_rubbish_is_none() -> None:
    for report in (
        Report(kind="beat", memory_mb=81.5),
        Report(kind="failed", message="line\nbreak"),
        Report(kind="ready", lane=True, services={"iris": {"version": "1", "reason": ""}}),
    ):
        assert report.to_line().count(b"\n") == 1
        assert read_report(report.to_line()) == report
    assert read_report(b"{") is None
    assert read_report(b'{"kind": "beat", "surprise": 1}') is None


def test_the_banner_says_what_is_served_by_which_versions_where_and_through_which_doors() -> None:
    report = Report(kind="ready", lane=True, services={"iris": {"version": "3", "reason": ""}})
    (line,) = banner_lines(Settings(port=9, workers=1), report)
    assert line == "Rookery serves iris (version 3) at http://127.0.0.1:9 with 1 worker, lane on"


def test_the_banner_warns_of_what_does_not_answer_and_of_an_open_door() -> None:
    report = Report(kind="ready", lane_reason="by setting", services={"iris": {"version": None, "reason": "refused"}})
    first, *warnings = banner_lines(Settings(port=9, workers=2, host="0.0.0.0", root_path="/m"), report)
    assert first == "Rookery serves iris (no version) at http://127.0.0.1:9/m with 2 workers, lane off (by setting)"
    assert warnings[0] == "Warning: iris answers 503: refused"
    assert "0.0.0.0 can be reached from other machines" in warnings[1]


def test_a_run_folder_is_new_and_those_of_dead_servers_are_removed(tmp_path: Path) -> None:
    dead = tmp_path / "run" / "server-4194999" / "metrics"
    dead.mkdir(parents=True)
    (tmp_path / "run" / "server-1").mkdir()
    folder = make_run_folder(tmp_path)
    assert (folder / "metrics").is_dir()
    assert folder.parent == tmp_path / "run"
    assert not dead.exists()
    assert (tmp_path / "run" / "server-1").exists()
    clear_leftovers(tmp_path / "run")
    assert folder.exists()


def test_a_home_that_cannot_be_written_gives_a_temporary_run_folder(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    folder = make_run_folder(tmp_path / "home")
    try:
        assert (folder / "metrics").is_dir()
        assert not folder.is_relative_to(tmp_path / "home")
    finally:
        (folder / "metrics").rmdir()
        folder.rmdir()
