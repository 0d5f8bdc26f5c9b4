# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done alike on the CPU and on CUDA: one gradient of a method, and a few of its steps."""

import torch

from engine.backbones.image_mode import ImageMode
from engine.backbones.loading import load_backbone
from engine.editing.edit import Edit
from engine.editing.state import Clip
from engine.guidance.base import WindowStep
from engine.guidance.methods import make_guidance
from engine.guidance.randomness import frame_noise
from engine.job import EditSettings
from engine.method_settings import DreamMotionSettings
from engine.registry import find_backbone

METHODS = ["sds", "dds", "dreammotion", "assd"]
PROMPTS = ("a red ball moving right over grass", "a blue ball moving right over grass")

RELATIVE_TOLERANCE = {"sds": 2e-3, "dds": 2e-3, "dreammotion": 5e-3, "assd": 1e-2}
"""Of ‖gradient‖, float32 without TF32: convolution algorithms differ, the mathematics does not.
`dreammotion` has a backward pass more; in `assd` a few places change sides of its threshold."""


def demo_backbone(device, dtype=torch.float32):
    """The demo backbone, and its image mode."""
    card = find_backbone("demo")
    video = load_backbone(card, device=torch.device(device), dtype=dtype)
    return video, ImageMode(video)


def method_gradient(video, image, method, weights=None):
    """A method's gradient beside the source, on the CPU, and the weights of its terms.

    Args:
        video: The text-to-video model.
        image: The image model of `assd`.
        method: Its name.
        weights: Of its terms; none: measured here.
    """
    shape = (video.latent_channels, 16, 16)
    z_source, moved, noise = (
        frame_noise(0, step, range(8), shape).to(video.device) for step in (100, 101, 0)
    )
    mask = torch.ones(8, 1, 16, 16, device=video.device)
    mask[:, :, :, :4] = 0
    step = WindowStep(z_source, z_source + 0.2 * moved, mask, noise, timestep=400)
    settings = EditSettings(guidance_scale=5)
    guidance = make_guidance(method, video, PROMPTS, settings, image_backbone=image)
    if weights is None:
        weights = guidance.calibrate([step])
    return guidance.gradient(step, weights).cpu(), weights


def short_edit(video, image, method, *, frames, width, height, checkpointing=False, steps=3):
    """The state after some steps of a method on latents that are noise; nothing is calibrated.

    Args:
        video: The text-to-video model.
        image: The image model of `assd`.
        method: Its name.
        frames: Of the clip.
        width: Of the clip, in px.
        height: Of the clip, in px.
        checkpointing: Of `dreammotion`.
        steps: Of the optimisation.
    """
    factor = video.latent_factor
    shape = (video.latent_channels, height // factor, width // factor)
    clip = Clip(
        z_source=frame_noise(0, 100, range(frames), shape).to(video.device),
        mask=torch.ones(frames, 1, *shape[1:], device=video.device),
        media_frames=tuple(range(frames)),
    )
    settings = EditSettings(
        steps=steps,
        step_rule="fixed",
        use_stopping_rule=False,
        dreammotion=DreamMotionSettings(similarity_rule="fixed", checkpointing=checkpointing),
    )
    edit = Edit(
        video,
        clip,
        source_prompt=PROMPTS[0],
        target_prompt=PROMPTS[1],
        settings=settings,
        seed=0,
        method=method,
        image_backbone=image,
    )
    state = edit.start()
    while not state.is_finished:
        state = edit.advance(state)
    return state
