"""What a study sets out to show, declared before there are results."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from dlfbench.study.protocol import Amount, Strict

Relation = Literal["superior", "not inferior", "equivalent"]
_RELATIONS: dict[str, Relation] = {">": "superior", ">=": "not inferior", "==": "equivalent"}
_FORM = re.compile(
    r"(?P<a>\S+)\s+(?P<relation>>=|==|>)\s+(?P<b>\S+)(?:\s+within\s+(?P<margin>\S+))?(?:\s+on\s+(?P<test_set>\S+))?"
)


@dataclass(frozen=True)
class Claim:
    """One comparison that a study declares.

    `dlf > jlf` (better), `dlf >= nnunet within 0.01` (not worse by more than that), `dlf == jlf within 0.01` (neither
    better nor worse by more than that); `on TEST_SET` for one test set alone. "Better" is as the metric declares it.
    """

    text: str

    def __post_init__(self) -> None:
        parts = _FORM.fullmatch(self.text.strip())
        if parts is None:
            raise ValueError(
                "expected A > B, A >= B within MARGIN or A == B within MARGIN, such as 'dlf > jlf', "
                f"found {self.text!r}"
            )
        if parts["a"] == parts["b"]:
            raise ValueError(f"{self.text!r} compares a method with itself")
        if parts["margin"] is not None and (_RELATIONS[parts["relation"]] == "superior" or not self._margin_is_fine()):
            raise ValueError(f"{self.text!r}: expected `within` and a positive number, after >= or == only")

    @property
    def _parts(self) -> re.Match[str]:
        parts = _FORM.fullmatch(self.text.strip())
        assert parts is not None
        return parts

    def _margin_is_fine(self) -> bool:
        try:
            return float(self._parts["margin"]) > 0
        except ValueError:
            return False

    @property
    def a(self) -> str:
        return str(self._parts["a"])

    @property
    def b(self) -> str:
        return str(self._parts["b"])

    @property
    def relation(self) -> Relation:
        return _RELATIONS[self._parts["relation"]]

    @property
    def margin(self) -> float | None:
        """Largest difference that does not matter, where the claim says one."""
        return None if self._parts["margin"] is None else float(self._parts["margin"])

    @property
    def test_set(self) -> str | None:
        """The one test set that it is about; None: every one of the analysis."""
        return self._parts["test_set"]


ClaimField = Annotated[
    Claim,
    BeforeValidator(lambda value: Claim(value) if isinstance(value, str) else value),
    PlainSerializer(lambda claim: claim.text, return_type=str),
]


class DeclaredAnalysis(Strict):
    """The declared analysis of a study: its claims are one family, corrected together and apart from all else.

    Attributes:
        claims: Comparisons; each is tested in every one of `test_sets` and for every one of `labels`.
        metric: The primary metric.
        labels: Label names; none: the mean over all labels.
        test_sets: Names; none: every test set.
        alpha: Level of the family.
        direction: two-sided, or one-sided: a superiority in the declared direction alone.
        margins: By metric, for claims with >= or == that say no margin of their own.
    """

    claims: tuple[ClaimField, ...] = Field(min_length=1)
    metric: str = "dice"
    labels: tuple[str, ...] = ()
    test_sets: tuple[str, ...] = ()
    alpha: float = Field(0.05, gt=0, lt=1, strict=True)
    direction: Literal["two-sided", "one-sided"] = "two-sided"
    margins: dict[str, Amount] = Field({"dice": 0.01})

    @model_validator(mode="after")
    def _margins_are_there(self) -> "DeclaredAnalysis":
        bare = [c.text for c in self.claims if c.relation != "superior" and self.margin_of(c) is None]
        if bare:
            raise ValueError(f"{bare[0]!r} needs a margin: write `within MARGIN`, or margins.{self.metric} = MARGIN")
        texts = [claim.text for claim in self.claims]
        twice = sorted({text for text in texts if texts.count(text) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is declared twice")
        return self

    def margin_of(self, claim: Claim) -> float | None:
        """The margin of a claim: its own, or that of the metric; None where there is none."""
        return self.margins.get(self.metric) if claim.margin is None else claim.margin

    def unknown(self, **known: Collection[str]) -> list[str]:
        """One line for each name that the study does not have, of what is given.

        Args:
            known: Names of `methods`, `test_sets`, `labels` or `metrics` that there are.
        """
        asked = {
            "methods": [name for claim in self.claims for name in (claim.a, claim.b)],
            "test_sets": [*self.test_sets, *(claim.test_set for claim in self.claims if claim.test_set)],
            "labels": self.labels,
            "metrics": (self.metric, *self.margins),
        }
        return [
            f"analysis: no {kind[:-1].replace('_', ' ')} {name!r} in this study; there are: {', '.join(names)}"
            for kind, names in known.items()
            for name in dict.fromkeys(asked[kind])
            if name not in names
        ]
