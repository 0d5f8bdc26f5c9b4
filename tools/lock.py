# SPDX-License-Identifier: GPL-3.0-or-later
"""Stdlib only: writes every hashed lock file of the project from its direct requirements.

    python tools/lock.py                         # all locks
    python tools/lock.py --only engine           # engine, dev or blender
    python tools/lock.py --cpu-wheel FILE.whl    # also record this CPU build of torch
    python tools/lock.py --cpu-build TAG=sha256:…    # the same by its published hash

Needs ``uv`` (a program, ``--uv PATH`` when it is not on PATH) and a package index; only the person
who changes a version runs it. Everybody else installs the results with pip::

    pip install --require-hashes --only-binary=:all: -r vendor/locks/common.txt \\
        -r vendor/locks/torch-cpu.txt            # or torch-cuda.txt

One file cannot serve both builds of torch: with both hashes on ``torch==2.13.0`` pip takes the
index's CUDA build. The index lists no CPU build for Linux, so its hashes come from wheel files
(``--cpu-wheel``), or from where it is published (``--cpu-build``: a wrong one can only cause a
refusal); those recorded before are kept as long as the version is the same.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "vendor" / "locks"
BLENDER_LOCKS = ROOT / "tools" / "blender_locks"
LICENCE = "# SPDX-License-Identifier: GPL-3.0-or-later\n"
TORCH_SIDE = re.compile(r"^(torch==|triton==|nvidia-|cuda-)")
BLENDER_WHEELS = {  # release series -> (bpy release, Python it is built for)
    "4.2": ("4.2.22", "3.11"),
    "4.5": ("4.5.15", "3.11"),
    "5.0": ("5.0.1", "3.11"),
    "5.2": ("5.2.3", "3.13"),
}
BLENDER_NUMPY = {"4.2": "numpy==1.26.4"}  # its wheel sets no limit, but was built with NumPy 1


def compile_lock(
    uv: str, source: str, *, python: str = "3.11", constraints: tuple[Path, ...] = ()
) -> list[str]:
    """Resolve requirements for all platforms; one list entry per locked requirement."""
    command = [uv, "pip", "compile", "--universal", "--generate-hashes", "--no-header"]
    command += ["--no-annotate", "--quiet", "--only-binary", ":all:"]
    command += ["--fork-strategy", "fewest", "--python-version", python]
    for constraint in constraints:
        command += ["--constraint", str(constraint)]
    result = subprocess.run(
        [*command, "-"], cwd=ROOT, input=source, text=True, capture_output=True, check=False
    )
    if result.returncode:
        raise SystemExit(f"uv could not resolve the requirements:\n{result.stderr.strip()}")
    blocks = re.split(r"\n(?=\S)", result.stdout.strip())
    return [block for block in blocks if not block.startswith(("#", "-"))]


def write(path: Path, comment: str, blocks: list[str]) -> None:
    """Write one lock file with its licence line and a comment of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = "".join(f"# {line}".rstrip() + "\n" for line in comment.strip().splitlines())
    path.write_text(LICENCE + notes + "\n".join(blocks) + "\n", encoding="utf-8", newline="\n")
    print(f"{path.relative_to(ROOT)}: {len(blocks)} packages")


