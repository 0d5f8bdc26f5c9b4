# SPDX-License-Identifier: GPL-3.0-or-later
"""The static repository: what is in it, and a Blender that subscribes to it over loopback."""

import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from pathlib import Path

import bpy
import pytest

from tests.blender.conftest import ROOT
from tools.blender_runtime import Runtime
from tools.package import PackageError, publish

RUNTIME = Runtime("bpy", bpy.app.version_string.split()[0], [sys.executable])
VERSION = tomllib.loads((ROOT / "blender_manifest.toml").read_text("utf-8"))["version"]


class Site:
    """A web server on loopback for one folder, and the paths that were asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                asked.append(self.path.partition("?")[0])

        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/index.json"


class Subscriber:
    """tests/blender/subscriber.py while it runs."""

    def __init__(self, access: str, url: str, profile: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-B", str(ROOT / "tests/blender/subscriber.py"), access, url],
            env=RUNTIME.env(profile) | {"NO_PROXY": "127.0.0.1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.limit = threading.Timer(300, self.process.kill)
        self.limit.start()
        self.said = ""

    def renew(self) -> dict:
        print(file=self.process.stdin, flush=True)
        self.said = ""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
            self.said += line
        pytest.fail(f"Blender ended: {self.said[-1000:]}")

    def stop(self) -> None:
        self.limit.cancel()
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "repository"
    publish(RUNTIME, folder)
    return folder


@pytest.fixture
def site(repository, tmp_path):
    site = Site(Path(shutil.copytree(repository, tmp_path / "ein Server")))
    thread = threading.Thread(target=site.server.serve_forever)
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()


@pytest.fixture
def subscribe(site, tmp_path):
    started = []

    def start(access: str) -> Subscriber:
        started.append(Subscriber(access, site.url, tmp_path / "profile"))
        return started[-1]

    yield start
    for subscriber in started:
        subscriber.stop()


def unpacked(repository: Path, folder: Path, version: str = VERSION) -> Path:
    """The extension's source, from the zip, without the weights that take long to compress."""
    with zipfile.ZipFile(next(repository.glob("*.zip"))) as archive:
        for name in archive.namelist():
            if not name.endswith(".safetensors"):
                archive.extract(name, folder)
    for path in (folder / "blender_manifest.toml", folder / "engine/__init__.py"):
        text = path.read_text(encoding="utf-8")
        assert f'"{VERSION}"' in text
        path.write_text(text.replace(f'"{VERSION}"', f'"{version}"'), encoding="utf-8")
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_listing_has_the_size_and_the_hash_of_the_zip_beside_it(repository):
    listed = json.loads((repository / "index.json").read_text(encoding="utf-8"))["data"]
    assert [(entry["id"], entry["version"]) for entry in listed] == [("delta_strip", VERSION)]
    data = (repository / listed[0]["archive_url"]).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert listed[0]["archive_size"] == len(data)
    assert listed[0]["archive_hash"] == f"sha256:{digest}"
    assert digest in (repository / "index.html").read_text(encoding="utf-8")


def test_the_same_source_gives_the_same_bytes_whatever_its_times_and_permissions(
    repository, tmp_path
):
    first = unpacked(repository, tmp_path / "first")
    second = tmp_path / "second"
    for path in sorted(first.rglob("*"), reverse=True):  # another order on the disk
        if path.is_file():
            copy = second / path.relative_to(first)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            os.utime(copy, (10**9, 10**9))
            copy.chmod(0o755)
    publish(RUNTIME, tmp_path / "a", first)
    publish(RUNTIME, tmp_path / "b", second)
    assert names(tmp_path / "a") == names(tmp_path / "b") == names(repository)
    for name in names(repository):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_failed_build_leaves_the_repository_as_it_was(repository, tmp_path):
    folder = Path(shutil.copytree(repository, tmp_path / "repository"))
    source = unpacked(repository, tmp_path / "source", "2nd")
    with pytest.raises(PackageError, match="2nd"):
        publish(RUNTIME, folder, source)
    assert names(folder) == names(repository)
    assert names(tmp_path) == {"repository", "source"}


def test_blender_installs_from_the_site_and_updates_when_a_version_is_published(
    site, subscribe, repository, tmp_path
):
    blender = subscribe("online")
    assert blender.renew() == {"enabled": True, "version": VERSION, "refused": ["", ""]}
    assert site.asked == ["/index.json", f"/delta_strip-{VERSION}.zip"]
    assert blender.renew()["version"] == VERSION
    assert site.asked[2:] == ["/index.json"]  # nothing new, so nothing more was fetched
    publish(RUNTIME, site.folder, unpacked(repository, tmp_path / "source", "99.0.0"))
    assert names(site.folder) == {"index.json", "index.html", "delta_strip-99.0.0.zip"}
    assert blender.renew() == {"enabled": True, "version": "99.0.0", "refused": ["", ""]}
    assert site.asked[3:] == ["/index.json", "/delta_strip-99.0.0.zip"]


def test_a_zip_with_one_other_byte_is_refused(site, subscribe):
    path = next(site.folder.glob("*.zip"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    blender = subscribe("online")
    assert not blender.renew()["enabled"]
    assert "Archive checksum mismatch" in blender.said


def test_nothing_is_fetched_without_online_access(site, subscribe):
    found = subscribe("offline").renew()
    assert found == {"enabled": False, "version": None, "refused": ["greyed out", "greyed out"]}
    assert site.asked == []
