# SPDX-License-Identifier: GPL-3.0-or-later
"""A Blender with a profile of its own, as a user's: subscribes to a repository, installs, updates.

python tests/blender/subscriber.py online|offline URL    # BLENDER_USER_RESOURCES: the profile

For each line of input it looks for what is new and installs or updates, and answers with a line of
JSON: what is enabled, its version, and what was refused.
"""

import json
import sys

import bpy

NAME = "site"
MODULE = f"bl_ext.{NAME}.delta_strip"


def subscribe(url: str) -> str:
    """The folder of the new repository, which is the only one that can be asked for anything."""
    bpy.ops.preferences.extension_repo_add(type="REMOTE", name=NAME, remote_url=url)
    repositories = bpy.context.preferences.extensions.repos
    for repository in repositories:
        repository.enabled = repository.name == NAME
    return repositories[NAME].directory


def press(operator, **arguments) -> str:
    """Press a button; returns why it did nothing, empty when it worked."""
    if not operator.poll():
        return "greyed out"
    try:
        operator(**arguments)
    except RuntimeError as error:
        return str(error)
    return ""


def renew(folder: str) -> dict:
    """Refresh the listing, then install the extension, or its update."""
    addons, extensions = bpy.context.preferences.addons, bpy.ops.extensions
    refused = [press(extensions.repo_sync_all)]
    if MODULE in addons:
        refused.append(press(extensions.package_upgrade_all))
    else:
        what = {"repo_directory": folder, "pkg_id": "delta_strip", "enable_on_install": True}
        refused.append(press(extensions.package_install, **what))
    engine = sys.modules.get(f"{MODULE}.engine")
    return {
        "enabled": MODULE in addons and hasattr(bpy.types.Scene, "delta_strip"),
        "version": getattr(engine, "__version__", None),
        "refused": refused,
    }


if __name__ == "__main__":
    access, url = sys.argv[1:]
    bpy.context.preferences.system.use_online_access = access == "online"
    folder = subscribe(url)
    for _ in sys.stdin:
        print(json.dumps(renew(folder)), flush=True)
