# SPDX-License-Identifier: GPL-3.0-or-later
"""Captions: a small grammar that names everything visible, and its synonyms. Imports numpy only.

a [size] COLOUR SHAPE MOTION [and a [size] COLOUR SHAPE MOTION] over BACKGROUND
[, camera CAMERA] [, LIGHT]
"""

from __future__ import annotations

import numpy as np

from demo.backgrounds import BACKGROUNDS
from demo.motion import MOTIONS
from demo.shapes import SHAPES
from demo.spec import COLORS, SIZES, Body, ClipSpec

LIGHTS = {"darker": "getting darker", "brighter": "getting brighter", "flickering": "flickering"}
# What else the world's words are called; the first word of a caption's own is the usual one.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "ball": ("sphere",),
    "square": ("box",),
    "red": ("scarlet",),
    "purple": ("violet",),
    "yellow": ("golden",),
    "small": ("little", "tiny"),
    "big": ("large",),
    "huge": ("giant",),
    "moving": ("gliding", "sliding"),
    "standing still": ("resting",),
    "grass": ("a lawn", "a meadow"),
    "sky": ("the sky",),
    "bricks": ("a brick wall",),
    "sand": ("a beach",),
    "water": ("the sea",),
    "night": ("a night sky",),
    "over": ("on", "in front of"),
    "getting darker": ("fading",),
}
# How often a paraphrase takes a synonym where there is one, and leaves a part out.
SYNONYM_SHARE = 0.25
OMISSION_SHARE = 0.12


def caption(spec: ClipSpec) -> str:
    """The clip in the grammar's usual words."""
    return _sentence(spec, rng=None)


def paraphrase(spec: ClipSpec, rng: np.random.Generator) -> str:
    """The clip as a person might put it: synonyms, and now and then a part left out.

    The object's colour and shape are always named.
    """
    return _sentence(spec, rng=rng)


def vocabulary() -> list[str]:
    """Every word of the grammar, sorted."""
    texts = ["a an and over camera panning zooming in out left right up down ,"]
    texts += [*COLORS, *SHAPES, *BACKGROUNDS, *SIZES, *MOTIONS.values(), *LIGHTS.values()]
    texts += [word for words in SYNONYMS.values() for word in words]
    return sorted({word for text in texts for word in text.split()})


def words_of_shapes_and_ways() -> list[str]:
    """What objects and the ways they move are called, synonyms included; sorted."""
    texts = [*SHAPES, *(word for shape in SHAPES for word in SYNONYMS.get(shape, ()))]
    for motion in MOTIONS.values():
        verb, _, way = motion.partition(" ")
        texts += [verb, way, *SYNONYMS.get(verb, ()), *SYNONYMS.get(motion, ())]
    return sorted({word for text in texts for word in text.split()} - {"in", "a"})


def _sentence(spec: ClipSpec, rng: np.random.Generator | None) -> str:
    def kept(text: str) -> str:
        return "" if rng is not None and rng.random() < OMISSION_SHARE else text

    bodies = [spec.body] if spec.companion is None else [spec.body, spec.companion]
    text = " and ".join(_thing(body, rng) for body in bodies)
    text += kept(f" {_said('over', rng)} {_said(spec.background, rng)}")
    text += kept(camera_words(spec))
    if spec.light != "steady":
        text += kept(f", {_said(LIGHTS[spec.light], rng)}")
    return text


def camera_words(spec: ClipSpec) -> str:
    """How the camera moves, led by a comma; nothing for a still one."""
    words = ""
    if spec.pan != (0, 0):
        words += f", camera panning {'right' if spec.pan[0] > 0 else 'left'}"
    if spec.zoom != 1:
        words += f", camera zooming {'in' if spec.zoom > 1 else 'out'}"
    return words


def _thing(body: Body, rng: np.random.Generator | None) -> str:
    verb, _, way = MOTIONS[body.motion].partition(" ")
    motion = _said(MOTIONS[body.motion], rng)
    if motion == MOTIONS[body.motion]:
        motion = f"{_said(verb, rng)} {way}"
    if rng is not None and rng.random() < OMISSION_SHARE:
        motion = ""
    words = [_said(body.size, rng), _said(body.color, rng), _said(body.shape, rng), motion]
    text = " ".join(word for word in words if word)
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def _said(word: str, rng: np.random.Generator | None) -> str:
    """The word or, sometimes, one of its synonyms."""
    others = SYNONYMS.get(word, ())
    if rng is None or not others or rng.random() >= SYNONYM_SHARE:
        return word
    return others[rng.integers(len(others))]
