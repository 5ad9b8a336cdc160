"""Controlled shifts of test images."""

from dataclasses import replace

import numpy as np
import pytest

from dlfbench.cli.study_flags import _shifts
from dlfbench.datasets.cases import Case, Dataset, LabelSet, shifted_name
from dlfbench.datasets.shifts import KINDS, Kind, Shift
from dlfbench.errors import InputError
from dlfbench.study.protocol import Protocol
from dlfbench.study.splits import make_folds, with_shifts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
IMAGES = np.random.default_rng(0).uniform(10, 90, (2, 9, 10, 11)).astype(np.float32)
MODALITIES = ("t1", "t2")


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_is_repeatable_finite_and_grows(kind: str) -> None:
    weak, strong = (Shift(f"{kind}:{severity}").apply(IMAGES, MODALITIES, "a") for severity in (1, 5))
    assert np.array_equal(strong, Shift(f"{kind}:5").apply(IMAGES, MODALITIES, "a"))
    assert strong.shape == IMAGES.shape
    assert strong.dtype == np.float32
    assert np.isfinite(strong).all()
    assert 0 < np.abs(weak - IMAGES).mean() < np.abs(strong - IMAGES).mean()


@pytest.mark.parametrize("severity", range(1, 6))
def test_thicker_slices_move_nothing(severity: int) -> None:
    ramp = np.broadcast_to(np.arange(36, dtype=np.float32), (1, 3, 3, 36))
    changed = Shift(f"resolution:{severity}").apply(ramp, ("t1",), "a")
    assert np.allclose(changed[..., 6:30], ramp[..., 6:30], atol=0.02)


def test_whole_factors_of_the_resolution_are_made_by_other_code_than_one_and_a_half() -> None:
    one, two, three = (Shift(f"resolution:{severity}").recipe[2:] for severity in (1, 2, 3))
    assert one != two == three


def test_noise_differs_between_cases_and_has_the_stated_size() -> None:
    one, other = (Shift("noise:3").apply(IMAGES, MODALITIES, case) - IMAGES for case in "ab")
    assert not np.allclose(one, other)
    assert one[0].std() == pytest.approx(0.3 * IMAGES[0].std(), rel=0.05)


