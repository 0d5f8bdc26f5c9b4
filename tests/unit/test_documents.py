# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents tell the truth about what is in the repository, and speak of it alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.command_line import make_parser
from engine.registry import MODELS_FOLDER

ROOT = Path(__file__).resolve().parents[2]
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".in", ".sh", ".yaml", ".yml", ".json", ""}
# Names of things that belong to how it is made, not to what it is.
FORBIDDEN = {
    # An editor starts Blender and works in it. In quotes it is a scope of pytest's.
    "session": re.compile(r'(?<!")\bsessions?\b(?!")', re.I),
    "coding tool": re.compile(r"\b(chatgpt|copilot|language model|coding agent)\b", re.I),
    "issue number": re.compile(r"\bissues? #?\d+\b", re.I),
    "absolute path of a machine": re.compile(
        r"(?<![\w.$}])/(?:root|home/(?!me\b)\w+|Users/\w+|opt/\w+)/"
    ),
}


def tracked() -> list[Path]:
    """Every file git knows."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout")
    command = [git, "ls-files", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def documents() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def help_of(command: str) -> str:
    commands = next(a for a in make_parser()._actions if a.dest == "command")
    return commands.choices[command].format_help().partition("\n\n")[2]  # without the usage line


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))


def test_the_readme_names_exactly_the_options_that_edit_has():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in readme.splitlines() if line.startswith("| `-"))
    assert options_in(table) == options_in(help_of("edit")) - {"-h", "--help"}


def test_the_readme_names_no_option_that_does_not_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    known = options_in(help_of("edit")) | options_in(help_of("setup"))
    named = {option for code in re.findall(r"`([^`]+)`", readme) for option in options_in(code)}
    assert named - {"-m"} <= known  # -m is Python’s own


def test_every_command_that_exists_is_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = next(a for a in make_parser()._actions if a.dest == "command")
    for name in commands.choices:
        assert re.search(rf"`{name}\b|engine {name}\b", readme), name


def test_every_make_target_in_the_documents_exists():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for path in documents():
        named = set(re.findall(r"`make ([a-z-]+)`", path.read_text(encoding="utf-8")))
        assert named <= set(targets), path.name


def test_relative_links_and_pictures_exist():
    for path in documents():
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            if not target.startswith(("http://", "https://", "mailto:", "#")):
                assert (path.parent / target.partition("#")[0]).exists(), f"{path.name}: {target}"


def test_links_into_a_document_name_a_heading():
    for path in documents():
        text = path.read_text(encoding="utf-8")
        headings = {
            re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in text.splitlines()
            if line.startswith("#")
        }
        for target in re.findall(r"\]\(#([^)\s]+)\)", text):
            assert target in headings, f"{path.name}: #{target}"


def test_the_tree_in_the_architecture_names_what_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for folder in ("operators", "panels", "engine", "engine/editing", "engine/guidance"):
        for path in (ROOT / folder).glob("*.py"):
            if path.stem != "__init__":
                assert re.search(rf"\b{path.stem}\b", text), path.relative_to(ROOT)


def test_the_version_is_the_same_everywhere():
    places = {
        "blender_manifest.toml": r'^version = "([^"]+)"',
        "pyproject.toml": r'^version = "([^"]+)"',
        "engine/__init__.py": r'^__version__ = "([^"]+)"',
        "CHANGELOG.md": r"^## \[(\d[^\]]*)\]",
    }
    found = {}
    for name, pattern in places.items():
        match = re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), re.M)
        assert match, name
        found[name] = match[1]
    assert len(set(found.values())) == 1, found


def test_every_backbone_that_ships_has_a_model_card():
    for card in MODELS_FOLDER.glob("*/delta_strip.json"):
        assert (card.parent / "README.md").is_file(), card.parent.name


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_text_speaks_of_the_project_alone(what):
    for path in tracked():
        if path.suffix not in TEXT_SUFFIXES or path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if match := FORBIDDEN[what].search(text):
            line = text[: match.start()].count("\n") + 1
            pytest.fail(f"{path.relative_to(ROOT)}:{line}: {what}: {match[0]!r}")
