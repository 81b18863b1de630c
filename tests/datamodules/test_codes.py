import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import BottomCodesDataModule, TopCodesDataModule
from datamodules.codes import ShiftedWindows
from datamodules.files.data_root import DataRoot
from datamodules.files.decoded_sounds import SoundFile, sound_files
from datamodules.sounds import Windows
from networks.codec.codec import Codec
from runtime.checkpoint import fingerprint
from tests.datamodules.conftest import RATE_HZ, tree, write_sound
from tests.helpers.tiny import (
    BOTTOM_LENGTH,
    CLASSES,
    GEOMETRY,
    TOP_LENGTH,
    TinyData,
    fitted,
    tiny_sounds,
    tiny_vqvae,
)

WINDOW_S = GEOMETRY.window_s  # 0.248 s


@pytest.fixture
def root(sound_root) -> Path:
    return sound_root(cat=[0.6] * 4, dog=[0.3] * 5)


def save_vqvae(path: Path, root: Path, seed: int = 0, **facts) -> str:
    """A checkpoint whose split is the reverse of what would be chosen now."""
    names = sorted(f"{file.parent.name}/{file.name}" for file in (root / "sounds").glob("*/*"))
    parts = {"0": "test", "1": "val"}
    split = {name: parts.get(name[-5], "train") for name in names}
    torch.manual_seed(seed)
    defaults = {"classes": CLASSES, "split": split, "geometry": GEOMETRY.as_dict()}
    fitted(tiny_vqvae(), TinyData(tiny_sounds(), **defaults | facts)).save_checkpoint(path)
    return str(path)


@pytest.fixture
def vqvae(tmp_path, root) -> str:
    return save_vqvae(tmp_path / "vqvae.ckpt", root)


@pytest.fixture
def encoded(monkeypatch) -> list[int]:
    """The sizes of the batches that were encoded."""
    sizes, encode = [], Codec.encode

    def counting(self, waveform):
        sizes.append(len(waveform))
        return encode(self, waveform)

    monkeypatch.setattr(Codec, "encode", counting)
    return sizes


def codes(root, vqvae, cache_dir, kind=BottomCodesDataModule, **options):
    data = kind(str(root), vqvae, batch_size=4, cache_dir=cache_dir, num_augmentations=2, **options)
    data.prepare_data()
    data.setup("fit")
    return data


def test_codes_are_computed_once(root, vqvae, cache_dir, encoded):
    data = codes(root, vqvae, cache_dir)
    assert sum(encoded) == len(data.train_set) + len(data.val_set) + len(data.test_set)
    first = [item["bottom_codes"] for item in data.val_set]
    encoded.clear()
    again = codes(root, vqvae, cache_dir, TopCodesDataModule)
    again_bottom = codes(root, vqvae, cache_dir)
    assert encoded == []
    assert all(torch.equal(a, b["bottom_codes"]) for a, b in zip(first, again_bottom.val_set, strict=True))
    assert len(again.train_set) == len(data.train_set)


def test_each_sound_is_read_and_hashed_once_and_not_at_all_for_known_codes(root, vqvae, cache_dir, reads):
    data = codes(root, vqvae, cache_dir)
    assert set(reads.decoded.values()) == {1}
    assert reads.num_hashed == len(reads.decoded) == 9
    reads.clear()
    again = codes(root, vqvae, cache_dir)
    again.load_state_dict(data.state_dict())
    assert (reads.decoded, reads.opened, reads.num_hashed) == ({}, {}, 0)


def test_codes_of_version_0_1_are_found_again(root, vqvae, cache_dir, encoded):
    """The key is made as it was then, of a digest of each cached sound."""
    data = codes(root, vqvae, cache_dir)
    (path,) = Path(cache_dir, "codes").iterdir()
    files = sound_files(data.root, RATE_HZ)
    key = {
        "vqvae": fingerprint(data.vqvae.network.state_dict()),
        "geometry": data.vqvae.geometry.as_dict(),
        "sounds": [(f.name, f.part, hashlib.sha256(f.samples()).hexdigest()[:16]) for f in files],
        "augmentation": (data.seed, data.gain_db, data.num_augmentations, 10),
    }
    assert path.stem == hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]


def test_chosen_classes_are_those_of_the_vqvae(root, vqvae, cache_dir):
    shutil.copytree(root / "sounds/dog", root / "sounds/owl")
    data = codes(root, vqvae, cache_dir, classes=["cat", "dog"])
    assert data.classes == CLASSES
    with pytest.raises(ValueError, match=r"fitted on the classes \['cat', 'dog'\].* have \['cat'\].*--data.classes"):
        codes(root, vqvae, cache_dir, classes=["cat"])


