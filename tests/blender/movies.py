"""Movies as other programs make them, written with the engine's packages."""

import subprocess
from pathlib import Path

import pytest

from tests.blender.conftest import ROOT

SCRIPT = """
import sys
from fractions import Fraction
import av, numpy as np
path, fps, *times = sys.argv[1], *map(int, sys.argv[2:])
with av.open(path, "w") as container:
    stream = container.add_stream("libx264", rate=fps)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    stream.options = {"bf": "2"}
    for number, time in enumerate(times):
        pixels = np.full((48, 64, 3), 10 * number + 20, np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = time, Fraction(1, fps)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
"""


def make_grey_movie(path: Path, times: list[int], *, fps: int = 24) -> Path:
    """Frame n is grey, brightness 10·n + 20, and shown from times[n] frames on."""
    python = ROOT / ".venv/bin/python"
    if not python.exists():
        pytest.skip("the movie is made with the engine's packages, and .venv is not there")
    command = [str(python), "-c", SCRIPT, str(path), str(fps), *map(str, times)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "No module named 'av'" in made.stderr:
        pytest.skip("the movie is made with PyAV, which .venv does not have")
    assert made.returncode == 0, made.stderr
    return path
