# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender (imports stdlib only, also on its own): keyframes and drivers of strips, in 4.2 … 5.2.

They belong to the scene and name the strip in their path. Newer names are tried first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def curve_lists(scene: Any) -> Iterator[Any]:
    """Every collection of F-curves of a scene: of its action, of actions in tracks, its drivers."""
    data = scene.animation_data
    if data is None:
        return
    for user in (data, *(strip for track in data.nla_tracks for strip in track.strips)):
        if user.action is not None and hasattr(user, "action_slot"):  # 4.4 on
            layers = user.action.layers if user.action_slot else ()
            bags = (s.channelbag(user.action_slot) for layer in layers for s in layer.strips)
            yield from (bag.fcurves for bag in bags if bag is not None)
        elif user.action is not None:
            yield user.action.fcurves
    yield data.drivers


def curves_of(strip: Any) -> list[tuple[Any, Any, str]]:
    """F-curves and drivers of a strip: their collection, the curve, its path in the strip.

    A list, because a curve that the caller removes must not be looked at any more.
    """
    prefix = strip.path_from_id() + "."
    return [
        (curves, curve, curve.data_path.removeprefix(prefix))
        for curves in curve_lists(strip.id_data)
        for curve in curves
        if curve.data_path.startswith(prefix)
    ]


def may_act(strip: Any, modifier: Any) -> bool:
    """Whether a modifier is on, or may be on other frames."""
    path = modifier.path_from_id().removeprefix(strip.path_from_id() + ".") + ".mute"
    return not modifier.mute or any(found == path for _, _, found in curves_of(strip))


def is_animated(strip: Any, names: Iterable[str]) -> bool:
    """Whether one of these properties, or a property in them, is keyframed or driven."""
    return any(path.partition(".")[0] in names for _, _, path in curves_of(strip))


def copy_curve(curves: Any, curve: Any, path: str) -> None:
    """Animate another property as this curve of the collection does its own."""
    if left_over := curves.find(path, index=curve.array_index):
        curves.remove(left_over)
    if hasattr(curves, "from_existing"):  # drivers
        curves.from_existing(src_driver=curve).data_path = path
    elif hasattr(curves, "new_from_fcurve"):  # 5.0 on
        curves.new_from_fcurve(curve, data_path=path)
    else:
        copy = curves.new(path, index=curve.array_index)
        copy.extrapolation, copy.mute = curve.extrapolation, curve.mute
        copy.keyframe_points.add(len(curve.keyframe_points))
        for one, other in zip(curve.keyframe_points, copy.keyframe_points, strict=True):
            _copy_values(one, other)
        for modifier in curve.modifiers:
            _copy_values(modifier, copy.modifiers.new(modifier.type))


def _copy_values(one: Any, other: Any) -> None:
    for prop in one.bl_rna.properties:
        if not prop.is_readonly:
            setattr(other, prop.identifier, getattr(one, prop.identifier))
