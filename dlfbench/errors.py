"""The one exception that a user's input can cause."""

from collections.abc import Sequence


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
