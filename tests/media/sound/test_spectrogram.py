import math

import pytest
import torch
from torchaudio.functional import griffinlim

from media import Geometry, Spectrogram
from media.sound.griffin_lim import griffin_lim

TINY = Geometry(n_fft=62, hop_samples=16, num_frames=32)


@pytest.fixture(scope="module")
def reference():
    return Spectrogram(Geometry())


@pytest.fixture
def tiny():
    return Spectrogram(TINY)


def sine(frequency_bin, num_samples, n_fft, amplitude=1.0):
    return amplitude * torch.sin(2 * torch.pi * frequency_bin / n_fft * torch.arange(num_samples))


def noise(*shape, level=0.1):
    return level * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def meow(geometry):
    """A harmonic tone whose pitch and loudness rise and fall, a window long."""
    time = torch.arange(geometry.window_samples) / geometry.sample_rate_hz
    pitch_hz = 500 + 200 * torch.sin(torch.pi * time / geometry.window_s)
    phase = 2 * torch.pi * torch.cumsum(pitch_hz, dim=0) / geometry.sample_rate_hz
    harmonics = sum(torch.sin(number * phase) / number for number in range(1, 9))
    return 0.3 * harmonics * torch.sin(torch.pi * time / geometry.window_s)


def convergence_db(spectrogram, wanted, waveform):
    """Spectral convergence, between linear magnitudes: 0 dB is silence, lower is better."""
    expected, found = spectrogram.magnitude(wanted), spectrogram.magnitude(spectrogram(waveform))
    return 20 * math.log10((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("frequency_bin", [3, 30, 200])
def test_a_full_scale_sine_is_one_in_its_bin(reference, frequency_bin):
    picture = reference(sine(frequency_bin, 16_000, 478))[0, :, 5:-5]
    torch.testing.assert_close(picture[frequency_bin], torch.ones(picture.shape[1]), atol=1e-4, rtol=0)
    assert (picture.argmax(dim=0) == frequency_bin).all()
    assert picture[(frequency_bin + 100) % 240].max() < -0.5


def test_silence_is_minus_one(reference):
    assert (reference(torch.zeros(16_000)) == -1).all()


@pytest.mark.parametrize("level_db", [-6, -20, -60])
def test_the_scale_is_absolute(reference, level_db):
    """20 dB less are 20 dB less, in a picture whose range of 2 stands for 80 dB."""
    amplitude = 10 ** (level_db / 20)
    picture = reference(sine(50, 16_000, 478, amplitude))[0, :, 5:-5]
    expected = 1 + 2 * level_db / 80
    torch.testing.assert_close(picture[50], torch.full((picture.shape[1],), expected), atol=1e-3, rtol=0)


def test_the_dynamic_range_is_an_option():
    spectrogram = Spectrogram(Geometry(dynamic_range_db=40.0))
    picture = spectrogram(sine(50, 16_000, 478, amplitude=0.1))[0, 50, 5:-5]
    torch.testing.assert_close(picture, torch.zeros(len(picture)), atol=1e-3, rtol=0)


def test_pictures_stay_in_range(tiny):
    picture = tiny(noise(3, 512, level=10.0))
    assert picture.min() >= -1
    assert picture.max() == 1


@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
def test_shapes(tiny, leading):
    waveform = noise(*leading, TINY.window_samples)
    picture = tiny(waveform)
    assert picture.shape == (*leading, 1, TINY.num_bins, TINY.num_frames)
    assert tiny.invert(picture, num_iterations=1).shape == waveform.shape


def test_a_window_has_the_frames_of_the_geometry(reference):
    geometry = Geometry()
    assert reference(torch.zeros(geometry.window_samples)).shape == (1, 240, 240)


@pytest.mark.parametrize("num_samples", [1, 15, 16, 31, 32, 500])
def test_frames_are_counted_at_every_length(tiny, num_samples):
    picture = tiny(noise(num_samples))
    assert picture.shape[-1] == num_samples // TINY.hop_samples + 1
    assert picture.isfinite().all()


def test_frames_are_centred(reference):
    """A click in the middle of the sound is loudest in the frame whose number is its time."""
    waveform = torch.zeros(16_000)
    waveform[37 * 160] = 1
    assert reference(waveform)[0].mean(dim=0).argmax() == 37


def test_rows_of_a_batch_are_independent(tiny):
    waveform = noise(3, 512)
    torch.testing.assert_close(tiny(waveform)[1], tiny(waveform[1]))


def test_magnitude_is_the_inverse_of_the_picture(tiny):
    waveform = noise(512)
    expected = torch.stft(waveform, 62, 16, window=torch.hann_window(62), return_complex=True).abs()
    torch.testing.assert_close(tiny.magnitude(tiny(waveform))[0], expected)


def test_the_floor_is_exact_silence(tiny):
    assert (tiny.magnitude(torch.full((1, 32, 32), -1.0)) == 0).all()
    assert (tiny.magnitude(torch.full((1, 32, 32), -1.5)) == 0).all()
    assert (tiny.invert(torch.full((1, 32, 32), -1.0)) == 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_around_it_changes_nothing(tiny, dtype):
    waveform = noise(512).to(dtype)
    picture = tiny(waveform.float())
    sound = tiny.invert(picture, num_iterations=4)
    cast = Spectrogram(TINY).to(dtype)
    with torch.autocast("cpu", dtype=dtype):
        for spectrogram in (tiny, cast):
            assert torch.equal(spectrogram(waveform), picture)
            assert torch.equal(spectrogram.invert(picture, num_iterations=4), sound)


def test_nothing_of_it_is_stored(tiny):
    assert not tiny.state_dict()
    assert not list(tiny.parameters())


def test_gradients_flow_to_the_waveform(tiny):
    waveform = noise(512).requires_grad_()
    tiny(waveform).mean().backward()
    assert waveform.grad.isfinite().all()
    assert waveform.grad.abs().sum() > 0


def test_a_harmonic_sound_comes_back(reference):
    waveform = meow(Geometry())
    picture = reference(waveform)
    again = reference.invert(picture)
    assert again.shape == waveform.shape
    assert convergence_db(reference, picture, again) < -40


def test_iterations_and_momentum_help(reference):
    picture = reference(meow(Geometry()))
    options = [(1, 0.99), (16, 0.0), (16, 0.99)]
    poor, fair, good = (convergence_db(reference, picture, reference.invert(picture, *option)) for option in options)
    assert good < fair - 2
    assert fair < poor - 2


def test_loudness_comes_back(reference):
    waveform = meow(Geometry())
    again = reference.invert(reference(waveform))
    assert again.square().mean().sqrt().item() == pytest.approx(waveform.square().mean().sqrt().item(), rel=0.05)


def test_the_seed_decides_the_phases(tiny):
    picture = tiny(noise(512))
    first = tiny.invert(picture, num_iterations=2, seed=1)
    torch.manual_seed(123)
    assert torch.equal(tiny.invert(picture, num_iterations=2, seed=1), first)
    assert not torch.allclose(tiny.invert(picture, num_iterations=2, seed=2), first, atol=1e-3)


def test_the_global_random_state_is_left_alone(tiny):
    before = torch.get_rng_state()
    tiny.invert(tiny(noise(512)), num_iterations=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.cuda
def test_the_random_states_of_gpus_are_left_alone(tiny):
    before = torch.cuda.get_rng_state_all()
    for device in ("cpu", "cuda"):
        spectrogram = tiny.to(device)
        spectrogram.invert(spectrogram(noise(512).to(device)), num_iterations=1)
        for expected, found in zip(before, torch.cuda.get_rng_state_all(), strict=True):
            assert torch.equal(found, expected), device


def test_a_picture_gives_the_same_sound_alone_and_in_a_batch(tiny):
    pictures = tiny(noise(3, 512))
    together = tiny.invert(pictures)
    for picture, sound in zip(pictures, together, strict=True):
        torch.testing.assert_close(tiny.invert(picture), sound, atol=1e-3, rtol=0)


@pytest.mark.parametrize("num_frames", [[500], [100, 400], [7] * 70 + [10], [240, 240, 20], [5], [3, 4, 2]])
def test_pieces_make_a_waveform_of_the_whole_length(tiny, num_frames):
    picture = tiny(noise(2, 15 + 16 * (sum(num_frames) - 1)))
    pieces = list(tiny.invert_pieces(picture.split(num_frames, dim=-1), num_iterations=2))
    assert sum(piece.shape[1] for piece in pieces) == 16 * (sum(num_frames) - 1)


@pytest.mark.parametrize(("noise_level", "best_db", "most_lost_db"), [(0.0, -40, 10), (0.1, -20, 1)])
def test_a_sound_in_pieces_is_as_good_as_in_one(reference, noise_level, best_db, most_lost_db):
    """As good as can be heard: a sound without noise comes back so well that the ends of the pieces show."""
    waveform = meow(Geometry()).repeat(3)
    picture = reference(waveform + noise(len(waveform), level=noise_level))
    in_pieces = torch.cat(list(reference.invert_pieces(picture[None].split(100, dim=-1))), dim=1)[0]
    found_db = convergence_db(reference, picture, in_pieces)
    assert found_db < best_db
    assert found_db < convergence_db(reference, picture, reference.invert(picture)) + most_lost_db


def test_a_piece_goes_on_from_the_phases_before(reference):
    picture = reference(meow(Geometry()).repeat(3))
    pieces = reference.invert_pieces(picture[None].split(100, dim=-1), num_iterations=4)
    assert convergence_db(reference, picture, torch.cat(list(pieces), dim=1)[0]) < -30


def test_no_border_is_heard_between_pieces(reference):
    """Where pieces meet, a steady tone stays what it is: no click, no gap."""
    picture = reference(sine(30, 48_000, 478, amplitude=0.5))
    found = torch.cat(list(reference.invert_pieces(picture[None].split(60, dim=-1))), dim=1)[0]
    level = found[4_000:-4_000].unfold(0, 320, 80).square().mean(dim=1).sqrt()
    assert level.min() > 0.9 * 0.5 / 2**0.5
    assert level.max() < 1.1 * 0.5 / 2**0.5
    loudest = reference(found)[0, :, 20:-20]
    assert (loudest.argmax(dim=0) == 30).all()
    assert loudest[60:].max() < loudest.max() - 1  # 40 dB: a click would be heard in all bins


def test_the_phases_are_those_of_the_library_where_it_has_no_random_ones(reference):
    magnitude = reference.magnitude(reference(meow(Geometry())))
    options = {"n_fft": 478, "hop_length": 160, "win_length": 478, "power": 1.0, "n_iter": 8, "momentum": 0.99}
    window = torch.hann_window(478)
    expected = griffinlim(magnitude, window=window, length=38_240, rand_init=False, **options)
    found = griffin_lim(magnitude, 160, 8, 0.99, phase=torch.zeros_like(magnitude[0]))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_loud_picture_never_clips(tiny):
    quiet = noise(TINY.window_samples)
    sounds = tiny.invert(torch.stack([torch.ones(1, 32, 32), tiny(quiet)]))
    assert sounds[0].abs().max() == pytest.approx(1)
    assert sounds[1].std().item() == pytest.approx(quiet.std().item(), rel=0.1)  # each row is scaled for itself
