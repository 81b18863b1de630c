import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from media.report.pictures import frame_uri, spectrogram_uri, thin


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(b64decode(uri.split(";base64,")[1])))


def test_thinning_keeps_peaks_at_their_times():
    values = np.zeros(90_001)
    values[[0, 44_444, 90_000]] = 1
    times_s, highest = thin(np.arange(90_001) / 25, values)
    assert len(times_s) == len(highest) <= 2000
    assert times_s[highest == 1].tolist() == [0, 44_444 / 25, 3600]
    assert (np.diff(times_s) > 0).all()
    noise = np.full((4, 20_001), -1.0)
    noise[0, 10_000] = 1
    with opened(spectrogram_uri(noise)) as picture:
        levels = np.asarray(picture)
    assert levels.shape[1] <= 1500
    assert (levels[-1] == 255).sum() == 1
    assert levels[-1].argmax() / levels.shape[1] == pytest.approx(0.5, abs=0.01)


def test_frames_keep_their_proportions():
    with opened(frame_uri(np.zeros((1280, 720, 3), np.uint8))) as picture:
        assert picture.size == (270, 480)
