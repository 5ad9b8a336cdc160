"""Words that messages and pages share."""

from collections.abc import Sequence


def few(names: Sequence[str], most: int) -> str:
    """Names in their order, of many so many, and how many more.

    >>> few(["one", "two", "three"], 2)
    'one, two and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
