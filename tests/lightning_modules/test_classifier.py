import pytest
import torch
from lightning.pytorch import Callback
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader

from datamodules import PhotoDataModule
from lightning_modules import Classifier
from networks import TransferClassifier
from tests.helpers.tiny import (
    CLASSES,
    TinyData,
    TinyResNet50,
    fitted,
    photo_data,
    tiny_classifier,
    tiny_photos,
    tiny_trainer,
)


@pytest.fixture
def weights(tmp_path) -> str:
    """A file of pretrained weights."""
    torch.manual_seed(7)
    torch.save(TinyResNet50(num_classes=10).resnet.state_dict(), tmp_path / "pretrained.pth")
    return str(tmp_path / "pretrained.pth")


def changed(before: dict[str, torch.Tensor], system) -> set[str]:
    after = system.network.resnet.state_dict()
    return {name for name in after if not torch.equal(before[name], after[name])}


BACKBONE = {"conv.weight", "conv.bias", "bn.weight", "bn.bias"}
STATISTICS = {"bn.running_mean", "bn.running_var", "bn.num_batches_tracked"}
HEAD = {"fc.weight", "fc.bias"}


class States(Callback):
    """Remembers the weights and statistics at the end of each epoch."""

    def __init__(self) -> None:
        self.states = []

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        state = pl_module.network.resnet.state_dict()
        self.states.append({name: value.clone() for name, value in state.items()})


def test_a_frozen_backbone_does_not_move_and_then_all_does(weights):
    """With weight decay and momentum, which would move weights without a gradient."""
    system, states = tiny_classifier(weights, frozen_epochs=2, weight_decay=0.5, warmup_steps=0), States()
    fitted(system, photo_data(), max_steps=6, callbacks=[states])
    _, before, after = states.states
    pretrained = torch.load(weights)
    assert {name for name in before if name not in HEAD and not torch.equal(before[name], pretrained[name])} == set()
    assert {name for name in HEAD if torch.equal(before[name], states.states[0][name])} == set()
    assert {name for name in after if not torch.equal(after[name], before[name])} == BACKBONE | STATISTICS | HEAD


def test_a_frozen_backbone_normalises_with_its_pretrained_statistics(weights):
    system = tiny_classifier(weights, frozen_epochs=1)
    system.trainer = tiny_trainer()
    system.setup("fit")
    system.train()
    system.on_train_batch_start(None, 0)
    assert system.network.training
    assert not system.network.resnet.bn.training


def test_without_pretrained_weights_nothing_is_frozen():
    system = tiny_classifier(None, frozen_epochs=5, backbone_rate=0.1, warmup_steps=0)
    before = {name: value.clone() for name, value in system.network.resnet.state_dict().items()}
    trainer = fitted(system, photo_data())
    assert changed(before, system) == BACKBONE | STATISTICS | HEAD
    assert {group["initial_lr"] for group in trainer.optimizers[0].param_groups} == {1e-3}


def test_the_backbone_learns_at_its_fraction_of_the_rate(weights):
    system = tiny_classifier(weights, backbone_rate=0.25, learning_rate=0.01, weight_decay=0.5)
    names = {id(parameter): name for name, parameter in system.network.resnet.named_parameters()}
    options = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in system.optimizer_groups()
        for parameter in group["params"]
    }
    assert options == {
        "fc.weight": (0.01, 0.5),
        "fc.bias": (0.01, 0.0),
        "conv.weight": (0.0025, 0.5),
        "conv.bias": (0.0025, 0.0),
        "bn.weight": (0.0025, 0.0),
        "bn.bias": (0.0025, 0.0),
    }


@pytest.mark.parametrize("stage", ["validate", "test", "predict", "fit"])
def test_pretrained_weights_are_loaded_when_a_fit_starts_and_not_before(weights, stage):
    torch.manual_seed(0)
    system = tiny_classifier(weights)
    system.trainer = tiny_trainer()
    before = {name: value.clone() for name, value in system.network.resnet.state_dict().items()}
    system.setup(stage)
    if stage == "fit":
        system.on_fit_start()
    assert changed(before, system) == ({"conv.weight", "conv.bias"} if stage == "fit" else set())
    assert torch.equal(system.network.resnet.conv.weight, torch.load(weights)["conv.weight"]) == (stage == "fit")


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks")
def test_a_fit_is_resumed_without_the_pretrained_weights(weights, tmp_path):
    """They were needed once: the checkpoint holds what became of them."""
    path = tmp_path / "last.ckpt"
    fitted(tiny_classifier(weights), photo_data(), max_steps=2).save_checkpoint(path)
    resumed = tiny_classifier(str(tmp_path / "elsewhere.pth"))
    tiny_trainer(max_steps=4, limit_val_batches=0).fit(resumed, photo_data(), ckpt_path=path, weights_only=True)


