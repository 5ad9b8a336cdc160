"""How long work ends that is interrupted."""

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer

from dlfbench.cli.console import err, styled
from dlfbench.engine.trouble import RunStopped, explain


@contextmanager
def interruptible() -> Iterator[None]:
    """Ends long work that is interrupted, or stopped by the machine's trouble, with a word on how to go on."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["dlfbench", *sys.argv[1:]])
        with suppress(OSError):  # the terminal may be gone
            err.print(f"Stopped. Everything done so far is kept; go on with:\n  {again}", soft_wrap=True)
        raise typer.Exit(130) from None
    except (RunStopped, OSError) as error:
        what = str(error) if isinstance(error, RunStopped) else explain(error)
        err.print(
            styled("error:", "red"),
            f"{what}\nStopped; what is done is kept, and nothing of this counts as a method's result. "
            "Then start the same command again.",
            soft_wrap=True,
        )
        raise typer.Exit(1) from None
