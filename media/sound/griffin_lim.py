"""The Griffin-Lim algorithm for a spectrogram as a whole or in an endless stream of pieces."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from media.sound.phase_gradient import gradient_phase

NUM_SHARED_FRAMES = 16  # frames that two pieces share: half of them are final, half change again


def griffin_lim(
    magnitude: Tensor,
    hop_samples: int,
    num_iterations: int,
    momentum: float,
    phase: Tensor,
    past: Tensor | None = None,
) -> Tensor:
    """Runs the fast Griffin-Lim algorithm, optionally as the continuation of a waveform.

    Why not torchaudio's: it cannot continue a waveform, and its random phases differ between rows and devices.

    Args:
        magnitude: (batch, bins, frames), linear, of Hann windows centred on the samples 0, hop, 2 hop, …
        hop_samples: samples between two frames.
        num_iterations: iterations of an inverse and a forward transform.
        momentum: momentum from 0 (the classic algorithm) to below 1.
        phase: initial phases (batch, bins, frames) in radians, or (bins, frames) for all rows.
        past: (batch, samples) start of the result: the first half is kept, the second fades into the new.

    Returns:
        (batch, (frames - 1) * hop samples).

    Source: D. Griffin, J. Lim, "Signal Estimation from Modified Short-Time Fourier Transform", 1984; N. Perraudin,
    P. Balazs, P. Søndergaard, "A Fast Griffin-Lim Algorithm", 2013.
    """
    n_fft = 2 * (magnitude.shape[1] - 1)
    window = torch.hann_window(n_fft, device=magnitude.device)
    num_samples = (magnitude.shape[2] - 1) * hop_samples
    if past is not None:
        num_kept = past.shape[1] // 2
        fade = torch.linspace(0, 1, past.shape[1] - num_kept, device=past.device)
        fade = torch.cat([fade.new_zeros(num_kept), fade])

    def invert(directions: Tensor) -> Tensor:
        waveform = torch.istft(magnitude * directions, n_fft, hop_samples, window=window, length=num_samples)
        if past is not None:
            start = past.lerp(waveform[:, : past.shape[1]], fade)
            waveform = torch.cat([start, waveform[:, past.shape[1] :]], dim=1)
        return waveform

    directions = torch.polar(torch.ones_like(phase), phase).expand(len(magnitude), -1, -1)
    before = torch.zeros_like(directions)
    for _ in range(num_iterations):
        rebuilt = torch.stft(invert(directions), n_fft, hop_samples, window=window, return_complex=True)
        directions = rebuilt - momentum / (1 + momentum) * before
        directions = directions / (directions.abs() + 1e-16)
        before = rebuilt
    return invert(directions)


def invert_pieces(
    pieces: Iterable[Tensor], hop_samples: int, num_iterations: int, momentum: float, seed: int
) -> Iterator[Tensor]:
    """Inverts consecutive pieces of one long spectrogram, in constant memory and without audible borders.

    Each piece shares frames with the previous one, and continues its phases and its waveform.

    Args:
        pieces: (batch, bins, frames), linear magnitudes.
        hop_samples, num_iterations, momentum: see `griffin_lim`.
        seed: seed of the random phases.

    Yields:
        (batch, samples), in all (number of frames - 1) * hop samples.
    """
    generator = torch.Generator().manual_seed(seed)
    shared, past, known, waveform, num_told = None, None, None, None, 0
    for piece in pieces:
        magnitude = piece if shared is None else torch.cat([shared, piece], dim=2)
        if magnitude.shape[2] <= NUM_SHARED_FRAMES:
            shared = magnitude
            continue
        phase = gradient_phase(magnitude, hop_samples, generator, known)
        waveform = griffin_lim(magnitude, hop_samples, num_iterations, momentum, phase, past)
        end = waveform.shape[1] - (NUM_SHARED_FRAMES - 1) * hop_samples
        past = waveform[:, end:]
        known = _find_phases(past, magnitude.shape[1], hop_samples)[:, :, :-1]  # the last one reaches beyond it
        yield waveform[:, num_told : end + past.shape[1] // 2]
        shared, num_told = magnitude[:, :, -NUM_SHARED_FRAMES:], past.shape[1] // 2
    if waveform is not None and past is not None:
        yield waveform[:, waveform.shape[1] - past.shape[1] + num_told :]
    elif shared is not None:
        phase = gradient_phase(shared, hop_samples, generator)
        yield griffin_lim(shared, hop_samples, num_iterations, momentum, phase)


def _find_phases(waveform: Tensor, num_bins: int, hop_samples: int) -> Tensor:
    """Computes the phases (batch, bins, frames) of waveforms (batch, samples)."""
    n_fft = 2 * (num_bins - 1)
    window = torch.hann_window(n_fft, device=waveform.device)
    return torch.stft(waveform, n_fft, hop_samples, window=window, return_complex=True).angle()
