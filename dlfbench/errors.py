"""The one exception that a user's input can cause, and what others say of themselves."""

from collections.abc import Sequence

_LONGEST_REASON = 2000


class InputError(Exception):
    """Input that cannot be used: every problem found, one line each.

    A problem says what is wrong, where (file, case, key), expected against found, and what to do.
    The command line prints the problems and exits with code 2.

    Args:
        problems: One line or several.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type["InputError"], tuple[tuple[str, ...]]]:
        return InputError, (self.problems,)


def reason_of(error: BaseException, *, cut: str = "...") -> str:
    """What a plugin raised, as it stands in every row of the results: its kind and text, of a long one the beginning.

    Args:
        error: Whatever it is; its text is a stranger's code too.
        cut: What ends one that is cut.
    """
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + cut
