"""Templates of the project's pages, and the style that these share."""

from importlib.resources import files

import jinja2


def templates(package: str, folder: str = "templates") -> jinja2.Environment:
    """Templates of a package: what they show is escaped, and what they do not know is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def page_style() -> str:
    """The style sheet of the report, for pages beside it."""
    return (files("dlfbench.report") / "templates" / "style.css").read_text(encoding="utf-8")
