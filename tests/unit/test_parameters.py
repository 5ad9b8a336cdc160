from dataclasses import dataclass
from typing import Any, Literal

import pytest

from dlfbench.errors import InputError
from dlfbench.parameters import build


@dataclass(frozen=True)
class Sample:
    radius: int | tuple[int, int, int] = 2
    alpha: float = 0.1
    form: Literal["inverse", "gaussian"] = "inverse"
    clip: bool = False
    top: int | None = None
    text: str = ""
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.alpha < 0:
            raise ValueError(f"alpha: expected 0 or more, found {self.alpha}")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("radius", "3", 3),
        ("radius", "2,2,1", (2, 2, 1)),
        ("radius", [2, 2, 1], (2, 2, 1)),
        ("alpha", "0.5", 0.5),
        ("alpha", 1, 1.0),
        ("form", "gaussian", "gaussian"),
        ("clip", "true", True),
        ("top", "none", None),
        ("top", "4", 4),
        ("text", "3,4", "3,4"),
        ("names", "one", ("one",)),
        ("names", "one,two", ("one", "two")),
    ],
)
def test_values_are_read_as_the_parameter_s_type(name: str, value: Any, expected: Any) -> None:
    assert getattr(build(Sample, {name: value}, where="x"), name) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("radius", 2.5),
        ("radius", "2.5"),
        ("radius", "1,2"),
        ("alpha", "much"),
        ("form", "linear"),
        ("clip", 1),
        ("top", True),
    ],
)
def test_other_types_are_refused_with_parameter_and_value(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"method 'm': parameter '{name}': .*found {value!r}"):
        build(Sample, {name: value}, where="method 'm'")


def test_unknown_parameters_are_all_named_with_the_known_and_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        build(Sample, {"alfa": 1, "zzz": 2}, where="method 'm'")
    assert len(caught.value.problems) == 2
    assert "alpha=0.1" in caught.value.problems[0]
    assert "did you mean 'alpha'" in caught.value.problems[0]


def test_refused_values_keep_the_text_of_the_class() -> None:
    with pytest.raises(InputError, match="method 'm': alpha: expected 0 or more, found -1"):
        build(Sample, {"alpha": -1}, where="method 'm'")


@pytest.mark.parametrize("error", [FileNotFoundError("weights.bin"), SystemExit(3), AssertionError("no")])
def test_whatever_a_class_raises_is_told_of_it(error: BaseException) -> None:
    @dataclass(frozen=True)
    class Raising:
        def __post_init__(self) -> None:
            raise error

    with pytest.raises(InputError, match=f"method 'm': {type(error).__name__}: {error}"):
        build(Raising, {}, where="method 'm'")
