# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for Blender's layout, which exists only while a window draws."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import bpy

ICONS = bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items


class Properties:
    """An operator's properties: those it does not have cannot be set."""

    def __init__(self, rna: Any) -> None:
        self.__dict__["rna"] = rna

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self.rna.properties, f"{self.rna.identifier}.{name}"


class Layout:
    """Notes what is drawn, and refuses what Blender would."""

    def __init__(self):
        self.texts, self.operators, self.icons, self.fields = [], [], [], []
        self.placeholders = []
        self.enabled = self.alert = True

    def column(self, *, align=False):
        return self

    row = box = column

    def split(self, *, factor=0.0, align=False):
        assert 0 <= factor <= 1
        return self

    def label(self, *, text="", icon="NONE", icon_value=0, translate=True):
        assert isinstance(text, str)
        assert icon in ICONS
        self.texts.append(text)

    def operator(self, name, *, text=None, icon="NONE", emboss=True):
        assert icon in ICONS
        group, _, operator = name.partition(".")
        known = getattr(getattr(bpy.ops, group), operator).get_rna_type()
        self.operators.append(known.identifier)
        self.texts.append(known.name if text is None else text)
        return Properties(known)

    def prop(
        self,
        data,
        name,
        *,
        text=None,
        icon="NONE",
        expand=False,
        slider=False,
        toggle=-1,
        placeholder="",
    ):
        assert icon in ICONS
        known = data.bl_rna.properties[name]
        if placeholder:  # Blender shows it in text fields alone
            assert known.type == "STRING"
            self.placeholders.append(placeholder)
        getattr(data, name)
        self.fields.append(name)
        self.texts.append(known.name if text is None else text)

    def prop_search(self, data, name, search, collection, *, text=None, icon="NONE"):
        assert collection in search.bl_rna.properties
        self.prop(data, name, text=text, icon=icon)

    def progress(self, *, factor, text):
        assert 0 <= factor <= 1
        self.texts.append(text)

    def menu(self, name, *, text=None, icon="NONE"):
        assert hasattr(bpy.types, name)
        assert icon in ICONS
        self.icons.append(icon)
        self.texts.append(name if text is None else text)

    def popover(self, *, panel, text="", icon="NONE"):
        assert hasattr(bpy.types, panel)
        assert icon in ICONS

    def template_list(self, kind, _id, data, lines, active, index, rows, maxrows):
        assert hasattr(bpy.types, kind)
        for line in getattr(data, lines):
            cls = getattr(bpy.types, kind)
            cls.draw_item(SimpleNamespace(), None, self, data, line, 0, active, index)

    def template_icon(self, *, icon_value, scale):
        assert icon_value > 0
        assert scale > 1

    def separator(self):
        pass


def drawn(cls) -> Layout:
    """What a panel or menu draws."""
    layout = Layout()
    cls.draw(SimpleNamespace(layout=layout), bpy.context)
    return layout
