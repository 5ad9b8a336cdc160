"""What work took, also over several starts."""

from pathlib import Path

from dlfbench.engine.measure import Cost, Ledger, measured


def test_work_that_was_stopped_and_goes_on_took_what_both_starts_took(tmp_path: Path) -> None:
    path = tmp_path / "fit.spent"
    stopped = Ledger(path, every_s=0.0)
    with measured() as first:
        sum(range(3_000_000))
        stopped.note()  # and then the process is killed
    again = Ledger(path)
    found = again.close(Cost(10.0, 8.0, 1))
    assert 8.0 + 0.5 * first.cpu_s < found.cpu_s <= 8.0 + 1.5 * first.cpu_s + 0.1
    assert found.wall_s > 10.0
    assert found.peak_bytes > 1
    assert not path.exists()
    assert Ledger(path).close(Cost(1.0, 1.0, 1)) == Cost(1.0, 1.0, 1)


def test_a_note_that_cannot_be_read_or_written_costs_the_figure_alone(tmp_path: Path) -> None:
    path = tmp_path / "moved" / "fit.spent"
    Ledger(path, every_s=0.0).note()
    assert not path.parent.exists()
    path = tmp_path / "damaged.spent"
    path.write_text('{"wall_s": 1')
    assert Ledger(path).close(Cost(1.0, 1.0, 1)) == Cost(1.0, 1.0, 1)
