"""Sound files that are cut from one recording."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from rich.progress import track
from scipy.cluster.hierarchy import DisjointSet
from scipy.signal import correlate

from datamodules.files.decoded_sounds import SoundFile
from runtime.tell import tell

MIN_SHARED_SAMPLES = 4000  # a quarter of a second at 16 kHz
SAME_ABOVE = 0.99  # correlation of the shared samples; it survives lossy coding, another gain and resampling
MOST_SAMPLES = 1_000_000  # compared of a file, a minute at 16 kHz, as excerpts overlap at their ends
AUDIBLE_SHARE = 1e-3  # of a sound's mean power, as quieter samples are alike in any two sounds


def find_recordings(files: Sequence[SoundFile]) -> dict[str, str]:
    """The recording, named by its first file, of each file that shares audio with a neighbour, or a group.

    Why: collections often have overlapping excerpts of longer recordings, with consecutive numbers. If they counted as
    independent, every interval would be too narrow, and sounds would be compared with themselves.

    Args:
        files: sounds in natural order; neighbours of one class are compared.
    """
    joined = DisjointSet(range(len(files)))
    last: tuple[int, np.ndarray] | None = None
    first_of_group: dict[str, int] = {}
    for number, file in enumerate(track(files, description="Looking for shared audio", transient=True)):
        samples = file.samples()
        if last and last[0] == file.label and share_audio(last[1][-MOST_SAMPLES:], samples[:MOST_SAMPLES]):
            joined.merge(number - 1, number)
        if file.group is not None:
            joined.merge(first_of_group.setdefault(file.group, number), number)
        last = file.label, samples
    recordings = [sorted(numbers) for numbers in joined.subsets() if len(numbers) > 1]
    return {files[number].name: files[numbers[0]].name for numbers in recordings for number in numbers}


def leave_out_known(held_out: list[SoundFile], known: list[SoundFile], recordings: dict[str, str]) -> list[SoundFile]:
    """The held-out sounds that share neither audio nor a group with a `known` training sound. Others are reported."""
    learned = {recordings[file.name] for file in known if file.name in recordings}
    if left_out := [file.name for file in held_out if recordings.get(file.name) in learned]:
        tell(f"{len(left_out)} held-out sounds share audio or a group with training sounds: {', '.join(left_out)}.")
    return [file for file in held_out if file.name not in left_out]


def halves(
    files: list[SoundFile], class_name: str, recordings: dict[str, str]
) -> tuple[list[SoundFile], list[SoundFile]]:
    """Two blocks of about equal duration, with no recording in both.

    Args:
        files: sounds of one class, in natural order; those of a recording are put beside its first.
        class_name: name of the class, for the message.
        recordings: see `find_recordings`.

    Raises:
        ValueError: if there are fewer than two recordings.
    """
    first_of = {file.name: recordings.get(file.name, file.name) for file in files}
    order = {name: number for number, name in enumerate(dict.fromkeys(first_of.values()))}
    files = sorted(files, key=lambda file: order[first_of[file.name]])
    names = [first_of[file.name] for file in files]
    borders = [border for border in range(1, len(files)) if names[border] != names[border - 1]]
    if not borders:
        raise ValueError(
            f"Class {class_name!r} has too few held-out sounds: {len(order)}, expected at least 2, as real sounds "
            "are compared with other real sounds. Add sounds; those at the end of the folder become test sounds."
        )
    before = [0, *accumulate(file.num_samples for file in files)]
    middle = min(borders, key=lambda border: abs(before[border] - before[-1] / 2))
    return files[:middle], files[middle:]


def share_audio(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether at least a quarter of a second of the same audio is in both sounds (samples,).

    Excerpts of one recording overlap, so that at one offset all their common samples are alike. The means are
    subtracted first, as the constant offset of a sound card is no audio.
    """
    left, right = (samples - np.mean(samples, dtype=np.float64) for samples in (left, right))
    shared = min(MIN_SHARED_SAMPLES, len(left), len(right))
    products = correlate(left, right, mode="full", method="fft")
    offsets = np.arange(1 - len(right), len(left))
    energies = []
    for samples, starts in ((left, offsets), (right, -offsets)):
        other = len(right) if samples is left else len(left)
        until = np.concatenate([[0.0], np.cumsum(samples**2)])
        first, last = np.clip(starts, 0, len(samples)), np.clip(starts + other, 0, len(samples))
        energies.append(until[last] - until[first])
    lengths = np.minimum(len(left), offsets + len(right)) - np.maximum(0, offsets)
    quietest = AUDIBLE_SHARE * lengths * min(np.mean(left**2), np.mean(right**2))
    is_candidate = (lengths >= shared) & (np.minimum(*energies) > quietest)
    alike = products[is_candidate] / np.sqrt(energies[0][is_candidate] * energies[1][is_candidate])
    return bool(alike.size and alike.max() > SAME_ABOVE)
