import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import PhotoDataModule
from datamodules.files.loading import SampleKey
from tests.datamodules.conftest import tree

SIZE = 32


def module(root: Path, cache_dir: str, num_classes: int = 2, **options) -> PhotoDataModule:
    options = {"num_workers": 0, "batch_size": 4, "image_size": SIZE, **options}
    return PhotoDataModule(num_classes, root=str(root), cache_dir=cache_dir, **options)


def test_items_are_images_between_0_and_1_with_labels_and_paths(photo_root, cache_dir):
    data = module(photo_root(cat=20, dog=40), cache_dir)
    data.setup("fit")
    assert data.classes == ["cat", "dog"]
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [42, 9, 9]
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (4, 3, SIZE, SIZE)
    assert batch["image"].dtype == torch.float32
    assert 0 <= batch["image"].min() < 0.2
    assert 0.8 < batch["image"].max() <= 1
    for label, path in zip(batch["label"].tolist(), batch["path"], strict=True):
        assert Path(path).parent.name == data.classes[label]


def test_augmentation_is_a_function_of_seed_epoch_and_index(photo_root, cache_dir):
    root = photo_root(cat=5)
    data, other_seed = (module(root, cache_dir, num_classes=1, seed=seed) for seed in (1, 2))
    data.setup("fit")
    other_seed.setup("fit")
    image = data.train_set[SampleKey(0, 0)]["image"]
    state = torch.random.get_rng_state()
    assert torch.equal(data.train_set[SampleKey(0, 0)]["image"], image)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(data.train_set[SampleKey(1, 0)]["image"], image)
    assert not torch.equal(other_seed.train_set[SampleKey(0, 0)]["image"], image)
    assert torch.equal(data.val_set[SampleKey(0, 0)]["image"], data.val_set[SampleKey(1, 0)]["image"])


def test_training_mirrors_and_changes_the_light(tmp_path, cache_dir):
    for number in range(3):
        folder = tmp_path / "data/photos/cat"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((40, 40, 3), np.uint8)
        pixels[:, 20:] = 200  # dark on the left, bright on the right
        Image.fromarray(pixels).save(folder / f"{number}.png")
    data = module(tmp_path / "data", cache_dir, num_classes=1)
    data.setup("fit")
    images = [data.train_set[SampleKey(epoch, 0)]["image"] for epoch in range(60)]
    mirrored = np.mean([bool(image[:, :, 0].mean() > image[:, :, -1].mean()) for image in images])
    assert 0.25 < mirrored < 0.75
    brightest = [float(image.max()) for image in images]
    assert max(brightest) > 200 / 255 * 1.1
    assert min(brightest) < 200 / 255 * 0.9


def test_an_unreadable_photo_is_named_and_left_out(photo_root, cache_dir, capsys):
    root = photo_root(cat=12, dog=3)
    photo = root / "photos/cat/cat_5.png"
    photo.write_bytes(photo.read_bytes()[:2000])  # the header is whole, the picture is not
    before = tree(root)
    data = module(root, cache_dir)
    data.prepare_data()
    data.setup("fit")
    assert capsys.readouterr().out.count("1 unreadable files are left out:\n  cat/cat_5.png: ") == 1
    assert "cat/cat_5.png" not in data.split["photos"]
    assert len(data.split["photos"]) == 14
    assert tree(root) == before


def test_photos_are_checked_once_and_again_when_they_change(photo_root, cache_dir, monkeypatch):
    root = photo_root(cat=12)
    module(root, cache_dir, num_classes=1).prepare_data()
    (root / "photos/cat/cat_3.png").write_text("no photo")
    opened = []
    monkeypatch.setattr("datamodules.photos.read_photo", lambda path: opened.append(path.name))
    module(root, cache_dir, num_classes=1).setup("fit")
    assert opened == ["cat_3.png"]


def test_the_split_of_a_checkpoint_survives_the_loss_of_the_cache_and_new_photos(photo_root, cache_dir):
    data = module(photo_root(cat=10), cache_dir, num_classes=1)
    data.setup("fit")
    state = data.state_dict()
    for number in range(10, 30):
        shutil.copy(
            Path(data.root.path) / "photos/cat/cat_0.png", Path(data.root.path) / f"photos/cat/cat_{number}.png"
        )
    shutil.rmtree(cache_dir)
    resumed = module(data.root.path, cache_dir, num_classes=1)
    resumed.setup("fit")
    assert not state["split"]["photos"].items() <= resumed.split["photos"].items()
    resumed.load_state_dict(state)
    assert state["split"]["photos"].items() <= resumed.split["photos"].items()
    assert len(resumed.train_set) == 7


def test_predict_shows_the_test_photos_by_default(photo_root, cache_dir):
    data = module(photo_root(cat=10, dog=10), cache_dir)
    data.setup("predict")
    paths = [path for batch in data.predict_dataloader() for path in batch["path"]]
    assert {data.split["photos"][f"{Path(path).parent.name}/{Path(path).name}"] for path in paths} == {"test"}


def test_predict_shows_other_photos_without_a_root(photo_root, cache_dir, tmp_path, capsys):
    folder = photo_root(cat=11) / "photos/cat"
    (folder / "notes.txt").write_text("no photo")
    data = module(tmp_path / "nowhere", cache_dir, inputs=str(folder))
    data.prepare_data()
    data.setup("predict")
    batches = list(data.predict_dataloader())
    assert [Path(path).name for batch in batches for path in batch["path"]] == [f"cat_{n}.png" for n in range(11)]
    assert {label for batch in batches for label in batch["label"].tolist()} == {-1}
    assert "notes.txt" in capsys.readouterr().out
    data.load_state_dict({"classes": ["cat"], "split": {}})  # a classifier's checkpoint may know any classes


def test_predict_names_inputs_that_are_no_photos(photo_root, cache_dir, tmp_path):
    photo = photo_root(cat=1) / "photos/cat/cat_0.png"
    data = module(tmp_path, cache_dir, inputs=[str(photo)])
    data.setup("predict")
    assert len(data.predict_set) == 1
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        module(tmp_path, cache_dir, inputs=str(tmp_path / "missing.png")).setup("predict")
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(ValueError, match=r"found 1 files, none of them a readable photo"):
        module(tmp_path, cache_dir, inputs=[str(tmp_path / "notes.txt")]).setup("predict")
