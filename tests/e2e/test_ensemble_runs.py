"""An ensemble in a study: its members are trained once, and it is what they say together."""

from pathlib import Path

import pandas as pd
import pytest

import dlfbench as public
from builders import write_dataset
from dlfbench.fusion.combination import combined
from dlfbench.fusion.posterior import Posterior
from dlfbench.images import read_labels
from dlfbench.records.folder import RunFolder

pytestmark = pytest.mark.slow

UNET = "unet[steps=2,preset=quick]"
OURS = f'ensemble[of="mv;{UNET}"]'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=4, sides="L")


@pytest.fixture
def made(data: Path, tmp_path_factory: pytest.TempPathFactory, dlfbench) -> Path:
    folder = tmp_path_factory.getbasetemp() / "ensemble-run"
    if not (folder / "results.parquet").is_file():
        command = ["run", "--data", data, "--hold-out", "0.5", "--methods", f"{OURS},mv,{UNET}", "--out", folder]
        code, printed = dlfbench(*command, "--workers", "1", "--posteriors")
        assert code == 0, printed
    return folder


def test_members_are_trained_once_and_combined(made):
    folder = RunFolder(made)
    timings = pd.read_parquet(made / "timings.parquet").query("task == 'fit'")
    assert sorted(timings["method"]) == sorted([UNET, OURS])
    for path in (made / "segmentations" / "mv" / "fold0").iterdir():
        case = path.name.removesuffix(".nii.gz")
        dense = [public.read_posterior(folder.posterior_path(method, 0, case)) for method in ("mv", UNET)]
        expected = combined([Posterior.of_dense(one, (0, 1, 2)) for one in dense], [1, 1], "odds").labels()
        found, _ = read_labels(folder.segmentation_path(OURS, 0, case))
        assert (found != expected).mean() < 0.001  # what was kept is rounded to 1/255


def test_the_report_tests_it_against_its_best_member(made):
    page = next(made.rglob("*.html")).read_text(encoding="utf-8")
    assert 'id="ensembles"' in page
    gains = pd.read_csv(made / "report" / "tables" / "ensembles.csv")
    assert set(gains["ensemble"]) == {OURS}
    assert set(gains["best_member"]) <= {"mv", UNET}
    assert gains["difference"].tolist() == pytest.approx((gains["dice"] - gains["dice_member"]).tolist())


def test_a_member_that_is_called_like_another_method_is_refused(data, dlfbench):
    methods = 'mine=jlf[beta=4],ensemble[of="mv;mine=jlf[beta=3]"]'
    code, printed = dlfbench("run", "--data", data, "--hold-out", "0.5", "--methods", methods, "--dry-run")
    assert code == 2
    assert "its member 'mine' has other parameters" in " ".join(printed.split())