def recorded_cpu_builds(path: Path, version: str) -> dict[str, str]:
    """Hash -> platform tag of the CPU builds that an earlier lock file of this version names."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if f"torch=={version}+cpu" not in text:
        return {}
    pairs = re.findall(r"^# (cp\S+) (sha256:\w+)$", text, re.MULTILINE)
    return {digest: tag for tag, digest in pairs}


def hash_cpu_wheel(wheel: Path, version: str) -> tuple[str, str]:
    """Return (hash, platform tag) of one CPU wheel file; refuse any other file."""
    match = re.fullmatch(rf"torch-{re.escape(version)}(?:\+|%2B)cpu-(.+)\.whl", wheel.name)
    if match is None:
        raise SystemExit(f"{wheel.name} is not a wheel named torch-{version}+cpu-….whl")
    with wheel.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}", match[1]


def parse_cpu_build(build: str) -> tuple[str, str]:
    """Return (hash, platform tag) of TAG=sha256:HASH; refuse anything else."""
    match = re.fullmatch(r"(cp\S+)=(sha256:[0-9a-f]{64})", build)
    if match is None:
        raise SystemExit(f"{build} is not a platform tag, =, sha256: and 64 hexadecimal digits.")
    return match[2], match[1]


def lock_engine(uv: str, cpu_wheels: list[Path], cpu_builds: list[str]) -> None:
    """Write common.txt, torch-cpu.txt and torch-cuda.txt."""
    source = (ROOT / "vendor" / "engine.in").read_text(encoding="utf-8")
    blocks = compile_lock(uv, source)
    torch = next(block for block in blocks if block.startswith("torch=="))
    version = torch.split("==")[1].split()[0]
    cpu = recorded_cpu_builds(LOCKS / "torch-cpu.txt", version)
    cpu.update(hash_cpu_wheel(wheel, version) for wheel in cpu_wheels)
    cpu.update(parse_cpu_build(build) for build in cpu_builds)
    if not cpu:
        raise SystemExit(f"No CPU build of torch {version} is known: name one with --cpu-wheel.")

    write(
        LOCKS / "common.txt",
        "Everything but torch and what torch brings for CUDA; made by tools/lock.py.\n"
        "Run on: CPython 3.11, Linux x86_64. Never run on: CPython 3.12 and 3.13, Linux aarch64,\n"
        "Windows, macOS 14 or later on Apple silicon (resolved for them).",
        [block for block in blocks if not TORCH_SIDE.match(block)],
    )
    write(
        LOCKS / "torch-cuda.txt",
        "torch as the package index serves it; made by tools/lock.py. On Linux that is the CUDA\n"
        "build (about 8 GB installed). On Windows and macOS it is the CPU (macOS: MPS) build: a\n"
        "CUDA build for Windows is on an index of its own and is not locked here.\n"
        "Never run on: Windows, macOS, Linux aarch64 (resolved for them).",
        [block for block in blocks if TORCH_SIDE.match(block)],
    )
    hashes = " \\\n".join(f"    --hash={digest}" for digest in sorted(cpu))
    tags = "\n".join(f"{tag} {digest}" for digest, tag in sorted(cpu.items()))
    plain = torch.replace(f"torch=={version}", f"torch=={version} ; sys_platform != 'linux'", 1)
    write(
        LOCKS / "torch-cpu.txt",
        "torch without CUDA; made by tools/lock.py. Linux: the CPU build, which the package index\n"
        "does not serve; an extra index or folder of the user's does. Known builds for Linux:\n"
        f"{tags}\n"
        "Any other Python or processor on Linux needs its own hash (tools/lock.py --cpu-wheel).\n"
        "Run on: CPython 3.11, x86_64. The other hashes for Linux are as published by many others\n"
        "and were not recomputed here. Never run on: Windows, macOS (the index's build for them\n"
        "has no CUDA).",
        [f"torch=={version}+cpu ; sys_platform == 'linux' \\\n{hashes}", plain],
    )


def lock_dev(uv: str) -> None:
    """Write requirements-dev.txt, so that it installs on top of the engine's environment."""
    blocks = compile_lock(
        uv,
        (ROOT / "requirements-dev.in").read_text(encoding="utf-8"),
        constraints=(LOCKS / "common.txt",),
    )
    write(
        ROOT / "requirements-dev.txt",
        "Developers' tools on top of the engine's environment; made by tools/lock.py from\n"
        "requirements-dev.in: pip install --require-hashes -r requirements-dev.txt",
        blocks,
    )


def lock_blender(uv: str) -> None:
    """Write one lock per Blender release that has a ``bpy`` wheel."""
    developer_tools = (ROOT / "requirements-dev.in").read_text(encoding="utf-8").splitlines()
    pytest = next(line for line in developer_tools if line.startswith("pytest=="))
    for series, (release, python) in BLENDER_WHEELS.items():
        source = f"bpy=={release}\n{pytest}\n{BLENDER_NUMPY.get(series, '')}\n"
        write(
            BLENDER_LOCKS / f"bpy-{series}.txt",
            f"Blender {release} as a Python module, for CPython {python}; made by tools/lock.py.",
            compile_lock(uv, source, python=python),
        )


def main(arguments: list[str]) -> int:
    """Parse the command line and write the locks asked for."""
    parser = argparse.ArgumentParser(description="Write the hashed lock files.")
    parser.add_argument("--only", choices=("engine", "dev", "blender"))
    parser.add_argument("--uv", default=shutil.which("uv"), help="the uv program")
    parser.add_argument("--cpu-wheel", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--cpu-build", action="append", default=[], metavar="TAG=HASH")
    options = parser.parse_args(arguments)
    if options.uv is None:
        parser.error("uv is not on PATH: pip install uv, or name it with --uv PATH")
    if options.only in (None, "engine"):
        lock_engine(options.uv, options.cpu_wheel, options.cpu_build)
    if options.only in (None, "dev"):
        lock_dev(options.uv)
    if options.only in (None, "blender"):
        lock_blender(options.uv)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
