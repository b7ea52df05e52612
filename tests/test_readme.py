"""README and docs: what they show runs, what they name exists."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kws.cli import bench, listen, models
from training.cli import evaluate, train

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = {
    "kws-listen": listen,
    "kws-bench": bench,
    "kws-models": models,
    "kws-eval": evaluate,
    "kws-train": train,
}


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands():
    """Return every kws-* command line shown in a shell block, comments and pipes cut off."""
    found = []
    for page in [*PAGES, ROOT / "firmware_models" / "README.md"]:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                for part in line.split("|"):
                    words = shlex.split(part, comments=True)
                    while words and re.match(r"^\w+=", words[0]):
                        words = words[1:]
                    if words and words[0].split("/")[-1] in COMMANDS:
                        found.append([words[0].split("/")[-1], *words[1:]])
    return found


def test_python_example_prints_the_demo_words():
    """
    The offline example of README runs as it stands and hears the ten words.
    """
    example = next(block for block in blocks(ROOT / "README.md", "python") if "read_file" in block)

    done = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert "" == done.stderr
    heard = [line.split()[-1] for line in done.stdout.splitlines()]
    truth = (ROOT / "firmware_models" / "demo.csv").read_text().splitlines()[1:]
    assert [line.split(",")[1] for line in truth] == heard


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_shown_are_understood(command):
    """
    Every kws-* command line in README and docs names options that exist.
    """
    name, *arguments = command

    parsed = COMMANDS[name]._parser().parse_args(arguments)

    assert parsed.verbose is False


def test_links_lead_somewhere():
    """
    Relative links in README and docs point at files that are there.
    """
    broken = [
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]

    assert [] == broken
