from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import SpectrogramDataModule
from datamodules.files.data_root import DataRoot
from datamodules.files.decoded_sounds import SoundFile, sound_files
from datamodules.files.loading import SampleKey
from datamodules.sounds import TrainingCrops, Windows
from media import Geometry
from tests.datamodules.conftest import RATE_HZ, tree, write_sound

GEOMETRY = Geometry(sample_rate_hz=RATE_HZ, n_fft=126, hop_samples=80, num_frames=64)  # a window is 0.63 s
WINDOW = GEOMETRY.window_samples


def module(root: Path, cache_dir: str, num_classes: int = 2, **options) -> SpectrogramDataModule:
    return SpectrogramDataModule(
        GEOMETRY, num_classes, root=str(root), cache_dir=cache_dir, num_workers=0, **{"batch_size": 4, **options}
    )


@pytest.fixture
def sound_file(tmp_path):
    """Makes a decoded sound of the given samples."""

    def make(samples: np.ndarray) -> SoundFile:
        np.save(tmp_path / "sound.npy", samples.astype(np.float32))
        return SoundFile("cat/sound.wav", 0, "train", len(samples), tmp_path / "sound.npy")

    return make


def crops(file: SoundFile, seed: int = 1, gain_db: float = 0.0, num_candidate_crops: int = 1) -> TrainingCrops:
    return TrainingCrops([file], WINDOW, seed, gain_db, num_candidate_crops)


def draws(crop_set: TrainingCrops, num: int = 50) -> list[np.ndarray]:
    """The first sample in each of the first epochs."""
    return [crop_set[SampleKey(epoch, 0)]["waveform"].numpy() for epoch in range(num)]


def test_crops_are_a_function_of_seed_epoch_and_index(sound_file):
    file = sound_file(np.random.default_rng(0).uniform(-0.5, 0.5, 5 * WINDOW))
    first, again = (crops(file, gain_db=6, num_candidate_crops=4) for _ in range(2))
    again[SampleKey(7, 1)]  # what was drawn before makes no difference
    for key in (SampleKey(0, 0), SampleKey(0, 1), SampleKey(3, 2)):
        assert torch.equal(first[key]["waveform"], again[key]["waveform"])
    waveforms = [first[key]["waveform"] for key in (SampleKey(0, 0), SampleKey(1, 0), SampleKey(0, 1))]
    waveforms.append(crops(file, seed=2, gain_db=6, num_candidate_crops=4)[SampleKey(0, 0)]["waveform"])
    for number, waveform in enumerate(waveforms):
        assert not any(torch.equal(waveform, other) for other in waveforms[:number])


def test_a_crop_is_a_piece_of_the_sound_and_every_place_occurs(sound_file):
    ramp = np.arange(3 * WINDOW) / (3 * WINDOW)
    starts = []
    for waveform in draws(crops(sound_file(ramp)), 200):
        start = round(waveform[0] * 3 * WINDOW)
        np.testing.assert_array_equal(waveform, ramp[start : start + WINDOW].astype(np.float32))
        starts.append(start / (2 * WINDOW))
    assert np.histogram(starts, bins=4, range=(0, 1))[0].min() > 30


def test_crops_prefer_energy(sound_file):
    samples = np.full(20 * WINDOW, 0.001)
    samples[5 * WINDOW : 7 * WINDOW] = 0.5
    file = sound_file(samples)
    plain, chosen = (
        np.mean([waveform.max() > 0.1 for waveform in draws(crops(file, num_candidate_crops=num), 200)])
        for num in (1, 4)
    )
    assert plain == pytest.approx(3 / 19, abs=0.08)
    assert chosen == pytest.approx(1 - (16 / 19) ** 4, abs=0.12)


def test_crops_of_digital_silence_are_silent(sound_file):
    assert not draws(crops(sound_file(np.zeros(3 * WINDOW)), gain_db=6, num_candidate_crops=4), 1)[0].any()