def test_they_are_the_codes_of_the_sounds(root, vqvae, cache_dir):
    data = codes(root, vqvae, cache_dir)
    files = sound_files(DataRoot(str(root), cache_dir, stored_split=data.split), RATE_HZ)
    windows = Windows([file for file in files if file.part == "test"], GEOMETRY.window_samples)
    assert len(windows) == len(data.test_set) > 0
    for item, window in zip(data.test_set, windows, strict=True):
        with torch.no_grad():
            top, bottom = data.vqvae.codec.encode(window["waveform"][None])
        assert (item["label"], item["index"]) == (window["label"], window["index"])
        # The same but for codes that lie between two vectors, alone and in a batch.
        assert (item["top_codes"] == top[0]).float().mean() > 0.95
        assert (item["bottom_codes"] == bottom[0]).float().mean() > 0.95


@pytest.mark.parametrize("change", ["vqvae", "gain_db", "seed", "num_augmentations", "new sound", "replaced sound"])
def test_whatever_changes_is_computed_again(root, vqvae, cache_dir, encoded, tmp_path, change):
    codes(root, vqvae, cache_dir)
    encoded.clear()
    options = {"gain_db": {"gain_db": 3.0}, "seed": {"seed": 2}}.get(change, {})
    if change == "vqvae":
        vqvae = save_vqvae(tmp_path / "other.ckpt", root, seed=1)
    elif change == "new sound":
        write_sound(root / "sounds/cat/cat_9.wav", np.full(2400, 0.1))
    elif change == "replaced sound":
        write_sound(root / "sounds/cat/cat_3.wav", np.sin(np.arange(4800)))
    if change == "num_augmentations":
        data = BottomCodesDataModule(str(root), vqvae, cache_dir=cache_dir, num_augmentations=3)
        data.setup("fit")
    else:
        data = codes(root, vqvae, cache_dir, **options)
    assert sum(encoded) == len(data.train_set) + len(data.val_set) + len(data.test_set)


def test_the_split_is_that_of_the_vqvae(root, vqvae, cache_dir):
    data = codes(root, vqvae, cache_dir)
    assert data.split["sounds"] == data.vqvae.facts["split"]
    assert (data.split["sounds"]["cat/cat_0.wav"], data.split["sounds"]["dog/dog_1.wav"]) == ("test", "val")
    facts = data.facts()
    assert facts["classes"] == CLASSES
    assert facts["geometry"] == GEOMETRY.as_dict()
    assert len(facts["codebooks"]) == 16


def test_items_hold_the_levels_that_their_prior_needs(root, vqvae, cache_dir):
    bottom, top = codes(root, vqvae, cache_dir), codes(root, vqvae, cache_dir, TopCodesDataModule)
    assert bottom.train_set[0].keys() == {"top_codes", "bottom_codes", "label", "index"}
    assert top.train_set[0].keys() == {"top_codes", "label", "index"}
    batch = next(iter(bottom.train_dataloader()))
    assert batch["top_codes"].shape == (4, TOP_LENGTH)
    assert batch["bottom_codes"].shape == (4, BOTTOM_LENGTH)
    assert batch["bottom_codes"].dtype == torch.int64
    assert torch.equal(bottom.train_set[0]["top_codes"], top.train_set[0]["top_codes"])


def test_the_root_is_only_read(root, vqvae, cache_dir):
    before = tree(root)
    codes(root, vqvae, cache_dir)
    assert tree(root) == before


def test_other_classes_than_the_vqvaes_are_refused(root, vqvae, cache_dir):
    shutil.copytree(root / "sounds/dog", root / "sounds/owl")
    with pytest.raises(
        ValueError, match=r"vqvae.ckpt was fitted on the classes \['cat', 'dog'\].*\['cat', 'dog', 'owl'\]"
    ):
        codes(root, vqvae, cache_dir)


def test_a_missing_vqvae_says_how_to_make_one(root, cache_dir):
    with pytest.raises(FileNotFoundError, match=r"nowhere.ckpt.*fit --config vqvae.yaml"):
        codes(root, "nowhere.ckpt", cache_dir)