def test_held_out_figures(weights):
    system = tiny_classifier(weights)
    system.eval()
    batch = tiny_photos()
    with torch.no_grad():
        logits = system.network(batch["image"])
    guesses, labels = logits.argmax(1), batch["label"]
    (figures,) = tiny_trainer().test(system, photo_data(), verbose=False)
    assert figures["test/loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)  # unsmoothed
    assert figures["test/accuracy"] == pytest.approx((guesses == labels).float().mean().item())
    for label, name in enumerate(CLASSES):
        hits = ((guesses == label) & (labels == label)).sum().item()
        f1 = 2 * hits / max(1, (guesses == label).sum().item() + (labels == label).sum().item())
        assert figures[f"test/f1/{name}"] == pytest.approx(f1)
    matrix = torch.zeros(2, 2, dtype=torch.long).index_put_((labels, guesses), torch.tensor(1), accumulate=True)
    assert torch.equal(system.confusion_matrix, matrix)


def test_the_training_loss_is_smoothed():
    torch.manual_seed(0)
    system = tiny_classifier(label_smoothing=0.4)
    system.train()
    batch = {name: values[:4] for name, values in tiny_photos().items()}
    logits = system.network(batch["image"]).detach()
    smooth = torch.where(F.one_hot(batch["label"], 2) == 1, 0.8, 0.2)
    expected = -(smooth * logits.log_softmax(1)).sum(1).mean().item()
    assert fitted(system, photo_data()).callback_metrics["train/loss"] == pytest.approx(expected, rel=1e-4)


def test_red_and_green_are_learned():
    torch.manual_seed(0)
    system = tiny_classifier(learning_rate=0.05, warmup_steps=0)
    trainer = fitted(system, photo_data(), max_steps=30)
    predictions = [p for batch in trainer.predict(system, photo_data()) for p in batch]
    assert [max(p.probabilities, key=p.probabilities.get) for p in predictions] == CLASSES * 4
    assert all(sum(p.probabilities.values()) == pytest.approx(1.0) for p in predictions)
    assert [p.path for p in predictions] == [f"{i}.jpg" for i in range(8)]


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks")
def test_photos_of_unknown_class_get_the_names_of_the_trained_classes(tmp_path):
    fitted(tiny_classifier(), photo_data()).save_checkpoint(tmp_path / "best.ckpt")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "new.png")
    data = PhotoDataModule(2, root="nowhere", image_size=32, num_workers=0, inputs=str(tmp_path / "new.png"))
    options = {"ckpt_path": tmp_path / "best.ckpt", "weights_only": True}
    ((prediction,),) = tiny_trainer().predict(tiny_classifier(), data, **options)
    assert prediction.path == str(tmp_path / "new.png")
    assert list(prediction.probabilities) == CLASSES


def pictures(num_other: int = 0) -> TinyData:
    """Red and green photos, and blue ones that show neither class."""
    batch = tiny_photos()
    blue = torch.zeros(num_other, 3, 32, 32)
    blue[:, 2] = 1
    batch |= {"image": torch.cat([batch["image"], blue]), "label": torch.cat([batch["label"], -torch.ones(num_other)])}
    batch |= {"label": batch["label"].long(), "index": torch.arange(8 + num_other)}
    data = TinyData(batch | {"path": [f"{i}.jpg" for i in range(8 + num_other)]}, image_size=32)
    known = DataLoader(data.items[:8], batch_size=4)
    data.reference_set, data.reference_dataloader = data.items[:8], lambda: known
    data.train_dataloader = lambda: known
    return data


def transfer_classifier(**options) -> Classifier:
    torch.manual_seed(0)
    classifier = Classifier(TransferClassifier(2), "package", warmup_steps=0, **options)
    classifier.facts = {"image_size": 32}
    return classifier


def test_a_validation_remembers_the_training_photos_and_chooses_a_threshold():
    system = transfer_classifier(frozen_epochs=None)
    trainer = fitted(system, pictures(num_other=4), max_steps=2, limit_val_batches=None)
    familiarity = system.network.familiarity
    assert familiarity.references.shape == (8, 1000)
    assert not familiarity.references.is_inference(), "it can be changed after the validation"
    figures = trainer.callback_metrics
    assert figures["val/threshold"] == familiarity.threshold
    assert (figures["val/kept"], figures["val/refused"]) == (1, 1)
    predictions = [p for batch in trainer.predict(system, pictures(num_other=4)) for p in batch]
    rows = [prediction.save(None) for prediction in predictions]
    assert [row["class"] for row in rows[8:]] == ["none of these"] * 4
    assert {row["class"] for row in rows[:8]} <= set(CLASSES)
    trainer.validate(system, pictures(), verbose=False)
    assert system.network.familiarity.threshold == figures["val/threshold"], "only a fit chooses it"
    assert "val/refused" not in trainer.callback_metrics


def test_features_in_place_of_pictures_give_the_same_head():
    data, features = pictures(), pictures()
    network = transfer_classifier().network.eval()
    network.load_pretrained("package")
    with torch.no_grad():
        for item in features.items:
            item["features"] = network.features(item.pop("image")[None])[0]
    heads = []
    for one in (data, features):
        system = transfer_classifier(frozen_epochs=None)
        fitted(system, one, max_steps=2, limit_val_batches=None)
        heads.append(system.network.head.weight)
        assert not any(parameter.requires_grad for parameter in system.network.trunk.parameters())
    torch.testing.assert_close(*heads, atol=1e-5, rtol=1e-3)


def test_the_backbone_learns_after_the_frozen_epochs():
    system = transfer_classifier(frozen_epochs=1)
    system.network.load_pretrained("package")
    pretrained = [parameter.clone() for parameter in system.network.trunk.parameters()]
    fitted(system, pictures(), max_steps=2)
    assert all(map(torch.equal, pretrained, system.network.trunk.parameters()))
    fitted(transfer := transfer_classifier(frozen_epochs=1), pictures(), max_steps=4)
    assert not any(map(torch.equal, pretrained[:1], transfer.network.trunk.parameters()))
