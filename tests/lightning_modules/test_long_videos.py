"""A video of any length needs the memory of a short one."""

import resource
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from datamodules.videos import Clip
from tests.helpers.colours import composite

ROOT = Path(__file__).parents[2]


def film(path: Path, minutes: int) -> Clip:
    """Two frames a second of 16 × 16 pixels: half a minute red, a quarter of a minute grey."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=2)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for number in range(2 * 60 * minutes):
            colour = (230, 20, 20) if number % 90 < 60 else (120, 120, 120)
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), colour, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Clip(path, "long", 60.0 * minutes, 2.0)


def make_sound(folder: Path, minutes: int) -> None:
    model = composite(sync="none", threshold=0.9, min_scene_s=10.0, looks_per_second=0.5)
    (prediction,) = model.predict_step(film(folder / "long.mp4", minutes), 0)
    row = prediction.save(folder / "out")
    with av.open(row["output"]) as container:
        assert float(container.streams.audio[0].duration * container.streams.audio[0].time_base) > 60 * minutes - 0.1
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def peak_mib(folder: Path, minutes: int) -> float:
    folder.mkdir()
    program = f"from {__name__} import *; make_sound(Path({str(folder)!r}), {minutes})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[-1])


@pytest.mark.parametrize("minutes", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path, minutes):
    assert peak_mib(tmp_path / "long", minutes) < peak_mib(tmp_path / "short", 1) + 60
