"""Pickled messages over a pipe, each after its length."""

import pickle
import select
import struct
from typing import IO, Any

_LENGTH = struct.Struct("!Q")


def send(pipe: IO[bytes], message: Any) -> None:
    """Sends a message whole."""
    data = pickle.dumps(message)
    rest = memoryview(_LENGTH.pack(len(data)) + data)
    while rest:  # a pipe without a buffer takes what fits
        rest = rest[pipe.write(rest) :]


def receive(pipe: IO[bytes]) -> Any:
    """The next message; `EOFError` where the other side is gone."""
    (size,) = _LENGTH.unpack(_read_exactly(pipe, _LENGTH.size))
    return pickle.loads(_read_exactly(pipe, size))


def is_ready(pipe: IO[bytes], within_s: float | None) -> bool:
    """Waits until there is something to read, or the other side is gone; for ever where no time is given."""
    return bool(select.select([pipe], [], [], None if within_s is None else max(0.0, within_s))[0])


def _read_exactly(pipe: IO[bytes], size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = pipe.read(size - len(data))
        if not more:
            raise EOFError
        data += more
    return bytes(data)
