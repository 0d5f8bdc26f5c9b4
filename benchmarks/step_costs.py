# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step of each method costs, in passes of the U-Net: operations counted by torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.backbones.image_mode import ImageMode
from engine.backbones.text_to_video import TextToVideo
from engine.editing.state import Clip
from engine.guidance.base import WindowStep
from engine.guidance.methods import make_guidance
from engine.guidance.randomness import frame_noise
from engine.job import EditSettings, Method, with_settings


def flops(work: Callable[[], object]) -> int:
    """Floating-point operations of some work, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def step_costs(backbone: TextToVideo, clip: Clip, prompts: tuple[str, str]) -> dict[str, float]:
    """What a step on one window costs, in passes of the U-Net, by method."""
    z = clip.z_source
    noise = frame_noise(0, 1, clip.media_frames, (z.shape[1], z.shape[2], z.shape[3]))
    step = WindowStep(z, z + 0.1, clip.mask, noise, timestep=400)
    text = backbone.embed(prompts[:1])
    with torch.no_grad():
        one = flops(lambda: backbone.noise_pred(z[None], step.timestep, text))

    def cost(method: Method, settings: EditSettings, *, is_kept: bool = False) -> float:
        guidance = make_guidance(
            method, backbone, prompts, settings, image_backbone=ImageMode(backbone)
        )
        weights = (1.0, 1.0) if method == "dreammotion" else ()
        kept = guidance.reference(step, weights) if is_kept else None
        return flops(lambda: guidance.gradient(step, weights, kept)) / one

    plain = EditSettings()
    alone = with_settings(plain, assd={"image_weight": 0.0})
    return {
        "`sds`": cost("sds", plain),
        "`dds`": cost("dds", plain),
        "`dds`, a second edit of a clip": cost("dds", plain, is_kept=True),
        "`dreammotion`": cost("dreammotion", plain),
        "`assd` without image guidance": cost("assd", alone),
        "`assd` with the demo's image mode": cost("assd", plain),
    }


def cost_lines(backbone: TextToVideo, clip: Clip, prompts: tuple[str, str]) -> list[str]:
    """The page's table of what a step costs."""
    costs = step_costs(backbone, clip, prompts)
    lines = [
        "A step on one window, floating-point operations counted by torch, in passes of the U-Net"
        " over that window (one branch, no gradient); torch does not count attention itself on a"
        " CPU, of which `assd` has more in its fused layers:",
        "",
        "| method | passes |",
        "|---|---|",
    ]
    return [*lines, *(f"| {name} | {cost:.2f} |" for name, cost in costs.items())]
