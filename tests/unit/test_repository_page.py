# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the extension's repository: what it tells, and that it fetches nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tools.repository_page import TEMPLATE, page

EXTENSION = {
    "id": "delta_strip",
    "name": "Delta Strip",
    "tagline": "Change one thing & keep <everything> else",
    "version": "1.2.3",
    "maintainer": "The developers <us@example.org>",
    "license": ["SPDX:GPL-3.0-or-later", "SPDX:CC-BY-3.0"],
    "blender_version_min": "4.2.0",
    "permissions": {"files": "Read strips", "network": "Download on request"},
    "archive_url": "./delta_strip-1.2.3.zip",
    "archive_size": 8893700,
    "archive_hash": "sha256:" + "0f" * 32,
}


class Reader(HTMLParser):
    """The text of a page, its tags, and the values of attributes that can load something."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.open: list[str] = []
        self.tags: list[str] = []
        self.targets: list[str | None] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)
        self.targets += [value for name, value in attrs if name in ("href", "src", "action")]

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += re.sub(r"\s+", " ", data)


def read(extension: dict) -> Reader:
    reader = Reader()
    reader.feed(page(extension))
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize(
    "fact",
    [
        "Change one thing & keep <everything> else.",
        "1.2.3",
        "4.2.0 or newer",
        "GPL-3.0-or-later, CC-BY-3.0",
        "The developers <us@example.org>",
        "files: Read strips; network: Download on request",
        "8.9 MB (8893700 bytes)",
        "0f" * 32,
        "Add Remote Repository",
    ],
)
def test_the_page_tells(fact):
    assert fact in read(EXTENSION).text


def test_a_version_that_is_too_new_is_named():
    assert "4.2.0 or newer, before 6.0.0" in read(EXTENSION | {"blender_version_max": "6.0.0"}).text


def test_the_page_links_to_the_listing_and_the_zip_and_loads_nothing():
    reader = read(EXTENSION)
    assert reader.targets == ["index.json", "./delta_strip-1.2.3.zip"]
    assert {"script", "link", "img", "iframe"}.isdisjoint(reader.tags)
    assert not re.search(r"url\(|@import|//", TEMPLATE.read_text(encoding="utf-8"))


def test_a_screen_reader_finds_language_title_and_headings_in_order():
    text = page(EXTENSION)
    assert '<html lang="en">' in text
    assert "<title>Delta Strip 1.2.3 for Blender</title>" in text
    assert re.findall(r"<h(\d)>", text) == ["1", "2", "2", "2"]
