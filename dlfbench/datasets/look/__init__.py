"""A page that shows what is in a data set: what people look at before they believe it."""

from dlfbench.datasets.look.page import write_look

__all__ = ["write_look"]
