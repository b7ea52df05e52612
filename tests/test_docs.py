"""README and docs: what they show runs or parses, what they name exists, and they stay short."""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from kws.cli import bench, listen, models, program
from training.cli import enroll, evaluate, train
from training.config import recipe as recipes

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
CHECKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "firmware_models" / "README.md"]
COMMANDS = {
    "kws-listen": listen,
    "kws-bench": bench,
    "kws-models": models,
    "kws-eval": evaluate,
    "kws-train": train,
    "kws-enroll": enroll,
}
# Commands that the pages show and that need nothing but what ships.
RUN = [
    "kws-listen --input firmware_models/demo.wav --json",
    "kws-models list",
    "kws-models verify",
    "kws-train recipes",
    "kws-eval clip firmware_models/demo.wav",
    "kws-eval stream --model default --audio firmware_models --truth firmware_models/demo.csv",
]
# Options of other programs that the pages mention.
FOREIGN_OPTIONS = {"--user", "--now", "--needed", "--upgrade", "--pdb"}
FILE_SUFFIXES = {"py", "json", "tflite", "toml"}
MAX_README_LINES = 130
MAX_WORDS = 15_000


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, indented ones included."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text_of(page), re.DOTALL | re.MULTILINE)


def shell_lines() -> Iterator[list[str]]:
    """Yield the words of every command in shell blocks, without comments, pipes and variables."""
    for page in CHECKED:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"\||;|&&", line.split(" # ")[0]):
                    try:
                        words = shlex.split(part, comments=True)
                    except ValueError:  # a quote that holds one of the separators
                        words = shlex.split(line, comments=True)
                    while words and (re.match(r"^\w+=", words[0]) or words[0] in ("do", "time")):
                        words = words[1:]
                    if words:
                        yield words


def commands() -> list[list[str]]:
    """Return every kws-* command line of shell blocks and of inline code with options."""
    shown = [words for words in shell_lines() if words[0].split("/")[-1] in COMMANDS]
    for page in CHECKED:
        for code in re.findall(r"`(kws-\w+ [^`\n]*)`", text_of(page)):
            # Inline code may leave out what an example needs; capitals stand for a value.
            if "..." not in code and " --" in code and not re.search(r" [A-Z]\b", code):
                shown.append(shlex.split(code))
    return [[words[0].split("/")[-1], *words[1:]] for words in shown]


