# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports bpy, never torch): texts with values in them, in the editor's language.

Blender translates the texts of labels, buttons, fields and reports, and finds no translation for
one that holds a name or a number. So the text is translated first, and the values come in after.
The functions have the names that Blender's own scripts use, because its collector of texts to
translate looks for calls of these.

What the engine says comes as finished English sentences, and stays so.
"""

from __future__ import annotations

from bpy.app.translations import pgettext_iface, pgettext_n, pgettext_rpt

n_ = pgettext_n
"""Marks a text that is translated later."""


def iface_(text: str, **values: object) -> str:
    """A text of the interface, with values where it has their names in braces."""
    return _filled(pgettext_iface(text), text, values)


def rpt_(text: str, **values: object) -> str:
    """A report or an error, as `iface_`."""
    return _filled(pgettext_rpt(text), text, values)


def _filled(translated: str, text: str, values: dict[str, object]) -> str:
    if not values:
        return translated
    try:
        return translated.format(**values)
    except (LookupError, ValueError, AttributeError):  # a mistake of whoever translated it
        return text.format(**values)
