# SPDX-License-Identifier: GPL-3.0-or-later
"""PNG files written and read without Blender, so that it cannot hide an error of its own."""

import struct
import zlib
from pathlib import Path

import numpy as np

WIDTH, HEIGHT = 64, 48


def frame(number: int, *, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Noise that is different for every frame, so that a wrong frame or pixel shows."""
    random = np.random.default_rng(number)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """8-bit RGB or RGBA."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels))
    header = struct.pack(">IIBBBBB", width, height, 8, {3: 2, 4: 6}[channels], 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + kind + body
        data += struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(data)


def read_png(path: Path) -> np.ndarray:
    """8-bit RGB or RGBA, not interlaced."""
    data, position, packed = path.read_bytes(), 8, b""
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        body = data[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
        packed += body if kind == b"IDAT" else b""
        position += 12 + length
    assert depth == 8
    assert interlace == 0
    channels = {2: 3, 6: 4}[colour]
    stride = width * channels
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, stride + 1)
    pixels = np.zeros((height, stride), np.uint8)
    for y in range(height):
        _unfilter(raw[y, 0], raw[y, 1:], pixels, y, channels)
    return pixels.reshape(height, width, channels)


def read_rgb(path: Path) -> np.ndarray:
    """`read_png` without alpha, which must be opaque all over."""
    pixels = read_png(path)
    assert (pixels[..., 3:] == 255).all()
    return pixels[..., :3]


def _unfilter(kind: int, line: np.ndarray, pixels: np.ndarray, y: int, channels: int) -> None:
    above = pixels[y - 1].astype(int) if y else np.zeros(line.size, int)
    if kind == 0:
        pixels[y] = line
    elif kind == 2:
        pixels[y] = (line + above) & 255
    else:
        row = np.zeros(line.size, int)
        for x in range(line.size):
            a = row[x - channels] if x >= channels else 0
            c = above[x - channels] if x >= channels else 0
            b = above[x]
            if kind == 1:
                guess = a
            elif kind == 3:
                guess = (a + b) // 2
            else:
                p = a + b - c
                guess = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            row[x] = (line[x] + guess) & 255
        pixels[y] = row


def write_sequence(folder: Path, count: int, *, first: int = 0) -> list[Path]:
    """Frames first … first+count-1 as 0001.png and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number + 1:04d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        write_png(path, frame(first + number))
    return paths
