import pytest
import torch

from media import Geometry, Spectrogram
from media.sound.grain import NOISE_STD_DB, add_grain

GEOMETRY = Geometry(
    sample_rate_hz=8000,
    n_fft=254,
    hop_samples=80,
    num_frames=128,
    dynamic_range_db=100.0,
    bottom_stride=4,
    top_stride=8,
)
BINS, DB_OF_UNIT = GEOMETRY.num_bins, GEOMETRY.dynamic_range_db / 2


def smooth(level_db: float, num_frames: int = 4000, batch_size: int = 1) -> torch.Tensor:
    return torch.full((batch_size, 1, BINS, num_frames), 1 + level_db / DB_OF_UNIT)


def grained(picture: torch.Tensor, std_db: float | torch.Tensor, seed: int = 0) -> torch.Tensor:
    seeds = range(seed, seed + len(picture))
    return next(add_grain([picture], torch.as_tensor(std_db).expand(BINS), GEOMETRY, seeds))


def test_a_smooth_picture_gets_the_grain_of_real_noise():
    noise = 0.05 * torch.randn(40 * GEOMETRY.sample_rate_hz, generator=torch.Generator().manual_seed(1))
    real = Spectrogram(GEOMETRY)(noise)[:, 1:-1] * DB_OF_UNIT
    made = grained(smooth(real.mean().item() - DB_OF_UNIT), NOISE_STD_DB)[0, :, 1:-1] * DB_OF_UNIT
    assert made.mean() == pytest.approx(real.mean().item(), abs=0.1)
    assert made.std() == pytest.approx(real.std().item(), abs=0.1) == pytest.approx(NOISE_STD_DB, abs=0.1)
    for axis in (1, 2):  # neighbours are as alike as the window and the hop make them
        alike = [(x - x.mean()).narrow(axis, 1, x.shape[axis] - 1) for x in (real, made)]
        before = [(x - x.mean()).narrow(axis, 0, x.shape[axis] - 1) for x in (real, made)]
        of_real, of_made = ((a * b).mean() / a.var() for a, b in zip(alike, before, strict=True))
        assert of_made == pytest.approx(of_real.item(), abs=0.03)


def test_the_error_says_how_much_and_at_most_as_much_as_noise_has():
    picture = smooth(-40.0)
    for std_db, expected_db in ((0.0, 0.0), (2.0, 2.0), (20.0, NOISE_STD_DB)):
        deviation = (grained(picture, std_db) - picture)[:, :, 1:-1] * DB_OF_UNIT
        assert deviation.std() == pytest.approx(expected_db, abs=0.1)
    by_bin = torch.zeros(BINS)
    by_bin[10] = 3.0
    changed = (grained(picture, by_bin) != picture).flatten(3).any(-1)[0, 0]
    assert changed.nonzero().tolist() == [[10]]


def test_silence_stays_silent():
    assert torch.equal(grained(smooth(-100.0), NOISE_STD_DB), smooth(-100.0))


def test_pieces_get_the_grain_of_the_whole_and_every_row_its_own():
    picture = smooth(-40.0, 64, batch_size=3)
    whole = grained(picture, 4.0)
    pieces = add_grain(picture.split([10, 1, 53], dim=-1), torch.full((BINS,), 4.0), GEOMETRY, range(3))
    torch.testing.assert_close(torch.cat(list(pieces), dim=-1), whole)
    torch.testing.assert_close(whole[2:], grained(picture[:1], 4.0, seed=2))
    assert not torch.allclose(whole[:1], whole[2:])
