# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only (imports neither bpy nor torch): NVIDIA GPUs, their driver, and what
the engine needs of them.

`nvidia-smi` comes with the driver, so all is known before anything is downloaded. It can take
seconds: call it off Blender's main thread.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .child_process import clean_environment

# Of the CUDA 13.0 packages that vendor/locks/torch-cuda.txt names: CUDA 13 needs a driver of
# release 580, and has no code for GPUs before Turing.
DRIVER_MIN = 580
CAPABILITY_MIN = (7, 5)
_SECONDS = 20.0
_FIELDS = ("name", "driver_version", "memory.total")


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU.

    Attributes:
        name: As the driver gives it.
        driver: Its version, such as ``580.65.06``.
        total_bytes: Its memory; 0 when unknown.
        capability: Compute capability, None when the driver is too old to say.
    """

    name: str
    driver: str
    total_bytes: int
    capability: tuple[int, int] | None = None

    @property
    def problem(self) -> str:
        """Why the CUDA build of torch cannot use it, in one sentence; empty when it can."""
        release = int(re.match(r"\d*", self.driver)[0] or 0)  # type: ignore[index]
        if self.capability is not None and self.capability < CAPABILITY_MIN:
            return (
                f"{self.name} has compute capability {_dotted(self.capability)}; the CUDA build "
                f"needs {_dotted(CAPABILITY_MIN)} (GeForce RTX 20 or GTX 16, and newer)."
            )
        if release and release < DRIVER_MIN:
            return (
                f"The NVIDIA driver {self.driver} is too old; the CUDA build needs {DRIVER_MIN} or "
                "newer. Update the driver."
            )
        return ""

    @property
    def description(self) -> str:
        """Name, memory and driver in a few words."""
        memory = f", {self.total_bytes / 2**30:.0f} GB" if self.total_bytes else ""
        return f"{self.name}{memory}, driver {self.driver}"


def has_nvidia_driver() -> bool:
    """Whether this machine has an NVIDIA driver loaded."""
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", "C:/Windows"), "System32", "nvcuda.dll").exists()
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidiactl").exists()


def find_gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that the driver knows; empty without a driver, or when it does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    for fields in ((*_FIELDS, "compute_cap"), _FIELDS):  # drivers before 510 lack compute_cap
        command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(
                command,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_SECONDS,
                check=False,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except (OSError, subprocess.TimeoutExpired):
            return ()
        if answer.returncode == 0:
            return parse_gpus(answer.stdout)
    return ()


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """The GPUs in what `nvidia-smi` says: name, driver, MiB, and perhaps compute capability."""
    found = []
    for line in text.splitlines():
        name, driver, memory, *rest = [*(part.strip() for part in line.split(",")), "", ""]
        if not name or not driver:
            continue
        version = re.fullmatch(r"(\d+)\.(\d+)", rest[0])
        capability = (int(version[1]), int(version[2])) if version else None
        total = int(memory) * 2**20 if memory.isdigit() else 0
        found.append(Gpu(name, driver, total, capability))
    return tuple(found)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
