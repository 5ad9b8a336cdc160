"""How numbers are written: one place, so that page, tables and terminal agree."""

import math
from typing import Any

from dlfbench.metrics.known import METRICS

NONE = "–"
_DECIMALS = {metric.name: 2 if metric.unit else 3 for metric in METRICS}
TITLES = {metric.name: f"{metric.title} ({metric.unit})" if metric.unit else metric.title for metric in METRICS}
_SMALL = 0.00995  # what is no smaller is written as 0.01 or more
METRIC_OF_TITLE = {title: name for name, title in TITLES.items()}
BOUND_TITLES = {
    "oracle_one": "oracle, any atlas",
    "oracle05": "oracle 5%",
    "oracle10": "oracle 10%",
    "oracle20": "oracle 20%",
    "oracle30": "oracle 30%",
    "oracle50": "oracle 50%",
    "candidate": "mean single candidate",
}


def number(value: float, metric: str, *, signed: bool = False) -> str:
    """A value in the metric's decimals; a dash where there is none.

    Millimetres below a hundredth have a third: differences in mice's brains are as small.

    >>> number(1.4321, "hd95_mm"), number(0.0421, "assd_mm"), number(-0.0031, "assd_mm", signed=True)
    ('1.43', '0.04', '−0.003')
    """
    return fixed(value, _decimals(metric, value), signed=signed)


def _decimals(metric: str, *values: float) -> int:
    """Of the metric, or three where the largest of some values is small."""
    largest = max((abs(value) for value in values if value is not None and not math.isnan(value)), default=0.0)
    return 3 if 0 < largest < _SMALL else _DECIMALS[metric]


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """So many decimals; a dash for NaN; never a negative zero.

    >>> fixed(-0.0004, 3), fixed(0.8834, 3)
    ('0.000', '0.883')
    """
    if value is None or math.isnan(value):
        return NONE
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{decimals}f}"


def mean_sd(mean: float, sd: float, metric: str) -> str:
    """`0.883 ± 0.021`."""
    decimals = _decimals(metric, mean, sd)
    return NONE if math.isnan(mean) else f"{fixed(mean, decimals)} ± {fixed(sd, decimals)}"


def limits(low: float, high: float, metric: str, *, signed: bool = False) -> str:
    """`0.861 to 0.902`; with signs, a limit that is not 0 has decimals enough to show on which side of it it lies.

    >>> limits(-0.00044, 0.0056, "dice", signed=True)
    '−0.0004 to +0.0056'
    """
    decimals = _decimals(metric, low, high)
    if signed and any(0 < abs(value) < 0.5 * 10.0**-decimals for value in (low, high)):
        decimals += 1
    told = (fixed(value, decimals, signed=signed) for value in (low, high))
    return NONE if math.isnan(low) else " to ".join(told)


def p_value(p: float) -> str:
    """Three decimals, `<0.001` below; `<0.050` rather than a 0.050 that is below."""
    if math.isnan(p):
        return NONE
    return "<0.001" if p < 0.001 else "<0.050" if 0.0495 <= p < 0.05 else f"{p:.3f}"


def seconds(value: float) -> str:
    """`0.84 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if math.isnan(value):
        return NONE
    if value < 9.995:
        return f"{value:.2g} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 1:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def memory(size_bytes: float) -> str:
    """`420 MB`, `1.3 GB`."""
    if math.isnan(size_bytes):
        return NONE
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def count(number_of: int, what: str, plural: str | None = None) -> str:
    """`1 case`, `3 cases`."""
    return f"{number_of} {what if number_of == 1 else plural or what + 's'}"


def method_title(name: str) -> str:
    """A bound's title; a method's own name."""
    return BOUND_TITLES.get(name, name)


def verdict(row: Any) -> str:
    """The verdict of a row of `compare` with the methods' names."""
    text = str(row["verdict"])
    if text[0] in "ab" and text[1:].startswith(" better"):
        return f"{row[text[0]]}{text[1:]}"
    return text


def signed_limits(low: float, high: float) -> str:
    """`−0.0012 to +0.0034`."""
    return NONE if math.isnan(low) else f"{fixed(low, 4, signed=True)} to {fixed(high, 4, signed=True)}"
