import io
import itertools
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from metrics import AiSFX
from metrics.listeners.aisfx import CHECKPOINT, _Block

WIDTHS = (1, 2, 3, 4, 5)
WHEEL = "aisfx-0.1.2-py2.py3-none-any.whl"
REAL_WHEEL = Path(os.environ.get("V2A_REAL_DATA", "")) / "weights" / WHEEL


def write_wheel(path: Path, without: str = "") -> Path:
    """A network of the same form with a few channels, as the package stores it."""
    torch.manual_seed(0)
    weights = {"fc.0.0.weight": torch.zeros(3, 5)}
    for number, sizes in enumerate(itertools.pairwise(WIDTHS), start=1):
        block = _Block(*sizes).state_dict()
        weights |= {f"embedding_net.conv_block{number}.{name}": value for name, value in block.items()}
    weights = {name: value for name, value in weights.items() if not without or without not in name}
    checkpoint = io.BytesIO()
    torch.save((weights, {"library": (np.int64(0), 78)}), checkpoint)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(CHECKPOINT, checkpoint.getvalue())
    return path


@pytest.fixture
def listener(tmp_path) -> AiSFX:
    return AiSFX(write_wheel(tmp_path / WHEEL))


def tone(frequency_hz: float, num_samples: int) -> torch.Tensor:
    return 0.5 * torch.sin(2 * torch.pi * frequency_hz * torch.arange(num_samples) / 44_100)


@pytest.mark.parametrize("num_samples", [2_000, 102_400, 200_000])
def test_sounds_of_any_length_have_embeddings_of_their_own(listener, num_samples):
    embeddings = listener.embed(torch.stack([tone(440, num_samples), tone(3000, num_samples)]))
    assert embeddings.shape == (2, listener.num_dimensions) == (2, 5)
    assert embeddings.isfinite().all()
    assert not torch.allclose(embeddings[0], embeddings[1])
    assert torch.allclose(listener.embed(tone(440, num_samples)[None])[0], embeddings[0], atol=1e-5)


def test_the_embedding_is_the_mean_over_patches_that_cover_the_sound(listener, monkeypatch):
    seen = []

    def embed_patch(levels):
        seen.append(levels)
        return levels.mean(dim=(1, 2))[:, None]

    monkeypatch.setattr(listener, "_embed_patch", embed_patch)
    num_frames = 173
    listener.embed(torch.randn(1, 1024 * (num_frames - 1)))
    assert [len(patch[0]) for patch in seen] == [100, 100, 100]
    assert torch.equal(seen[0][0, 50:], seen[1][0, :50])
    assert torch.equal(seen[1][0, 23:], seen[2][0, :77])


def test_a_tone_is_in_the_band_of_its_pitch(listener):
    levels = listener._mel_power(torch.stack([tone(200, 44_100), tone(8000, 44_100)])).mean(dim=2)
    low, high = levels.argmax(dim=1).tolist()
    assert 0 < low < high < 95
    assert torch.allclose(listener._mel_power.mel_scale.fb.sum(dim=0), torch.ones(96))


def test_a_missing_wheel_is_named_with_its_source(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no .*{WHEEL}. Get it with: pip download --no-deps aisfx"):
        AiSFX(tmp_path / WHEEL)


def test_another_file_is_refused(tmp_path):
    for name, content in (("text.whl", b"text"), ("model.whl", None)):
        path = tmp_path / name
        if content is None:
            with zipfile.ZipFile(path, "w") as wheel:
                wheel.writestr("other/model.pth", b"")
        else:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} should be the wheel of aisfx"):
            AiSFX(path)


@pytest.mark.parametrize("without", ["conv_block3", "conv_block2.bn1.weight"])
def test_missing_weights_are_refused(tmp_path, without):
    with pytest.raises(ValueError, match="should be the wheel of aisfx"):
        AiSFX(write_wheel(tmp_path / WHEEL, without))


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path):
    path, checkpoint = tmp_path / WHEEL, io.BytesIO()
    torch.save((Path("x"), {}), checkpoint)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(CHECKPOINT, checkpoint.getvalue())
    with pytest.raises(ValueError, match="should be the wheel of aisfx"):
        AiSFX(path)


@pytest.mark.skipif(not REAL_WHEEL.is_file(), reason=f"needs a folder with weights/{WHEEL}, V2A_REAL_DATA")
def test_the_real_network_hears_two_tones_as_more_alike_than_a_tone_and_noise():
    listener = AiSFX(REAL_WHEEL)
    noise = 0.1 * torch.randn(44_100, generator=torch.Generator().manual_seed(0))
    embeddings = listener.embed(torch.stack([tone(440, 44_100), tone(460, 44_100), noise]))
    assert embeddings.shape == (3, 512)
    near, far = (embeddings[0] - embeddings[1]).norm(), (embeddings[0] - embeddings[2]).norm()
    assert 2 * near < far
