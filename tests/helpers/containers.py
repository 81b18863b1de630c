"""Videos whose container says more than their packets: edit lists, orientation, the shape of pixels."""

import struct
from fractions import Fraction
from pathlib import Path

import av

MP4_PATH = (b"moov", b"trak", b"edts", b"elst")
ORIENTATIONS = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}  # cosine and sine of a clockwise turn


def set_edit_list(path: Path, segments_s: list[tuple[float, float]]) -> Path:
    """Shows only these parts, given as (start, duration), of an MP4 with B-frames, which has an edit list already."""
    content = bytearray(path.read_bytes())
    (film_hz,) = struct.unpack_from(">I", content, content.index(b"mvhd") + 16)
    (track_hz,) = struct.unpack_from(">I", content, content.index(b"mdhd") + 16)
    start = content.index(b"elst")
    (size,) = struct.unpack_from(">I", content, start - 4)
    (first_ticks,) = struct.unpack_from(">i", content, start + 16)
    entries = b"".join(
        struct.pack(">IiI", round(length_s * film_hz), first_ticks + round(start_s * track_hz), 1 << 16)
        for start_s, length_s in segments_s
    )
    box = struct.pack(">4sII", b"elst", 0, len(segments_s)) + entries
    for name in MP4_PATH:  # the boxes around it grow; what they point at comes before them
        place = content.index(name) - 4
        (length,) = struct.unpack_from(">I", content, place)
        struct.pack_into(">I", content, place, length + len(box) + 4 - size)
    content[start : start + size - 4] = box
    path.write_bytes(content)
    return path


def set_orientation(path: Path, clockwise_deg: int, is_mirrored: bool = False) -> Path:
    """Writes a turn, and a swap of left and right before it, into an MP4 file's track header, as a phone does."""
    content = path.read_bytes()
    cos, sin = ORIENTATIONS[clockwise_deg]
    sign = -1 if is_mirrored else 1
    matrix = struct.pack(">9i", sign * cos << 16, sign * sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    start = content.index(b"tkhd") + 44
    path.write_bytes(content[:start] + matrix + content[start + len(matrix) :])
    return path


def set_pixel_shape(path: Path, output: Path, shape: Fraction) -> Path:
    """Copies a video's packets; that its pixels are as wide as this is said by the container alone."""
    with av.open(path) as container, av.open(output, "w") as copied:
        picture = container.streams.video[0]
        display_width = round(picture.width * shape)
        copy = copied.add_stream_from_template(picture, opaque=True)
        if output.suffix != ".mkv":
            copy.codec_context.sample_aspect_ratio = shape
        for packet in container.demux(picture):
            if packet.size:
                packet.stream = copy
                copied.mux(packet)
    if output.suffix == ".mkv":  # in place of the element "DisplayUnit, 1 byte: unknown"
        content = output.read_bytes()
        assert content.count(b"\x54\xb2\x81\x04") == 1
        output.write_bytes(content.replace(b"\x54\xb2\x81\x04", b"\x54\xb0\x81" + bytes([display_width])))
    return output
