"""Initial phases from the gradient of the magnitudes over time and frequency."""

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor

HANN_WIDTH = 0.25645  # gamma of the Gaussian window nearest to a Hann window, divided by the latter's squared length
TOLERANCE = 1e-4  # share of the highest magnitude below which phases are random


def gradient_phase(
    magnitude: Tensor, hop_samples: int, generator: torch.Generator, known: Tensor | None = None
) -> Tensor:
    """Integrates phases from their gradient, which follows from the magnitudes, as a start for Griffin-Lim.

    Why: for a Gaussian window, which a Hann window resembles, the slope of the levels over frequency is that of the
    phase over time, and vice versa. Griffin-Lim converges far sooner from these phases than from random ones.

    From the loudest value phases spread to the neighbours, the louder ones first, in the paper by a heap. Here they
    follow the spanning tree that joins the loudest neighbours, which differs in a few places and which libraries find
    several times as fast.

    Args:
        magnitude: (batch, bins, frames), linear, of Hann windows centred on the samples 0, hop, 2 hop, …
        hop_samples: samples between two frames.
        generator: generator of the random phases, for values below the tolerance and the start of the integration.
        known: (batch, bins, known frames), phases of the first frames in radians, which the others continue.

    Returns:
        (batch, bins, frames) in radians, on the device of the magnitudes; computed on the CPU.

    Source: Z. Průša, P. Balazs, P. Søndergaard, "A Noniterative Method for Reconstruction of Phase from STFT
    Magnitude", 2017.
    """
    start = random_phase(magnitude, generator).cpu().double().numpy()
    phases = []
    for number, row in enumerate(magnitude.detach().cpu().double().numpy()):
        num_known = 0 if known is None else known.shape[2]
        first = start.copy()
        if known is not None:
            first[:, :num_known] = known[number].cpu().numpy()
        phases.append(_integrate(row, hop_samples, first, num_known))
    return torch.from_numpy(np.stack(phases) % (2 * np.pi)).to(magnitude)


def random_phase(magnitude: Tensor, generator: torch.Generator) -> Tensor:
    """Draws phases (bins, frames) in radians on the CPU, the same for every device and every row of a batch."""
    return 2 * torch.pi * torch.rand(magnitude.shape[1:], generator=generator).to(magnitude.device)


def _integrate(magnitude: np.ndarray, hop_samples: int, first: np.ndarray, num_known: int) -> np.ndarray:
    """Sums the slopes along each path, from the phase in `first` at its start, to phases (bins, frames)."""
    threshold = max(TOLERANCE * magnitude.max(), np.finfo(magnitude.dtype).tiny)
    level = np.log(np.maximum(magnitude, threshold))
    over_bins, over_frames = _slopes(level, hop_samples)
    before = _neighbours_before(level - level.max(), magnitude > threshold, num_known)

    root, nodes = magnitude.size, np.arange(magnitude.size)
    is_start = before == root
    other = np.where(is_start, nodes, before)
    over_bins, over_frames = over_bins.ravel(), over_frames.ravel()
    is_beside = np.abs(nodes - other) == 1
    slope = np.where(is_beside, over_frames + over_frames[other], over_bins + over_bins[other]) / 2
    phase = np.append(np.where(is_start, first.ravel(), np.sign(nodes - other) * slope), 0.0)
    before = np.append(before, root)
    while (before < root).any():  # doubles the length of the summed paths
        phase += phase[before]
        before = before[before]
    return phase[:root].reshape(magnitude.shape)


def _slopes(level: np.ndarray, hop_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Computes radians per bin and per frame from natural-log levels (bins, frames)."""
    n_fft = 2 * (level.shape[0] - 1)
    gamma = HANN_WIDTH * n_fft**2
    frequency = 2 * np.pi * hop_samples / n_fft * np.arange(level.shape[0])[:, np.newaxis]
    over_frames = frequency + hop_samples * n_fft / gamma * _gradient(level, axis=0)
    # With π, phases refer to the starts of frames.
    over_bins = np.pi - gamma / (hop_samples * n_fft) * _gradient(level, axis=1)
    return over_bins, over_frames


def _gradient(level: np.ndarray, axis: int) -> np.ndarray:
    return np.gradient(level, axis=axis) if level.shape[axis] > 1 else np.zeros_like(level)


def _neighbours_before(level: np.ndarray, is_loud: np.ndarray, num_known: int) -> np.ndarray:
    """Finds the flat index of the value from which each value's phase is computed; `level.size` for none.

    Args:
        level: (bins, frames), at most 0.
        is_loud: (bins, frames), whether a value may be part of a path.
        num_known: frames at the start, whose values start paths.
    """
    root = level.size
    nodes = np.arange(root, dtype=np.int32).reshape(level.shape)  # SciPy's graphs had no wider numbers before 1.16
    ends, others, lengths = [], [], []
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        are_loud = is_loud[here] & is_loud[there]
        ends.append(nodes[here][are_loud])
        others.append(nodes[there][are_loud])
        lengths.append(2 - (level[here] + level[there])[are_loud])
    # All paths start at the root: those to known values at the lowest cost, the others at the highest.
    to_root = np.where(is_loud, 3 - 2 * level.min() - level, 0)
    to_root[:, :num_known] = 1
    ends.append(nodes[to_root > 0])
    others.append(np.full(len(ends[-1]), root, dtype=np.int32))
    lengths.append(to_root[to_root > 0])
    edges = (np.concatenate(lengths), (np.concatenate(ends), np.concatenate(others)))
    tree = minimum_spanning_tree(coo_array(edges, shape=(root + 1, root + 1)).tocsr())
    before = breadth_first_order(tree, root, directed=False)[1][:root]
    return np.where(before < 0, root, before)
