"""What libraries take from the process around them, given for a while and put back."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the body."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def compiled_in(folder: Path) -> Iterator[None]:
    """PyTorch makes a folder for compiled code as soon as there is an optimizer: not outside of the method's own.

    Where nothing was compiled the folder is taken away again.
    """
    compiled = folder / "compiled"
    with environment({"TORCHINDUCTOR_CACHE_DIR": str(compiled)}):
        try:
            yield
        finally:
            with suppress(OSError):
                compiled.rmdir()
