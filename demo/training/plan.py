# SPDX-License-Identifier: GPL-3.0-or-later
"""How the demo backbone is trained: sizes, steps, rates. Standard library only.

Everything that influences the weights is here; the same plan, number of processes and machine give
the same weights, however often the training was interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass

# Picture sizes (width, height) in px and how often they are drawn: 1:1, 16:9 and 9:16, all of about
# the same area. 16:9 footage is worked on at 85 x 48 px, padded to 96 x 48.
SIZES: tuple[tuple[int, int], ...] = ((64, 64), (80, 48), (96, 48), (48, 80), (48, 96))
SIZE_SHARES: tuple[float, ...] = (0.4, 0.15, 0.15, 0.15, 0.15)
FRAMES = 8
"""Frames the model sees at once."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One stage of training.

    Attributes:
        steps: Updates of the weights; 0 leaves them as they are.
        batch: Pictures or clips per process and step.
        learning_rate: AdamW's, after the warm-up.
        warm_up: Steps over which the learning rate rises from 0.
        decay: Share of the steps, at the end, over which it falls linearly to 1 % of itself. Before
            that it is constant, so that a stage can be given more steps later.
        average: Decay of the exponential moving average of the weights, which is what is kept.
    """

    steps: int
    batch: int
    learning_rate: float
    warm_up: int = 50
    decay: float = 0.25
    average: float = 0.998

    def rate(self, step: int) -> float:
        """Learning rate of a step, from 0."""
        rise = min(1.0, (step + 1) / self.warm_up)
        left = (self.steps - step) / max(self.steps * self.decay, 1)
        return self.learning_rate * rise * max(0.01, min(1.0, left))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole training.

    Attributes:
        seed: Of everything random.
        begin: Model whose weights the training begins with, a name or a folder; None begins with
            random ones.
        word_spread: How much farther apart than in `begin` the embeddings of words for shapes and
            motions are at first; see `models.spread_words`.
        clips: Clips that are rendered and encoded.
        first_clip: Number of the first of them, so that another training sees others.
        vae_channels: Widths of the autoencoder's three levels.
        unet_channels: Widths of the U-Net's three levels.
        text_width: Width of the text encoder and of the cross attention.
        token_limit: Tokens of a caption, start and end included.
        autoencoder: Stage 1, on single frames.
        images: Stage 2, the U-Net without its temporal layers, on single frames.
        prior: Stage 3, the whole U-Net at nearly pure noise; see `prior`.
        prior_clips: Clips of every way, background and colour whose mean stage 3 is shown, and
            frames of every shape, size, background and colour.
        video: Stage 4, the whole U-Net on clips.
        image_share: Share of stage 4's steps that train single frames as in stage 2, so that the
            image mode stays in use.
        image_cuts: Sides, in latents, of the squares around the object that stage 4's single frames
            are cut to, drawn by step; the batch grows as they shrink. Empty: whole frames.
        caption_dropout: Share of captions replaced by the empty one (classifier-free guidance).
        object_weight: How much more the error where the object is counts in stage 4 than elsewhere:
            it covers a tenth of the picture, and is what captions are about.
        object_weight_from: First step of stage 4 in which it does.
        colour_spread: Spread, in latents, of the wrong colours that stage 4 gives objects and
            backgrounds in the noise; see `denoiser.wrong_colours`. 0: none.
    """

    seed: int = 20261121
    begin: str | None = None
    word_spread: float = 1.0
    clips: int = 10_000
    first_clip: int = 0
    vae_channels: tuple[int, int, int] = (32, 64, 64)
    unet_channels: tuple[int, int, int] = (48, 96, 128)
    text_width: int = 96
    token_limit: int = 32
    autoencoder: Schedule
    images: Schedule
    prior: Schedule = Schedule(steps=0, batch=4, learning_rate=1e-3)
    prior_clips: int = 16
    video: Schedule
    image_share: float = 0.1
    image_cuts: tuple[int, ...] = ()
    caption_dropout: float = 0.1
    object_weight: float = 4.0
    object_weight_from: int = 0
    colour_spread: float = 0.0


FULL = Plan(
    autoencoder=Schedule(steps=3000, batch=16, learning_rate=2e-3, average=0.995),
    images=Schedule(steps=1600, batch=32, learning_rate=2e-3, decay=0.1, average=0.995),
    video=Schedule(steps=14_400, batch=4, learning_rate=1e-3, average=0.9985),
    object_weight_from=11025,
)
# Goes on from the installed weights, which draw colours and backgrounds right and shapes badly, on
# single frames too: these are most of its steps, and mostly object.
REFINE = Plan(
    seed=20261128,
    begin="demo",
    word_spread=6.0,
    first_clip=10_000,
    autoencoder=Schedule(steps=0, batch=16, learning_rate=2e-3),
    images=Schedule(steps=0, batch=32, learning_rate=1e-3),
    prior=Schedule(steps=900, batch=2, learning_rate=1e-3, warm_up=20, average=0.98),
    video=Schedule(steps=6800, batch=4, learning_rate=6e-4, decay=0.4, average=0.998),
    image_share=0.5,
    image_cuts=(8, 10, 12, 16),
    object_weight=6.0,
)
# Goes on from the refined weights, which take an object that has not the caption's colour for
# background where it is more like that: an edit of its colour then loses a part of it.
RECOLOUR = Plan(
    seed=20261129,
    begin="demo",
    first_clip=20_000,
    autoencoder=Schedule(steps=0, batch=16, learning_rate=2e-3),
    images=Schedule(steps=0, batch=32, learning_rate=1e-3),
    video=Schedule(steps=2750, batch=4, learning_rate=6e-4, decay=0.4, average=0.998),
    image_share=0.5,
    image_cuts=(8, 10, 12, 16),
    object_weight=6.0,
    colour_spread=1.6,
)
# Proves in a minute that every stage runs, is saved and goes on; its model knows nothing.
SMOKE = Plan(
    clips=10,
    vae_channels=(8, 8, 8),
    unet_channels=(16, 16, 16),
    text_width=16,
    autoencoder=Schedule(steps=6, batch=4, learning_rate=2e-3, warm_up=2),
    images=Schedule(steps=4, batch=4, learning_rate=1e-3, warm_up=2),
    prior=Schedule(steps=3, batch=2, learning_rate=1e-3, warm_up=2),
    prior_clips=1,
    video=Schedule(steps=4, batch=2, learning_rate=1e-3, warm_up=2),
    image_share=0.25,
    colour_spread=1.0,
)
PLANS = {"full": FULL, "refine": REFINE, "recolour": RECOLOUR, "smoke": SMOKE}
