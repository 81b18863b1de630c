"""With EfficientNet-Lite0, on pictures of 32 pixels."""

import shutil
from pathlib import Path

import pytest
import torch

from datamodules import FeatureDataModule
from datamodules.files.loading import SampleKey
from lightning_modules import Classifier
from networks import TransferClassifier

SIZE = 32


@pytest.fixture
def module(cache_dir):
    def make(root: Path, weights: str = "package", **options) -> FeatureDataModule:
        options = {"num_classes": 2, "num_workers": 0, "batch_size": 4, "image_size": SIZE, "num_versions": 2} | options
        return FeatureDataModule(TransferClassifier(2), weights, root=str(root), cache_dir=cache_dir, **options)

    return make


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """Numbers of the photos in the batches that the backbone sees."""
    batches = []
    features = TransferClassifier.features
    monkeypatch.setattr(
        TransferClassifier, "features", lambda self, images: batches.append(len(images)) or features(self, images)
    )
    return batches


def test_an_item_is_what_the_backbone_makes_of_the_photo(photo_root, module):
    data = module(photo_root(cat=5, dog=5))
    data.setup("fit")
    photos = data.val_set.photos
    network = TransferClassifier(2).eval()
    network.load_pretrained("package")
    with torch.no_grad():
        expected = network.features(photos[0]["image"][None])[0]
    item = data.val_set[0]
    torch.testing.assert_close(item["features"], expected, rtol=2e-3, atol=2e-3)
    assert item["label"] == photos[0]["label"]
    assert item["path"] == photos[0]["path"]


def test_versions_take_turns_and_references_are_unchanged_photos(photo_root, module):
    data = module(photo_root(cat=5, dog=5))
    data.setup("fit")
    first, second, third = (data.train_set[SampleKey(epoch, 0)]["features"] for epoch in range(3))
    assert not torch.equal(first, second)
    assert torch.equal(first, third)
    assert len(data.reference_set) == len(data.train_set)
    batch = next(iter(data.reference_dataloader()))
    assert batch["features"].shape == (4, 1280)


def test_they_are_computed_once(photo_root, module, computed):
    root = photo_root(cat=5, dog=5)
    module(root).prepare_data()
    num_batches = len(computed)
    assert sum(computed) == 2 * 6 + 2 + 2, "6 training photos in two versions, 2 and 2 held-out ones"
    module(root).setup("fit")
    assert len(computed) == num_batches
    module(root, image_size=40).setup("fit")
    assert len(computed) > num_batches


def test_another_photo_or_backbone_is_another_computation(photo_root, module, computed, tmp_path):
    root = photo_root(cat=5, dog=5)
    module(root).setup("fit")
    num_batches = len(computed)
    shutil.copy(root / "photos/cat/cat_4.png", root / "photos/cat/cat_2.png")
    module(root).setup("fit")
    changed = len(computed)
    assert changed > num_batches
    network = TransferClassifier(2)
    whole = {f"features.{name}": value for name, value in network.trunk.state_dict().items()}
    whole |= {f"classifier.1.{name}": value for name, value in network.familiarity.names.state_dict().items()}
    torch.save(whole, tmp_path / "weights.pth")
    module(root, str(tmp_path / "weights.pth")).setup("fit")
    assert len(computed) > changed


def test_a_step_is_measured_on_features(photo_root, module):
    """A batch of as many pictures would need a hundred times the memory."""
    data = module(photo_root(cat=5, dog=5))
    data.setup("fit")
    classifier = Classifier(data.network, "package", frozen_epochs=None)
    classifier.facts |= data.known_facts()
    batch = classifier.example_batch(4)
    assert {name: value.shape for name, value in batch.items()} == {"features": (4, 1280), "label": (4,)}
    assert torch.isfinite(classifier.loss(batch)[0])


def test_random_features_are_refused_before_any_is_computed(photo_root, module, computed):
    with pytest.raises(ValueError, match="weights is null, expected package or the path of a file"):
        module(photo_root(cat=5, dog=5), weights=None).setup("fit")
    assert not computed


def test_other_photos_are_seen_as_pictures(photo_root, module, tmp_path):
    root = photo_root(cat=5, dog=5)
    data = module(root, inputs=str(root / "photos/cat"))
    data.setup("predict")
    assert next(iter(data.predict_dataloader()))["image"].shape[1:] == (3, SIZE, SIZE)
