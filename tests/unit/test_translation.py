# SPDX-License-Identifier: GPL-3.0-or-later
"""Every text that Blender shows can be translated: none is built before it is looked up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "operators").glob("*.py"), *(ROOT / "panels").glob("*.py")])
LOOK_UPS = ("iface_", "rpt_", "n_")
# What takes a text to show, and where: position or keyword. Blender itself looks up those in
# BLENDERS, and finds them only when they are whole.
BLENDERS = {"label": "text", "operator": "text", "prop": "text", "progress": "text", "report": 1}
OURS = {"draw_text": 1, "poll_message_set": 0, "button": "text"}
SHOWN = BLENDERS | OURS


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
            yield name, node


def argument(call: ast.Call, place: int | str) -> ast.expr | None:
    if isinstance(place, str):
        return next((word.value for word in call.keywords if word.arg == place), None)
    return call.args[place] if len(call.args) > place else None


def has_words(text: ast.expr) -> bool:
    """Whether an f-string has words of its own, beside the values."""
    constants = [part.value for part in ast.walk(text) if isinstance(part, ast.Constant)]
    return any(any(letter.isalpha() for letter in str(value)) for value in constants)


def built(text: ast.expr | None) -> bool:
    """Whether words and values are put together here."""
    if isinstance(text, ast.BinOp) and any(name in LOOK_UPS for name, _ in calls(text)):
        return False
    return isinstance(text, ast.JoinedStr | ast.BinOp) and has_words(text)


def where(file: Path, node: ast.AST) -> str:
    return f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


@pytest.fixture(scope="module")
def trees() -> list[tuple[Path, ast.Module]]:
    return [(file, ast.parse(file.read_text(encoding="utf-8"))) for file in FILES]


def test_no_text_is_shown_whose_words_and_values_were_put_together_before(trees):
    bad = [
        where(file, call)
        for file, tree in trees
        for name, call in calls(tree)
        if name in SHOWN and built(argument(call, SHOWN[name]))
    ]
    assert bad == []


def test_what_is_looked_up_is_a_whole_text_that_a_collector_finds(trees):
    for file, tree in trees:
        if file.name == "words.py":
            continue
        for name, call in calls(tree):
            if name in LOOK_UPS:
                assert not isinstance(call.args[0], ast.JoinedStr | ast.BinOp), where(file, call)


def test_every_value_of_a_text_is_given_and_named_in_it(trees):
    seen = 0
    for file, tree in trees:
        for name, call in calls(tree):
            if name in ("iface_", "rpt_") and isinstance(call.args[0], ast.Constant):
                text = str(call.args[0].value)
                given = {word.arg for word in call.keywords}
                named = {part.split("}")[0] for part in text.split("{")[1:]}
                assert given == named, where(file, call)
                seen += bool(named)
    assert seen > 30


def test_errors_made_on_blenders_side_are_looked_up(trees):
    for file, tree in trees:
        if file.name == "render_script.py":  # in another Blender, which has only a log
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                for text in (*node.exc.args, *(word.value for word in node.exc.keywords)):
                    assert not isinstance(text, ast.Constant | ast.JoinedStr), where(file, text)
