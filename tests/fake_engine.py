# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the engine process (stdlib only): `python tests/fake_engine.py SCENARIO`.

It speaks through the real protocol, and where it behaves, through the real server. Scenarios:

- normal: a valid result: frames copied from PNG sources, else grey pictures
- slow: like normal, FAKE_ENGINE_STEPS steps of FAKE_ENGINE_STEP_SECONDS each
- crash, killed, exit_zero: ends at step FAKE_ENGINE_AT with code 7, by SIGKILL, or with code 0
- out_of_memory, bug: the job fails with that code, or with an unexpected exception
- stray_output: prints from Python, a child process and C's stdout while it works
- long_native_call: one uninterruptible call of 60 s in the middle of the job
- no_hello, no_ready, ready_failure: never says hello, never ready, or fails while preparing
- other_version, garbage, not_utf8, partial_line, endless_line: breaks the protocol in the job
- silence, closed_output, ignored_cancel: hangs in the job, without output, deaf to messages
- wrong_job: ends a job that it was not given
- grandchild: ends at once and leaves a child that keeps its output open

FAKE_ENGINE_SIZE (64x48) is the size of the pictures it makes. FAKE_ENGINE_RECORDING is a folder of
an edit that was made before, whose frames/ and previews/ it shows instead of its own.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine import job_store, server
from engine.errors import DeviceError, OutOfMemoryError
from engine.job import EditJob
from engine.protocol import TO_ENGINE, Done, Message, Ready, Run, Stage, decode, encode
from engine.reporter import Reporter
from engine.schema import dumps

STEPS = int(os.environ.get("FAKE_ENGINE_STEPS", "5"))
STEP_SECONDS = float(os.environ.get("FAKE_ENGINE_STEP_SECONDS", "0.01"))
AT = int(os.environ.get("FAKE_ENGINE_AT", "3"))
SIZE = os.environ.get("FAKE_ENGINE_SIZE", "64x48")
RECORDING = os.environ.get("FAKE_ENGINE_RECORDING", "")
READY = Ready("cpu", "none", 0)


