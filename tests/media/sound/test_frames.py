import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from media.sound.frames import UnreadableSound, decode_frames, downmix, filter_frames, layout_of
from media.sound.sound_files import read_sound
from media.soundtrack.streams import count_track_channels

RATE_HZ = 16_000
ROOT = Path(__file__).parents[3]
READ = """
import json, sys
import numpy as np
from media.sound.sound_files import read_sound
from media.soundtrack.streams import read_track, count_track_channels
for path in sys.argv[1:]:
    for repetition in range(3):  # memory that was freed twice is seen late
        mono = read_sound(path, 16_000)
        blocks = np.concatenate(list(read_track(path, 0.0, 16_000)), axis=1)
    sides = np.abs(blocks[:, 2_000:-2_000]).max(axis=1).tolist()
    print(json.dumps([len(mono), float(np.abs(mono[2_000:-2_000]).max()), count_track_channels(path), sides]))
"""


def write_channels(
    path: Path, layout: str, encoder: str, amplitudes: list[float] | None = None, **options: str
) -> Path:
    """A sound of 1 s with a tone in each channel, of 0.1 unless its amplitude is given."""
    num_channels = av.AudioLayout(layout).nb_channels
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    channels = np.outer(tone, amplitudes or [0.1] * num_channels).astype(np.float32)
    with av.open(path, "w") as container:
        stream = container.add_stream(encoder, rate=RATE_HZ, layout=layout, options=options)
        frame = av.AudioFrame.from_ndarray(channels.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts = RATE_HZ, 0
        container.mux(stream.encode(frame) + stream.encode(None))
    return path


def read_in_a_process(*paths: Path) -> list[list]:
    """For each file: samples and peak as mono, number of channels, and the peaks of these.

    What goes wrong here kills the process, and raises no error.
    """
    run = subprocess.run([sys.executable, "-c", READ, *paths], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_no_layout_kills_the_process(tmp_path):
    """MOV keeps the order of its channels in an atom, which FFmpeg gives as an order of the file's own."""
    layouts = ["mono", "stereo", "2.1", "quad", "5.1", "5.1(side)", "7.1", "7.1(wide)", "octagonal", "hexadecagonal"]
    cases = [("mov", "pcm_s16le", layout) for layout in layouts]
    cases += [("mp4", "aac", layout) for layout in ("5.1", "7.1")]
    cases += [("mkv", "flac", "7.1"), ("mkv", "pcm_s16le", "9 channels"), ("mkv", "pcm_s16le", "22.2")]
    paths = [
        write_channels(tmp_path / f"{number}.{suffix}", layout, encoder)
        for number, (suffix, encoder, layout) in enumerate(cases)
    ]
    for case, (num_samples, peak, num_channels, sides) in zip(cases, read_in_a_process(*paths), strict=True):
        assert num_samples == pytest.approx(RATE_HZ, abs=2_000), case
        assert peak == pytest.approx(0.1, rel=0.2), case  # the mean of equal channels
        assert len(sides) == num_channels == (1 if case[2] == "mono" else 2), case
        assert min(sides) > 0.09, case


def test_of_ambisonic_sound_the_channel_of_all_directions_is_on_both_sides(tmp_path):
    path = write_channels(tmp_path / "a.mkv", "ambisonic 1", "libopus", [0.2, 0.0, 0.1, 0.15], mapping_family="2")
    with av.open(path) as container:
        assert layout_of(container.streams.audio[0]).name == "ambisonic 1"
    ((_, peak, num_channels, sides),) = read_in_a_process(path)
    assert (peak, num_channels, sides) == (pytest.approx(0.2, rel=0.05), 2, [pytest.approx(0.2, rel=0.05)] * 2)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [("binaural", [0.15, 0.15]), ("9 channels", [0.5, 0.5]), ("ambisonic 2", [0.1, 0.1]), ("ambisonic 0", [0.1])],
)
def test_channels_that_ffmpeg_cannot_place_are_mixed_all_the_same(layout, expected):
    num_channels = av.AudioLayout(layout).nb_channels
    samples = np.linspace(0.1, 0.1 * num_channels, num_channels, dtype=np.float32)[np.newaxis]
    frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)
    frame.sample_rate, frame.time_base = RATE_HZ, Fraction(1, RATE_HZ)
    (mixed,) = filter_frames([frame], downmix(frame.layout), ("aformat", {"sample_fmts": "fltp"}))
    np.testing.assert_allclose(mixed.to_ndarray()[:, 0], expected, atol=1e-6)


def test_a_track_that_changes_midway_is_named(tmp_path):
    path = tmp_path / "both.ts"
    parts = [write_channels(tmp_path / f"{layout}.ts", layout, "aac") for layout in ("mono", "stereo")]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with av.open(path) as container, pytest.raises(UnreadableSound, match=r"both\.ts has a sound that changes midway"):
        list(decode_frames(container.streams.audio[0], container.demux(audio=0)))


def unknown_codec(folder: Path) -> Path:
    """A sound whose codec has a name that nobody gave."""
    path = write_channels(folder / "known.mov", "mono", "pcm_s16le")
    content = path.read_bytes()
    assert content.count(b"sowt") == 1
    unknown = folder / "unknown.mov"
    unknown.write_bytes(content.replace(b"sowt", b"xyz9"))
    return unknown


def test_a_codec_that_ffmpeg_does_not_know_is_named(tmp_path):
    path = unknown_codec(tmp_path)
    for read in (lambda: read_sound(path, RATE_HZ), lambda: count_track_channels(path)):
        with pytest.raises(UnreadableSound, match=r"unknown\.mov has a sound in a codec that FFmpeg does not know"):
            read()
