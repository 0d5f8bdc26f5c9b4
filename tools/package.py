# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: builds and validates the extension, and the repository that Blender subscribes to.

python3 -m tools.package            # build/repository/: index.json, index.html, the zip
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

from tools.blender_runtime import NotAvailableError, Runtime, ensure, series_of
from tools.repository_page import page

ROOT = Path(__file__).resolve().parent.parent
_BUILDER = "scripts/addons_core/bl_pkg/cli/blender_ext.py"


class PackageError(Exception):
    """The extension could not be built or is not valid; the text has the builder's words."""


def builder(runtime: Runtime) -> list[str]:
    """The command whose arguments are `build …`, `validate …` and `server-generate …`."""
    if runtime.kind == "blender":
        return [*runtime.command, "--factory-startup", "--command", "extension"]
    python = Path(runtime.command[0])
    pattern = f"[Ll]ib/**/site-packages/bpy/{series_of(runtime.version)}/{_BUILDER}"
    found = next(python.parent.parent.glob(pattern), None)
    if found is None:
        raise PackageError(f"{python.parent.parent} has no {_BUILDER}; remove it and try again.")
    return [str(python), "-B", str(found)]


def build(runtime: Runtime, folder: Path, source: Path = ROOT) -> Path:
    """Build and validate the extension; returns the zip's path.

    Args:
        runtime: The Blender whose builder is used.
        folder: Where the zip goes.
        source: The folder with the manifest.

    Raises:
        PackageError: With what the builder said.
    """
    manifest = tomllib.loads((source / "blender_manifest.toml").read_text(encoding="utf-8"))
    path = folder / f"{manifest['id']}-{manifest['version']}.zip"
    folder.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    command = builder(runtime)
    _must([*command, "build", "--source-dir", str(source), "--output-filepath", str(path)], runtime)
    _make_reproducible(path)
    _must([*command, "validate", str(path)], runtime)
    return path


def publish(runtime: Runtime, folder: Path, source: Path = ROOT) -> Path:
    """Build the extension and write a static repository that holds it; returns the zip's path.

    The folder is replaced as a whole, and only when all of it was made.

    Args:
        runtime: The Blender whose builder is used.
        folder: Gets `index.json`, which Blender reads, `index.html` for people, and the zip.
        source: The folder with the manifest.

    Raises:
        PackageError: With what the builder said.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        new = Path(temporary, folder.name)
        path = build(runtime, new, source)
        _must([*builder(runtime), "server-generate", "--repo-dir", str(new)], runtime)
        extensions = json.loads((new / "index.json").read_text(encoding="utf-8"))["data"]
        if [extension["archive_url"] for extension in extensions] != [f"./{path.name}"]:
            raise PackageError(f"Blender's index.json should list {path.name} alone: {extensions}")
        (new / "index.html").write_text(page(extensions[0]), encoding="utf-8", newline="\n")
        if folder.exists():
            shutil.rmtree(folder)
        new.replace(folder)
    return folder / path.name


def _make_reproducible(path: Path) -> None:
    """Rewrite a zip so that the same contents are the same bytes, with the same zlib.

    Blender's builder keeps the order of the disk and each file's own time and permissions.
    """
    new = path.with_suffix(".new")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(new, "w", compresslevel=9) as archive:
        for member in sorted(old.infolist(), key=lambda member: member.filename):
            info = zipfile.ZipInfo(member.filename)  # of 1 January 1980, the oldest a zip can hold
            info.compress_type = member.compress_type
            info.create_system, info.external_attr = 3, 0o100644 << 16  # Unix, a plain file
            archive.writestr(info, old.read(member), compresslevel=9)
    new.replace(path)


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
        path = publish(ensure(), ROOT / "build" / "repository")
    except (NotAvailableError, PackageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB, valid")
    print(f"{path.parent.relative_to(ROOT)}/: a repository, ready for any web server")
    return 0


if __name__ == "__main__":
    sys.exit(main())