def png(width: int, height: int, grey: int) -> bytes:
    """A valid grey RGB picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    rows = (b"\0" + bytes([grey]) * (3 * width)) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def write_frames(job: EditJob, job_dir: Path) -> tuple[int, int]:
    """frames/000001.png …; returns width and height."""
    frames = job_dir / job_store.FRAMES
    frames.mkdir(exist_ok=True)
    width, height = map(int, SIZE.split("x"))
    folder = job_store.resolve(job_dir, job.source.path)
    for number, index in enumerate(job.source.frames, 1):
        target = frames / f"{number:06}.png"
        source = folder / job.source.files[index] if job.source.kind == "images" else folder
        if RECORDING:
            source = Path(RECORDING, job_store.FRAMES, f"{index + 1:06}.png")
        if source.suffix.lower() == ".png":
            shutil.copyfile(source, target)
            width, height = struct.unpack(">II", source.read_bytes()[16:24])
        else:
            target.write_bytes(png(width, height, 255 * number // job.frame_count))
    return width, height


def preview(step: int) -> bytes:
    """A picture of how far the job is."""
    recorded = sorted(Path(RECORDING, "previews").glob("*.png")) if RECORDING else []
    if recorded:
        return recorded[(step - 1) * len(recorded) // STEPS].read_bytes()
    return png(32, 36, 255 * step // STEPS)


def run_job(job_dir: Path, reporter: Reporter) -> Path:
    """A job as the scenario wants it."""
    job = job_store.load(job_dir)
    reporter.stage("loading")
    reporter.stage("encoding")
    reporter.stage("editing")
    began = time.monotonic()
    for step in range(1, STEPS + 1):
        reporter.check_cancelled()
        time.sleep(STEP_SECONDS)
        reporter.progress(step, STEPS)
        job_store.write_atomic(job_dir / job_store.CHECKPOINT, f"step {step}")
        job_store.write_atomic(job_dir / job_store.PREVIEW, preview(step))
        reporter.preview(job_dir / job_store.PREVIEW)
        if step == AT:
            misbehave()
    reporter.stage("decoding")
    width, height = write_frames(job, job_dir)
    reporter.stage("writing")
    result = {"version": 1, "engine": "fake", "job": job.to_plain(), "steps": STEPS}
    result |= {"frame_count": job.frame_count, "width": width, "height": height}
    result |= {"warnings": [], "machine": {"device": "fake"}}
    result |= {"working_width": width, "working_height": height}
    seconds = {"loading": 2.0, "encoding": 0.5, "decoding": 0.25, "writing": 0.25}
    result["seconds"] = seconds | {"editing": time.monotonic() - began}
    job_store.write_atomic(job_dir / job_store.RESULT, dumps(result))
    job_store.remove(job_dir / job_store.CHECKPOINT)
    return job_dir / job_store.RESULT


def misbehave() -> None:
    """What the scenario does in the middle of the job."""
    if SCENARIO == "crash":
        sys.stderr.write("fatal: the fake engine fell over\n")
        sys.stderr.flush()
        os._exit(7)
    elif SCENARIO == "exit_zero":
        os._exit(0)
    elif SCENARIO == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif SCENARIO == "out_of_memory":
        raise OutOfMemoryError("8 GB are needed, 2 GB are free.", hint="Edit a smaller size.")
    elif SCENARIO == "bug":
        raise ZeroDivisionError("on purpose")
    elif SCENARIO == "stray_output":
        print("a stray print", flush=True)
        subprocess.run([sys.executable, "-c", "print('a stray child')"], check=True)
        libc = ctypes.CDLL(None)
        libc.puts(b"a stray line of C")
        libc.fflush(None)
    elif SCENARIO == "long_native_call":
        ctypes.CDLL(None).sleep(60)


def prepare() -> Ready:
    """What an engine does between hello and ready."""
    if SCENARIO == "no_ready":
        time.sleep(600)
    if SCENARIO == "ready_failure":
        raise DeviceError("The device is on fire.", hint="Put it out.")
    return READY


def raw(text: bytes) -> None:
    """Write to stdout past all rules."""
    while text:
        text = text[os.write(1, text) :]


def send(message: Message) -> None:
    """Write a valid message."""
    raw(encode(message).encode())


def hang() -> NoReturn:
    """Do nothing, and read nothing, until killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(600)


def serve_badly() -> None:
    """Behave until a job comes, then break the protocol."""
    if SCENARIO == "no_hello":
        hang()
    send(server.hello())
    send(READY)
    if SCENARIO == "grandchild":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
        Path("grandchild").write_text(str(child.pid), encoding="utf-8")
        os._exit(5)
    for line in sys.stdin.buffer:
        message = decode(line.decode(), TO_ENGINE)
        if isinstance(message, Run):
            send(Stage(message.job, "editing"))
            break_protocol(message)
            hang()


def break_protocol(message: Run) -> None:
    """Send what no engine may send."""
    if SCENARIO == "other_version":
        raw(
            encode(Stage(message.job, "editing"))
            .replace('"protocol": 1', '"protocol": 99')
            .encode()
        )
    elif SCENARIO == "garbage":
        raw(b"Segmentation fault (core dumped)\n")
    elif SCENARIO == "not_utf8":
        raw(b"\xff\xfe\xfd\n")
    elif SCENARIO == "partial_line":
        raw(encode(Done(message.job, "x")).encode()[:30])
        os._exit(1)
    elif SCENARIO == "endless_line":
        while True:
            raw(b"x" * 65536)
    elif SCENARIO == "closed_output":
        os.close(1)
    elif SCENARIO == "wrong_job":
        send(Done("/some/other/job", "x"))


BROKEN = (
    "no_hello",
    "other_version",
    "garbage",
    "not_utf8",
    "partial_line",
    "endless_line",
    "silence",
    "closed_output",
    "ignored_cancel",
    "wrong_job",
    "grandchild",
)

if __name__ == "__main__":
    SCENARIO = sys.argv[1]
    if SCENARIO in BROKEN:
        serve_badly()
    else:
        idle = float(os.environ.get("FAKE_ENGINE_IDLE_SECONDS", "600"))
        sys.exit(
            server.serve(
                run_job,
                prepare=prepare,
                unload=lambda: print("unloaded", file=sys.stderr, flush=True),
                idle_seconds=idle,
            )
        )
