from pathlib import Path

import numpy as np
import pytest

from datamodules.files.decoded_sounds import SoundFile
from datamodules.files.recordings import find_recordings, halves, share_audio

RECORDING = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
OTHER = np.random.default_rng(1).normal(0, 0.1, 40_000).astype(np.float32)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (RECORDING[:20_000], RECORDING[15_000:]),
        (RECORDING[15_000:], RECORDING[:20_000]),
        (RECORDING, RECORDING[10_000:15_000]),
        (RECORDING[10_000:15_000], RECORDING),
        (RECORDING, RECORDING),
        (RECORDING[:20_000], 0.3 * RECORDING[12_000:] + 0.02 * OTHER[12_000:]),
        (RECORDING[:2_000], RECORDING[:30_000]),
    ],
    ids=["end and begin", "begin and end", "inside", "around", "twice", "softer, with noise", "short"],
)
def test_excerpts_of_one_recording_are_found(left, right):
    assert share_audio(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (RECORDING, OTHER),
        (RECORDING[:20_000], RECORDING[20_000:]),
        (RECORDING[:20_000], RECORDING[18_000:]),
        (np.zeros(9_000, np.float32), np.zeros(9_000, np.float32)),
        (np.r_[RECORDING[:9_000], np.zeros(9_000)], np.r_[np.zeros(9_000), OTHER[:9_000]]),
        (0.01 * RECORDING + 0.01, 0.01 * OTHER + 0.01),
        (np.r_[RECORDING[:9_000], np.zeros(9_000)] + 0.01, np.r_[OTHER[:9_000], np.zeros(9_000)] + 0.01),
        (0.01 * RECORDING - 0.2, 0.01 * OTHER + 0.1),
    ],
    ids=[
        "other",
        "side by side",
        "an eighth of a second",
        "silence",
        "silence at the seam",
        "one offset",
        "one offset and pauses",
        "two offsets",
    ],
)
def test_other_sounds_are_not_taken_for_one(left, right):
    assert not share_audio(left, right)


def test_an_offset_hides_no_shared_audio():
    assert share_audio(RECORDING[:20_000] + 0.2, RECORDING[12_000:])


def test_neighbours_are_joined_from_file_to_file_and_within_a_class(tmp_path):
    parts = {"cat/1": RECORDING[:15_000], "cat/2": RECORDING[10_000:30_000], "cat/3": RECORDING[25_000:]}
    parts |= {"cat/4": OTHER[:9_000], "dog/1": OTHER[:9_000]}
    files = []
    for name, samples in parts.items():
        path = Path(tmp_path, f"{name.replace('/', '_')}.npy")
        np.save(path, samples)
        files.append(SoundFile(name, int(name.startswith("dog")), "test", len(samples), path))
    assert find_recordings(files) == {"cat/1": "cat/1", "cat/2": "cat/1", "cat/3": "cat/1"}


def test_files_of_a_group_are_one_recording_wherever_they_are(tmp_path):
    groups = {"cat/1": "a", "cat/2": None, "cat/3": "a", "dog/1": "a", "dog/2": "b"}
    files = []
    for number, (name, group) in enumerate(groups.items()):
        np.save(tmp_path / f"{number}.npy", np.random.default_rng(number).normal(size=9_000))
        files.append(SoundFile(name, int(name > "d"), "test", 9_000, tmp_path / f"{number}.npy", "", group))
    assert find_recordings(files) == {"cat/1": "cat/1", "cat/3": "cat/1", "dog/1": "cat/1"}


def test_of_long_files_the_ends_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr("datamodules.files.recordings.MOST_SAMPLES", 12_000)
    files = []
    for number, samples in enumerate([RECORDING[:30_000], RECORDING[20_000:]]):
        np.save(tmp_path / f"{number}.npy", samples)
        files.append(SoundFile(f"cat/{number}", 0, "test", len(samples), tmp_path / f"{number}.npy"))
    assert len(find_recordings(files)) == 2
    assert not find_recordings(files[::-1])


def test_halves_have_about_equal_seconds_and_no_recording_in_common():
    files = [SoundFile(f"cat/{number}", 0, "test", num, Path()) for number, num in enumerate([9, 1, 1, 1, 5, 1])]
    first, second = halves(files, "cat", {})
    assert [file.num_samples for file in first] == [9]
    assert first + second == files
    first, _ = halves(files, "cat", {"cat/0": "cat/0", "cat/1": "cat/0"})
    assert [file.num_samples for file in first] == [9, 1]
    for alone in (files[:1], files[:2]):
        with pytest.raises(ValueError, match="'cat' has too few held-out sounds: 1, expected at least 2"):
            halves(alone, "cat", {"cat/0": "cat/0", "cat/1": "cat/0"})


def test_scattered_recordings_are_divided_as_a_whole():
    files = [SoundFile(f"cat/{number}", 0, "test", 1, Path()) for number in range(6)]
    recordings = {f"cat/{number}": f"cat/{number % 2}" for number in range(6)}
    first, second = halves(files, "cat", recordings)
    assert [file.name for file in first] == ["cat/0", "cat/2", "cat/4"]
    assert [file.name for file in second] == ["cat/1", "cat/3", "cat/5"]
