from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media.soundtrack.containers import plan_output
from media.video.encoding import encode_picture
from media.video.video_files import UnreadableVideo, probe_video, read_frames
from tests.helpers.muxing import mux_waveform

SHADES = [0, 60, 120, 180, 240]


def animation(path: Path, size: tuple[int, int], duration_ms: list[int]) -> Path:
    images = [Image.new("RGB", size, (shade, shade, shade)) for shade in SHADES]
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration_ms)
    return path


@pytest.mark.parametrize("size", [(32, 24), (33, 25)])
def test_every_frame_keeps_its_time(tmp_path, size):
    source = animation(tmp_path / "a.gif", size, [100, 300, 50, 200, 400])
    encode_picture(source, tmp_path / "a.mp4")
    before, after = probe_video(source), probe_video(tmp_path / "a.mp4")
    assert after.duration_s == pytest.approx(before.duration_s, abs=0.005)
    assert (after.width, after.height) == (32, 24)
    shown = [[frame.mean() for _, frame in read_frames(path, 20)] for path in (source, tmp_path / "a.mp4")]
    assert len(shown[0]) == 21
    np.testing.assert_allclose(*shown, atol=4)


def test_it_takes_a_sound(tmp_path):
    encode_picture(animation(tmp_path / "a.gif", (32, 24), [100] * 5), tmp_path / "a.mp4")
    assert plan_output(tmp_path / "a.mp4") == (".mp4", "")
    mux_waveform(tmp_path / "a.mp4", np.zeros(24_000, np.float32), 48_000, tmp_path / "out.mp4")
    assert probe_video(tmp_path / "out.mp4").has_sound
    assert probe_video(tmp_path / "out.mp4").duration_s == pytest.approx(0.5, abs=0.01)


def test_what_is_no_animation_is_refused(tmp_path):
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + bytes(20))
    with pytest.raises(UnreadableVideo, match=r"a\.gif"):
        encode_picture(tmp_path / "a.gif", tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()
