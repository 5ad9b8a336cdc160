"""Fixtures shared by all tests."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

# a busy machine is no fault of the code
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "contract")]

from builders import SHARED_DATA  # noqa: E402


@pytest.fixture(autouse=True)
def _nothing_doubted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test's study files name, another test's files of the same name are not doubted for."""
    from dlfbench import plugin_files

    monkeypatch.setattr(plugin_files, "_doubted", set())


_BLANK = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>'


@pytest.fixture(scope="module", autouse=True)
def _figures_are_blank(request: pytest.FixtureRequest) -> Iterator[None]:
    """Figures take most of a report's time: drawn in modules with `pytestmark = pytest.mark.figures` alone.

    Those that share a report of the session have it too, since whoever is first makes it.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("figures") is None:
            patch.setattr("dlfbench.report.shown.figure_style._drawn", lambda figure: (_BLANK, _BLANK))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the checkout; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real images: {SHARED_DATA} is not there")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What dlfbench remembers for a person is not that of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of warped atlases that tests may share: what one registered, another need not."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def phantom_folder(shared_cache: Path) -> Path:
    """The phantom where commands that tests run will look for it: made once."""
    from dlfbench.datasets.phantom import open_phantom

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLFBENCH_CACHE", str(shared_cache))
        open_phantom()
    return next(shared_cache.glob("phantom-*"))


@pytest.fixture
def dlfbench(
    capsys: pytest.CaptureFixture[str], shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Runs the command line in this process: exit code, and all that it printed."""
    from dlfbench.cli import main
    from dlfbench.cli.console import err, out

    monkeypatch.setenv("DLFBENCH_CACHE", str(shared_cache))
    monkeypatch.setenv("COLUMNS", "200")
    for console in (out, err):  # by COLUMNS they are as wide as it was when they were imported
        monkeypatch.setattr(console, "_width", 200)

    def run(*arguments: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run