def test_contrast_by_hand() -> None:
    image = np.array([0.0, 25.0, 100.0], np.float32).reshape(1, 3, 1, 1)
    assert Shift("contrast:3").apply(image, ("t1",), "a").ravel().tolist() == [0, 6.25, 100]
    assert Shift("inversion:5").apply(image, ("t1",), "a").ravel().tolist() == [100, 75, 0]
    ramp = np.arange(101, dtype=np.float32).reshape(1, 101, 1, 1)
    assert Shift("inversion:2").apply(ramp, ("t1",), "a").ravel() == pytest.approx(np.abs(ramp.ravel() - 40), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_no_shift_is_a_change_of_scale_that_standardising_undoes(kind: str) -> None:
    for severity in range(1, 6):
        changed = Shift(f"{kind}:{severity}").apply(IMAGES, MODALITIES, "a")
        assert np.corrcoef(changed.ravel(), IMAGES.ravel())[0, 1] < 1 - 1e-6


def test_what_makes_a_shift_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ("blur:2", "blur:3", "noise:2", "missing:t1")
    before = {text: Shift(text).recipe for text in texts}
    assert len(set(before.values())) == len(texts)
    monkeypatch.setitem(KINDS, "blur", Kind("", (0.1, 0.2, 1.0, 0.4, 0.5), KINDS["noise"].apply))
    assert {text for text in texts if Shift(text).recipe != before[text]} == {"blur:2", "blur:3"}


def test_a_constant_image_stays_finite() -> None:
    for kind in KINDS:
        assert np.isfinite(Shift(f"{kind}:3").apply(np.ones_like(IMAGES), MODALITIES, "a")).all()


def test_a_missing_modality_is_noise_of_its_mean_and_spread_and_the_other_is_left_alone() -> None:
    found = Shift("missing:t2").apply(IMAGES, MODALITIES, "a")
    assert np.array_equal(found[0], IMAGES[0])
    assert abs(np.corrcoef(found[1].ravel(), IMAGES[1].ravel())[0, 1]) < 0.1
    assert found[1].mean() == pytest.approx(IMAGES[1].mean(), rel=0.05)


@pytest.mark.parametrize(
    ("text", "said"), [("fog:1", "unknown shift"), ("noise:6", "severity from 1 to 5"), ("noise", "KIND:SEVERITY")]
)
def test_what_is_no_shift_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Shift(text)


def test_a_modality_may_have_any_name() -> None:
    shift = Shift("missing:T1w resampled to T2 of older")
    assert (shift.kind, shift.value, shift.source) == ("missing", "T1w resampled to T2", "older")
    assert Shift("missing:T2w TSE").source is None
    assert shifted_name("sub01", shift) == "sub01~missing-T1w-resampled-to-T2"


def test_modalities_that_files_would_call_the_same_have_changed_cases_of_their_own() -> None:
    data = replace(dataset(), modalities=("T2", "T2*"))
    shifts = {"a": "missing:T2", "b": "missing:T2*", "c": "missing:T2 of a0", "d": "noise:1"}
    protocol = Protocol(folds=2, test={"a0": "group=a"}, shifts=shifts)  # type: ignore[arg-type]
    folds, extended = with_shifts(make_folds(data.cases, protocol, 0), data, protocol)
    for name in ("a", "b"):
        changes = {extended.case(case).shift[0].value for case in folds[0].tests[name]}  # type: ignore[index]
        assert changes == {shifts[name].removeprefix("missing:")}
    taken = replace(data, cases=(*data.cases, Case("c1~noise-1", (), None, {"group": "b"})))
    with pytest.raises(InputError, match=r"protocol.shifts.d: two cases would be called 'c1~noise-1'"):
        with_shifts(make_folds(data.cases, protocol, 0), taken, protocol)


def test_flags_for_shifts_that_would_share_a_name_are_refused() -> None:
    assert _shifts(["missing:T2", "noise:1"]) == {"missing-T2": "missing:T2", "noise-1": "noise:1"}
    with pytest.raises(InputError, match=r"'missing-T2' for 'missing:T2' and 'missing:T2\*'"):
        _shifts(["missing:T2", "missing:T2*"])


def dataset() -> Dataset:
    cases = tuple(Case(f"c{i}", (), None, {"group": "ab"[i % 2]}) for i in range(8))
    return Dataset("d", MODALITIES, LabelSet((0, 1), ("background", "x")), cases)


def shifted(**shifts: str) -> tuple[tuple[dict[str, tuple[str, ...]], ...], Dataset]:
    protocol = Protocol(train="group=a", hold_out=0.5, test={"b": "group=b"}, shifts=shifts)  # type: ignore[arg-type]
    folds, extended = with_shifts(make_folds(dataset().cases, protocol, 0), dataset(), protocol)
    return tuple(dict(fold.tests) for fold in folds), extended


def test_a_changed_test_set_has_the_same_people_under_other_names() -> None:
    (tests,), extended = shifted(blurred="blur:2", noisy="noise:1 of b")
    assert tests["blurred"] == tuple(f"{name}~blur-2" for name in tests["in-domain"])
    assert tests["noisy"] == tuple(f"{name}~noise-1" for name in tests["b"])
    copy = extended.case(tests["noisy"][0])
    assert copy.person == tests["b"][0]
    assert copy.shift == (Shift("noise:1 of b"), MODALITIES)
    assert len(extended.cases) == 8 + 2 + 4


@pytest.mark.parametrize(
    ("text", "said"), [("blur:2 of nowhere", "unknown test set 'nowhere'"), ("missing:ct", "unknown modality 'ct'")]
)
def test_a_shift_of_nothing_is_refused_before_anything_runs(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        shifted(x=text)
