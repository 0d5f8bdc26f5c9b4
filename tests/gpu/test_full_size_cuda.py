# SPDX-License-Identifier: GPL-3.0-or-later
"""Every method on models of the published size, with random weights: does it fit, is it finite?"""

import pytest
import torch

from engine.backbones.loading import LoadedBackbones, image_backbone_for
from engine.registry import known_models, read_card
from tests.engine.folders import PUBLISHED, write_folder
from tests.engine.on_device import METHODS, short_edit

NEEDED_GIB = 60
"""DreamMotion without checkpointing keeps about 21 GB beside 7 GB of weights (an estimate)."""

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(
        torch.cuda.is_available() and torch.cuda.mem_get_info()[1] < NEEDED_GIB * 2**30,
        reason=f"the CUDA device has less than {NEEDED_GIB} GiB",
    ),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Zeroscope's configuration and Stable Diffusion 1.5's, saved in half precision."""
    root = tmp_path_factory.mktemp("models")
    options = {"device": torch.device("cuda"), "dtype": torch.bfloat16}
    loaded = LoadedBackbones()
    folders = [
        write_folder(root / kind, kind, sizes=PUBLISHED, dtype=torch.float16)
        for kind in ("text_to_video", "stable_diffusion")
    ]
    before = torch.cuda.memory_allocated()
    video = loaded.get(read_card(folders[0]), **options)
    weights = (torch.cuda.memory_allocated() - before) / 1e9
    listed = next(model for model in known_models() if model.id == "zeroscope")
    assert weights == pytest.approx(listed.memory_gigabytes, abs=0.1)
    return video, image_backbone_for(video, str(folders[1]), loaded, **options)


@pytest.mark.parametrize(
    ("method", "checkpointing"),
    [*((method, False) for method in METHODS), ("dreammotion", True)],
)
def test_three_steps_are_finite(models, method, checkpointing, capsys):
    """16 frames of 576 × 320."""
    video, image = models
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    state = short_edit(
        video, image, method, frames=16, width=576, height=320, checkpointing=checkpointing
    )
    assert state.step == 3
    assert state.z_target.isfinite().all()
    assert all(norm > 0 for norm in state.update_norms)
    peak = torch.cuda.max_memory_allocated() / 2**30
    saving = " with checkpointing" if checkpointing else ""
    with capsys.disabled():
        print(f"\n{method}{saving}: peak {peak:.1f} GiB on {torch.cuda.get_device_name()}")