def test_predictions_are_of_every_class_alike(sound_root, tmp_path, cache_dir):
    root = sound_root(cat=[3.0] * 3, dog=[0.3] * 3)
    data = codes(root, save_vqvae(tmp_path / "vqvae.ckpt", root), cache_dir, num_predictions=4)
    assert Counter(item["label"] for item in data.test_set)[1] == 2
    assert Counter(torch.cat([b["label"] for b in data.predict_dataloader()]).tolist()) == {0: 2, 1: 2}
    assert Counter(item["label"] for item in data.validation_examples(2)) == {0: 1, 1: 1}


def test_more_predictions_than_windows_are_all_windows(root, vqvae, cache_dir):
    data = codes(root, vqvae, cache_dir, num_predictions=1000)
    seen = torch.cat([batch["index"] for batch in data.predict_dataloader()]).tolist()
    assert sorted(seen) == list(range(len(data.test_set)))


def sound_file(tmp_path: Path, samples: np.ndarray) -> SoundFile:
    path = tmp_path / f"{len(samples)}.npy"
    np.save(path, samples.astype(np.float32))
    return SoundFile("cat/a.wav", 0, "train", len(samples), path)


def shifted(file: SoundFile, seed: int = 1, gain_db: float = 6.0, num: int = 4) -> ShiftedWindows:
    return ShiftedWindows([file], 1000, seed, gain_db, num)


@pytest.mark.parametrize("num_samples", [300, 1000, 1730])
def test_the_first_version_of_a_window_is_the_window_itself(tmp_path, num_samples):
    file = sound_file(tmp_path, np.random.default_rng(0).uniform(-1, 1, num_samples))
    windows, plain = shifted(file), Windows([file], 1000, 100)
    assert len(windows) == 4 * len(plain)
    for number, window in enumerate(plain):
        assert torch.equal(windows[4 * number]["waveform"], window["waveform"])
        versions = [windows[4 * number + k]["waveform"] for k in range(4)]
        assert not any(torch.equal(versions[0], version) for version in versions[1:])


def test_versions_are_a_function_of_seed_and_index(tmp_path):
    file = sound_file(tmp_path, np.random.default_rng(0).uniform(-1, 1, 2000))
    windows, again, other = shifted(file), shifted(file), shifted(file, seed=2)
    backwards = [again[i]["waveform"] for i in reversed(range(len(again)))][::-1]
    assert all(torch.equal(windows[i]["waveform"], backwards[i]) for i in range(len(windows)))
    assert (
        sum(torch.equal(windows[i]["waveform"], other[i]["waveform"]) for i in range(len(windows))) == len(windows) // 4
    )


def test_versions_are_shifted_by_a_hop_at_most_and_lie_in_the_sound(tmp_path):
    file = sound_file(tmp_path, np.arange(1, 2001) / 4000)
    windows = shifted(file, gain_db=0.0)
    shifts = []
    for index in range(len(windows)):
        _, start = windows.windows[index // 4]
        waveform = windows[index]["waveform"]
        found = round(waveform[0].item() * 4000) - 1
        assert torch.allclose(waveform, torch.arange(found + 1, found + 1001) / 4000)
        assert 0 <= found <= 1000
        assert abs(found - start) <= 100
        shifts.append(found - start)
    assert min(shifts) < -50
    assert max(shifts) > 50


def test_a_short_sound_lies_anywhere_in_silence(tmp_path):
    windows = shifted(sound_file(tmp_path, np.full(300, 0.1)), num=40, gain_db=0.0)
    places = [int(windows[index]["waveform"].nonzero()[0]) for index in range(40)]
    assert places[0] == 350
    assert min(places) < 100
    assert max(places) > 600
    assert all(windows[index]["waveform"].count_nonzero() == 300 for index in range(40))


def test_the_loudness_changes_within_its_range_and_never_clips(tmp_path):
    quiet = shifted(sound_file(tmp_path, np.full(1000, 0.1)), num=200)
    gains_db = [20 * np.log10(quiet[index]["waveform"].max().item() / 0.1) for index in range(1, 200)]
    assert -6 <= min(gains_db) < -5
    assert 5 < max(gains_db) <= 6.0001
    loud = shifted(sound_file(tmp_path, np.full(1001, 0.9)), num=200)
    peaks = [loud[index]["waveform"].max().item() for index in range(200)]
    assert max(peaks) == pytest.approx(1.0)
    assert max(peaks) <= 1 + 1e-6
    lossy = shifted(sound_file(tmp_path, np.full(1002, 1.05)), num=50)
    assert max(lossy[index]["waveform"].max().item() for index in range(50)) <= 1.05
