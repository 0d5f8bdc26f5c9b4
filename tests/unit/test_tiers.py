# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom: the table of ARCHITECTURE.md, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = frozenset(
    [
        "torch",
        "numpy",
        "diffusers",
        "transformers",
        "safetensors",
        "accelerate",
        "av",
        "imageio",
        "PIL",
        "tqdm",
    ]
)
BLENDER = frozenset(["bpy", "mathutils", "bmesh", "gpu", "aud", "bl_ui", "bl_operators", "_bpy"])
STDLIB = sys.stdlib_module_names

# unit: (may import bpy, may import the engine's packages, units of ours it may import)
TIERS: dict[str, tuple[bool, bool, frozenset[str]]] = {
    "root": (False, False, frozenset()),
    "preferences": (True, False, frozenset({"engine"})),
    "operators": (True, False, frozenset({"engine", "preferences"})),
    "panels": (True, False, frozenset({"engine", "preferences", "operators"})),
    "engine": (False, False, frozenset()),
    "engine.backbones": (False, True, frozenset({"engine"})),
    "engine.guidance": (False, True, frozenset({"engine", "engine.backbones.base"})),
    "engine.video": (False, True, frozenset({"engine"})),
    "engine.editing": (
        False,
        True,
        frozenset({"engine", "engine.guidance", "engine.backbones", "engine.video"}),
    ),
    "engine.evaluation": (False, True, frozenset({"engine", "engine.video"})),
}


def files() -> list[Path]:
    """All source files of the extension."""
    found = [ROOT / "__init__.py", ROOT / "preferences.py"]
    for folder in ("operators", "panels", "engine"):
        found += (ROOT / folder).rglob("*.py")
    return sorted(path for path in found if path.exists())


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit_of(module: str) -> str:
    """The row of the table a module belongs to."""
    first, *rest = module.split(".") if module else [""]
    if first == "engine" and rest and (ROOT / "engine" / rest[0]).is_dir():
        return f"engine.{rest[0]}"
    return first or "root"


def imports(path: Path, *, at_import_only: bool = False) -> Iterator[str]:
    """Absolute names of what a file imports; ours begin with a dot."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module_name(path).split(".") if module_name(path) else []
    if path.name != "__init__.py":
        package = package[:-1]
    inside = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if at_import_only and node in inside:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                full = ".".join([*base, alias.name])
                is_module = any(
                    (ROOT / full.replace(".", "/")).with_suffix(suffix).exists()
                    for suffix in ("", ".py")
                )
                yield "." + (full if is_module else ".".join(base))


def violations(path: Path) -> Iterator[str]:
    module = module_name(path)
    unit = unit_of(module)
    may_blender, may_heavy, ours = TIERS[unit]
    # The two files that reach up, and only inside functions: Blender's entry and the command line.
    reaches_up = module in ("", "engine.__main__")
    for name in imports(path, at_import_only=reaches_up):
        first = name.split(".")[0]
        if name.startswith("."):
            target = name[1:]
            is_allowed = unit_of(target) == unit or any(
                target == allowed
                or (unit_of(target) == allowed)
                or (allowed.count(".") == 2 and target.startswith(allowed + "."))
                for allowed in ours
            )
            if not is_allowed:
                yield f"{module or '__init__'} imports {target}"
        elif (first in BLENDER and not may_blender) or (first in HEAVY and not may_heavy):
            yield f"{module or '__init__'} imports {name}"
        elif first not in STDLIB | BLENDER | HEAVY:
            yield f"{module or '__init__'} imports {name}, which is not known here"


def test_every_file_keeps_to_its_row_of_the_import_table() -> None:
    assert [line for path in files() for line in violations(path)] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("engine/bad.py", "import torch"),
        ("engine/bad.py", "def f():\n    from numpy import array"),
        ("engine/bad.py", "import bpy"),
        ("engine/bad.py", "from .editing import run"),
        ("engine/bad.py", "from .. import operators"),
        ("engine/video/bad.py", "import bpy"),
        ("engine/video/bad.py", "from ..editing.run import run_job"),
        ("engine/guidance/bad.py", "from ..backbones.loading import load_backbone"),
        ("engine/backbones/bad.py", "from ..guidance import dds"),
        ("operators/bad.py", "import torch"),
        ("operators/bad.py", "from ..panels import edit_panel"),
        ("operators/bad.py", "from ..engine.editing import run"),
        ("panels/bad.py", "from ..engine.video.frames import read_frames"),
        ("operators/bad.py", "import requests"),
    ],
)
def test_the_test_sees_a_forbidden_import(
    path: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _path, encoding: source)
    assert len(list(violations(ROOT / path))) == 1


def test_the_engines_modules_import_each_other_without_a_cycle() -> None:
    graph = {
        module_name(path): {
            name[1:] for name in imports(path, at_import_only=True) if name.startswith(".")
        }
        for path in (ROOT / "engine").rglob("*.py")
    }
    TopologicalSorter(graph).prepare()  # raises on a cycle


def test_tier_0_imports_with_torch_and_blender_blocked() -> None:
    modules = [
        f"engine.{path.stem}"
        for path in sorted((ROOT / "engine").glob("*.py"))
        if path.stem != "__init__"
    ]
    code = f"""
import importlib, sys
blocked = {sorted(HEAVY | BLENDER)!r}
sys.modules.update(dict.fromkeys(blocked))
for name in {modules!r}:
    importlib.import_module(name)
loaded = [n for n in sys.modules if n.startswith("engine.") and n.count(".") > 1]
assert not loaded, loaded
"""
    done = subprocess.run(
        [sys.executable, "-B", "-S", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_each_tier_has_a_linter_configuration_that_bans_what_it_may_not_import() -> None:
    for unit, (may_blender, may_heavy, _) in TIERS.items():
        folder = ROOT / unit.replace(".", "/")
        if not folder.is_dir() or not list(folder.glob("*.py")):
            continue
        config = tomllib.loads((folder / "ruff.toml").read_text(encoding="utf-8"))
        banned = set(config["lint"]["flake8-tidy-imports"]["banned-api"])
        assert may_blender or "bpy" in banned, unit
        assert may_heavy or "torch" in banned, unit


def test_every_file_says_its_licence_and_its_layer() -> None:
    for path in (ROOT / "engine").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# SPDX-License-Identifier: GPL-3.0-or-later\n"), path
        assert ast.get_docstring(ast.parse(text)), path


def test_files_and_functions_stay_short() -> None:
    for path in files():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno:
                assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"
