"""Writes a report as one self-contained HTML page, as Markdown, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from kws.files import write_atomically
from training.report.sections import Section
from training.report.tables import escape_markdown

HTML, MARKDOWN, JSON = "report.html", "report.md", "report.json"
# Sections with one picture per model.
SIDE_BY_SIDE = frozenset({"confusion", "reliability"})


def write(report: dict[str, Any], found: list[Section], folder: Path) -> list[Path]:
    """Write the page, the tables as Markdown and all figures as JSON; return the paths."""
    texts = {
        HTML: html(report, found),
        MARKDOWN: markdown(report, found),
        JSON: json.dumps(report, indent=2) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return [folder / name for name in texts]


def html(report: dict[str, Any], found: list[Section]) -> str:
    """Return the page; the template engine escapes all text."""
    environment = Environment(
        loader=PackageLoader("training.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html").render(
        title=_title(report),
        subtitle=_subtitle(report),
        sections=found,
        side_by_side=SIDE_BY_SIDE,
    )


def markdown(report: dict[str, Any], found: list[Section]) -> str:
    """Return text and tables, without the pictures."""
    parts = [f"# {escape_markdown(_title(report))}", "", escape_markdown(_subtitle(report)), ""]
    for section in found:
        parts += [f"## {section.title}", ""]
        for paragraph in section.text:
            parts += [escape_markdown(paragraph), ""]
        for table in section.tables:
            parts += [escape_markdown(table.caption), ""] if table.caption else []
            parts += [table.markdown(), ""]
    return "\n".join(parts)


def _title(report: dict[str, Any]) -> str:
    names = [model["title"] for model in report["models"]]
    return f"Keyword models: {', '.join(names)}"


def _subtitle(report: dict[str, Any]) -> str:
    return f"{report['date'][:10]}, kws {report['kws']}"