def test_a_sound_counts_for_each_window_that_it_begins(sound_file):
    lengths = [WINDOW // 2, WINDOW, WINDOW + 1, 3 * WINDOW]
    file = sound_file(np.ones(1))
    files = [replace(file, num_samples=length) for length in lengths]
    assert len(TrainingCrops(files, WINDOW, 1, 0.0, 1)) == 1 + 1 + 2 + 3


def test_short_sounds_are_placed_at_random_in_training_and_in_the_middle_in_evaluation(sound_file):
    samples = np.random.default_rng(0).uniform(0.1, 0.5, WINDOW // 2).astype(np.float32)
    file = sound_file(samples)
    offsets = set()
    for waveform in draws(crops(file)):
        offset = int(np.flatnonzero(waveform)[0])
        np.testing.assert_array_equal(waveform[offset : offset + len(samples)], samples)
        assert np.count_nonzero(waveform) == len(samples)
        offsets.add(offset)
    assert len(offsets) > 30
    [item] = [Windows([file], WINDOW)[0]]
    assert np.flatnonzero(item["waveform"])[0] == (WINDOW - len(samples)) // 2


def test_gain_is_uniform_in_db_and_never_clips(sound_file):
    quiet = [waveform[0] for waveform in draws(crops(sound_file(np.full(WINDOW, 0.1)), gain_db=6), 300)]
    gains_db = 20 * np.log10(np.array(quiet) / 0.1)
    assert np.abs(gains_db).max() <= 6 + 1e-4
    assert np.histogram(gains_db, bins=4, range=(-6, 6))[0].min() > 45
    loud = [waveform[0] for waveform in draws(crops(sound_file(np.full(WINDOW, 0.9)), gain_db=6))]
    assert max(loud) == pytest.approx(1, abs=1e-6)
    assert min(loud) < 0.6


def test_no_gain_leaves_the_sound_as_it_is(sound_file):
    assert draws(crops(sound_file(np.full(WINDOW, 1.5))), 1)[0].max() == 1.5


def test_windows_cover_a_sound_and_the_last_ends_where_it_ends(sound_file):
    ramp = np.arange(1, 2.5 * WINDOW + 1) / (3 * WINDOW)
    windows = Windows([sound_file(ramp)], WINDOW)
    starts = [0, WINDOW, len(ramp) - WINDOW]
    assert len(windows) == 3
    for index, start in enumerate(starts):
        item = windows[index]
        np.testing.assert_array_equal(item["waveform"], ramp[start : start + WINDOW].astype(np.float32))
        assert item["index"] == index
    assert len(Windows([sound_file(ramp[: 2 * WINDOW])], WINDOW)) == 2


def test_nearly_silent_windows_are_left_out_but_no_sound_is(sound_file):
    samples = np.full(4 * WINDOW, 0.5)
    samples[WINDOW : 2 * WINDOW] = 0.5 * 10 ** (-60 / 20)
    samples[2 * WINDOW : 3 * WINDOW] = 0.5 * 10 ** (-40 / 20)
    peaks = [float(item["waveform"].max()) for item in Windows([sound_file(samples)], WINDOW)]
    assert peaks == pytest.approx([0.5, 0.005, 0.5])
    assert len(Windows([sound_file(1e-6 * samples)], WINDOW)) == 3
    assert len(Windows([sound_file(np.zeros(WINDOW))], WINDOW)) == 1


def test_the_root_is_only_read_and_the_cache_is_read_back(sound_root, cache_dir, monkeypatch):
    root = sound_root(cat=[0.3, 1.0, 2.0, 1.5], dog=[0.5, 0.7, 1.1])
    before = tree(root)
    module(root, cache_dir).prepare_data()
    data = module(root, cache_dir)
    monkeypatch.setattr("datamodules.files.decoded_sounds.read_sound", lambda *_: pytest.fail("decoded twice"))
    data.setup("fit")
    assert tree(root) == before
    assert data.classes == ["cat", "dog"]
    parts = [set(data.train_set.files)]
    parts += [{file for file, _ in windows.windows} for windows in (data.val_set, data.test_set)]
    assert sum(map(len, parts)) == len(data.split["sounds"]) == 7
    for files, part in zip(parts, ("train", "val", "test"), strict=True):
        assert {data.split["sounds"][file.name] for file in files} == {part}
        assert {file.label for file in files} == {0, 1}


def test_setup_works_in_a_process_that_did_not_prepare(sound_root, cache_dir):
    data = module(sound_root(cat=[0.3, 1.0, 2.0, 1.5], dog=[0.5, 0.7, 1.1]), cache_dir)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["waveform"].shape == (4, WINDOW)
    assert batch["waveform"].dtype == torch.float32
    assert {*batch["label"].tolist()} <= {0, 1}
    assert sum(len(batch["label"]) for batch in data.predict_dataloader()) == len(data.test_set)


def test_a_sound_that_was_replaced_is_decoded_again(sound_root, cache_dir):
    root = sound_root(cat=[1.0, 1.0, 1.0])
    sound_files(DataRoot(root, cache_dir), RATE_HZ)
    write_sound(root / "sounds/cat/cat_1.wav", np.full(100, 0.25))
    files = sound_files(DataRoot(root, cache_dir), RATE_HZ)
    assert [file.num_samples for file in files] == [RATE_HZ, 100, RATE_HZ]
    assert set(files[1].samples()) == {0.25}
    assert sound_files(DataRoot(root, cache_dir), RATE_HZ // 2)[0].num_samples == RATE_HZ // 2


def test_an_unreadable_sound_is_named_and_left_out(sound_root, cache_dir, capsys):
    root = sound_root(cat=[0.3] * 12, dog=[0.3] * 3)
    (root / "sounds/cat/cat_5.wav").write_text("no sound")
    data = module(root, cache_dir)
    data.prepare_data()
    data.setup("fit")
    assert capsys.readouterr().out.count("1 unreadable files are left out:\n  cat/cat_5.wav: ") == 1
    assert "cat/cat_5.wav" not in data.split["sounds"]
    assert len(data.split["sounds"]) == 14
    (root / "sounds/cat/cat_6.wav").write_text("no sound either")
    with pytest.raises(ValueError, match="2 of the 12 files of class 'cat'") as error:
        data.setup("fit")
    assert "cat/cat_5.wav" in str(error.value)
    assert "cat/cat_6.wav" in str(error.value)


def test_the_configured_number_of_classes_is_checked(sound_root, cache_dir):
    with pytest.raises(ValueError, match=r"num_classes is 3.*\['cat', 'dog'\]"):
        module(sound_root(cat=[0.3] * 3, dog=[0.3] * 3), cache_dir, num_classes=3).setup("fit")


def start(data: SpectrogramDataModule) -> None:
    """What a fit does that is resumed from a checkpoint with another split."""
    data.prepare_data()
    data.setup("fit")
    split = data.split["sounds"]
    data.load_state_dict({"classes": data.classes, "split": {"sounds": split | {"cat/gone.wav": "train"}}})


def test_each_sound_is_decoded_and_hashed_once(sound_root, cache_dir, reads):
    root = sound_root(cat=[0.3] * 12, dog=[0.5] * 5)
    (root / "sounds/cat/cat_4.wav").write_text("no sound")
    start(module(root, cache_dir))
    assert set(reads.decoded.values()) == {1}
    assert len(reads.decoded) == 17
    assert reads.num_hashed == 16
    reads.clear()
    data = module(root, cache_dir)
    data.prepare_data()
    data.setup("fit")
    assert reads.decoded == {"cat_4.wav": 1}  # it may be readable by now
    assert reads.num_hashed == 0
    held_out = [name.split("/")[1] for name, part in data.split["sounds"].items() if part != "train"]
    assert reads.opened == dict.fromkeys(held_out, 1)  # for the energy of their windows


def test_a_cache_without_records_is_taken_over(sound_root, cache_dir, reads):
    data = module(sound_root(cat=[0.3] * 4, dog=[0.5] * 4), cache_dir)
    data.prepare_data()
    before = tree(data.root.cache / f"sounds_{RATE_HZ}hz")
    (record,) = data.root.cache.glob("*.json")
    kept = record.read_text()
    record.unlink()
    reads.clear()
    start(module(data.root.path, cache_dir))
    assert not reads.decoded
    assert tree(data.root.cache / f"sounds_{RATE_HZ}hz") == before
    assert record.read_text() == kept


def test_a_cache_that_lost_a_sound_is_completed(sound_root, cache_dir, reads):
    data = module(sound_root(cat=[0.3] * 4, dog=[0.5] * 4), cache_dir)
    data.prepare_data()
    next(data.root.cache.glob("*/cat/cat_2.wav*.npy")).unlink()
    reads.clear()
    start(module(data.root.path, cache_dir))
    assert reads.decoded == {"cat_2.wav": 1}


@pytest.mark.parametrize("length", [220, 221, 235, 255])
def test_a_name_of_any_length_has_a_place_in_the_cache(sound_root, cache_dir, length):
    root = sound_root(cat=[0.3] * 3, dog=[0.3] * 3)
    names = [letter * ((length - 4) // len(letter.encode())) + ".wav" for letter in ("a", "é")]
    for name in names:
        write_sound(root / "sounds/cat" / name, np.full(2400, 0.1))
    write_sound(root / "sounds/cat" / ("a" * (length - 5) + "b.wav"), np.full(2400, 0.2))  # alike at its start
    data = module(root, cache_dir)
    start(data)
    assert len(data.split["sounds"]) == 9
    assert len({str(file.cache_path) for file in sound_files(data.root, RATE_HZ)}) == 9


def test_a_dangling_link_is_named_and_left_out(sound_root, cache_dir, capsys):
    root = sound_root(cat=[0.3] * 12, dog=[0.3] * 3)
    (root / "sounds/cat/cat_99.wav").symlink_to("/nowhere")
    data = module(root, cache_dir)
    start(data)
    assert "cat/cat_99.wav" in capsys.readouterr().out
    assert "cat/cat_99.wav" not in data.split["sounds"]


def test_odd_names_of_classes_and_files_are_sorted_and_read(sound_root, cache_dir):
    root = sound_root(**{"①": [0.3] * 3, "me\u0301sange": [0.3] * 3})
    (root / "sounds/①/①_1.wav").rename(root / "sounds/①/10²3.wav")
    (root / "photos/m\u00e9sange").mkdir(parents=True)
    (root / "photos/①").mkdir(parents=True)
    data = module(root, cache_dir)
    start(data)
    assert sorted(data.classes) == ["m\u00e9sange", "①"]
    assert "①/10²3.wav" in data.split["sounds"]
    assert data.root.list_classes("sounds", "photos") == data.classes


def test_chosen_classes_and_groups_hold_for_a_whole_fit(sound_root, cache_dir):
    root = sound_root(cat=[0.3] * 12, cow=[0.3] * 3, dog=[0.3] * 12)
    data = module(root, cache_dir, classes=["dog", "cat"], group_pattern=r"_(\d)\d*\.")
    start(data)
    assert data.classes == ["cat", "dog"]
    assert {file.label for file in data.train_set.files} == {0, 1}
    split = data.split["sounds"]
    assert len(split) == 24
    for part in (split[f"{name}/{name}_{number}.wav"] for name in ("cat", "dog") for number in (10, 11)):
        assert part == split["cat/cat_1.wav"] == split["dog/dog_1.wav"]
