# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: builds and validates the extension with Blender's own builder.

python3 -m tools.package            # build/delta_strip-VERSION.zip
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from tools.blender_runtime import NotAvailableError, Runtime, ensure, series_of

ROOT = Path(__file__).resolve().parent.parent
_BUILDER = "scripts/addons_core/bl_pkg/cli/blender_ext.py"


class PackageError(Exception):
    """The extension could not be built or is not valid; the text has the builder's words."""


def builder(runtime: Runtime) -> list[str]:
    """The command whose arguments are `build …` and `validate …`."""
    if runtime.kind == "blender":
        return [*runtime.command, "--factory-startup", "--command", "extension"]
    python = Path(runtime.command[0])
    pattern = f"[Ll]ib/**/site-packages/bpy/{series_of(runtime.version)}/{_BUILDER}"
    found = next(python.parent.parent.glob(pattern), None)
    if found is None:
        raise PackageError(f"{python.parent.parent} has no {_BUILDER}; remove it and try again.")
    return [str(python), "-B", str(found)]


def build(runtime: Runtime, folder: Path) -> Path:
    """Build and validate the extension; returns the zip's path.

    Args:
        runtime: The Blender whose builder is used.
        folder: Where the zip goes.

    Raises:
        PackageError: With what the builder said.
    """
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    path = folder / f"{manifest['id']}-{manifest['version']}.zip"
    folder.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    command = builder(runtime)
    _must([*command, "build", "--source-dir", str(ROOT), "--output-filepath", str(path)], runtime)
    _must([*command, "validate", str(path)], runtime)
    return path


def _must(command: list[str], runtime: Runtime) -> None:
    result = subprocess.run(
        command, env=runtime.env(), capture_output=True, text=True, timeout=300, check=False
    )
    if result.returncode:
        text = (result.stdout + result.stderr).strip()
        raise PackageError(f"Blender's builder ended with status {result.returncode}:\n{text}")


def main() -> int:
    """The command line."""
    try:
        path = build(ensure(), ROOT / "build")
    except (NotAvailableError, PackageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB, valid")
    return 0


if __name__ == "__main__":
    sys.exit(main())
