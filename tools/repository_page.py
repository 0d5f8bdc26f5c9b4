# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: the page that people see at the address of the extension's repository."""

from __future__ import annotations

import html
from pathlib import Path
from string import Template
from typing import Any

TEMPLATE = Path(__file__).with_suffix(".html")


def blender_versions(extension: dict[str, Any]) -> str:
    """`4.2.0 or newer`, and the first version that is too new, where there is one."""
    newest = extension.get("blender_version_max")
    limit = f", before {newest}" if newest else ""
    return f"{extension['blender_version_min']} or newer{limit}"


def page(extension: dict[str, Any]) -> str:
    """The HTML of a repository with one extension.

    Args:
        extension: Its entry in the `data` of Blender's `index.json`.
    """
    size = extension["archive_size"]
    permissions = extension.get("permissions", {})
    texts = {
        **{key: extension[key] for key in ("name", "version", "tagline", "maintainer")},
        "archive_url": extension["archive_url"],
        "file": extension["archive_url"].removeprefix("./"),
        "blender": blender_versions(extension),
        "license": ", ".join(entry.removeprefix("SPDX:") for entry in extension["license"]),
        "permissions": "; ".join(f"{key}: {why}" for key, why in permissions.items()) or "none",
        "size": f"{size / 1e6:.1f} MB ({size} bytes)",
        "sha256": extension["archive_hash"].removeprefix("sha256:"),
    }
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute({key: html.escape(text) for key, text in texts.items()})