@cache
def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser that a command runs with."""
    caught: list[argparse.ArgumentParser] = []
    run = program.run
    try:
        program.run = lambda _, made, *rest, **named: caught.append(made) or 0
        COMMANDS[name].main([])
    finally:
        program.run = run
    return caught[0]


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return all options of a parser and of its subcommands."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for made in action.choices.values():
                found |= options_of(made)
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_shown_parse(command, capsys):
    """
    Every kws-* command of the pages names subcommands, options, recipes and keys that exist.
    """
    name, *arguments = command

    parsed = argparse.Namespace()
    with contextlib.suppress(SystemExit):
        parsed = parser_of(name).parse_args(arguments)

    # Inline code may leave an argument out.
    error = capsys.readouterr().err
    assert "" == error or "arguments are required" in error
    recipe = getattr(parsed, "recipe", None)
    if recipe is not None and "$" not in recipe and recipe != "RECIPE":
        given = [text.replace("$seed", "1") for text in parsed.overrides]
        recipes.load(recipe, overrides=dict(recipes.parse_override(text) for text in given))


@pytest.mark.parametrize("command", RUN)
def test_quick_commands_run(command, tmp_path, monkeypatch, capsys):
    """
    Commands on shipped files do what the pages say, and the pages show them.
    """
    pages = " ".join(" ".join(text_of(page).split()) for page in CHECKED)
    (tmp_path / "firmware_models").symlink_to(ROOT / "firmware_models")
    monkeypatch.chdir(tmp_path)
    name, *arguments = shlex.split(command)

    code = COMMANDS[name].main(arguments)

    assert command in pages
    assert 0 == code
    assert "" != capsys.readouterr().out


def test_the_offline_example_prints_the_demo_words():
    """
    README's example finds the ten words of the demo, in order.
    """
    example = next(block for block in blocks(README, "python") if "read_file" in block)
    truth = text_of(ROOT / "firmware_models" / "demo.csv").splitlines()[1:]

    done = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert "" == done.stderr
    assert [line.split(",")[1] for line in truth] == [
        line.split()[-1] for line in done.stdout.splitlines()
    ]


@pytest.mark.parametrize(
    ("page", "block"),
    [(page.name, block) for page in CHECKED for block in blocks(page, "python")],
    ids=lambda value: value.splitlines()[0][:40],
)
def test_python_blocks_import_what_exists(page, block, tmp_path):
    """
    Python blocks compile and import existing names; those on the demo recording run.
    """
    for node in ast.walk(ast.parse(block, filename=page)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("training."):
            # Importing these brings TensorFlow in.
            source = (ROOT / node.module.replace(".", "/")).with_suffix(".py")
            defined = {getattr(part, "name", None) for part in ast.parse(text_of(source)).body}
            assert {alias.name for alias in node.names} <= defined
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"
    if "firmware_models/demo.wav" not in block or page == README.name:  # README's runs above
        return
    (tmp_path / "firmware_models").symlink_to(ROOT / "firmware_models")

    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert (0, "") == (done.returncode, done.stderr)


def test_shell_blocks_are_shell():
    """
    Shell blocks have no syntax error.
    """
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("no bash")
    everything = "\n".join(block for page in CHECKED for block in blocks(page, "sh"))

    done = subprocess.run([shell, "-n"], input=everything, capture_output=True, text=True)

    assert "" == done.stderr


def test_scripts_shown_have_these_options():
    """
    `python bench/...` and `python -m fuzz...` name scripts that exist, with options they know.
    """
    missing = []
    for words in shell_lines():
        if words[0] != "python" or len(words) < 2:
            continue
        script = ROOT / words[1]
        if words[1] == "-m" and words[2].startswith("fuzz"):
            script = ROOT / "tests" / (words[2].replace(".", "/") + ".py")
        elif not words[1].endswith(".py"):
            continue
        if not script.exists():
            missing.append(words[1:3])
            continue
        source = "".join(path.read_text(encoding="utf-8") for path in script.parent.glob("*.py"))
        missing += [
            (script.name, word)
            for word in words[2:]
            if word.startswith("--") and f'"{word}"' not in source
        ]

    assert [] == missing


def test_options_named_in_the_text_exist():
    """
    Inline code that begins with `--` is an option of one of the commands.
    """
    known = set().union(*(options_of(parser_of(name)) for name in COMMANDS)) | FOREIGN_OPTIONS
    unknown = {
        (page.name, option)
        for page in CHECKED
        for option in re.findall(r"`(--[\w-]+)", text_of(page))
        if option not in known
    }

    assert set() == unknown


def test_recipe_keys_named_in_the_text_exist():
    """
    Inline code such as `fit.epochs` names a key of a recipe.
    """
    sections = "|".join(recipes.SECTIONS)
    unknown = {
        (page.name, f"{section}.{key}")
        for page in CHECKED
        for section, key in re.findall(rf"`({sections})\.(\w+)(?:`|=)", text_of(page))
        if key not in {item.name for item in dataclasses.fields(recipes.SECTIONS[section])}
    }

    assert set() == {
        (page, key)
        for page, key in unknown
        if key not in recipes.RENAMED and key.rpartition(".")[2] not in FILE_SUFFIXES
    }


def test_make_targets_exist():
    """
    `make X` in the pages is a recipe of the Makefile.
    """
    targets = set(re.findall(r"^([\w-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    shown = {
        (page.name, target)
        for page in CHECKED
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", text_of(page), re.MULTILINE)
    }

    assert set() == {(page, target) for page, target in shown if target not in targets}


def heading_anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere():
    """
    Relative links point at files and headings that exist.
    """
    broken = []
    for page in [*CHECKED, ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)]+)\)", text_of(page)):
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            if "://" not in target and not (
                path.exists() and (not anchor or anchor in heading_anchors(path))
            ):
                broken.append((page.name, target))

    assert [] == broken


def test_files_named_in_the_text_exist():
    """
    Inline code that names a file or folder of the repository names one that exists.
    """
    missing = {
        (page.name, path)
        for page in CHECKED
        for path in re.findall(
            r"`((?:kws|training|tests|docs|bench|examples|firmware_models)/[\w./-]+)`",
            text_of(page),
        )
        if not (ROOT / path).exists()
        and not list((ROOT / path).parent.glob(f"{Path(path).name}.*"))
    }

    assert set() == missing


def test_every_picture_is_shown():
    """
    docs/pictures holds no picture that no page shows.
    """
    pictures = {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    shown = {
        Path(name).name
        for page in CHECKED
        for name in re.findall(r"\]\(([^)]*pictures/[^)]+)\)", text_of(page))
    }

    assert pictures == shown


def test_the_pages_stay_short():
    """
    README fits on three screens, and all pages together on an evening.
    """
    words = sum(len(text_of(page).split()) for page in PAGES)

    assert len(text_of(README).splitlines()) <= MAX_README_LINES
    assert words <= MAX_WORDS
