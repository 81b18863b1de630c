import os
import shutil
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from datamodules import SpectrogramDataModule
from datamodules.data_module import DataModule
from datamodules.files.split import decide_split
from media import Geometry
from tests.datamodules.conftest import RATE_HZ, write_sound


def module(root: Path, cache_dir: str, num_classes: int = 1) -> SpectrogramDataModule:
    geometry = Geometry(sample_rate_hz=RATE_HZ, n_fft=126, hop_samples=80, num_frames=64)
    return SpectrogramDataModule(geometry, num_classes, str(root), batch_size=4, num_workers=0, cache_dir=cache_dir)


@pytest.mark.parametrize("form", ["of one kind", "by kind"])
def test_the_split_of_a_checkpoint_survives_the_loss_of_the_cache_and_new_files(sound_root, cache_dir, form):
    data = module(sound_root(cat=[0.3] * 10), cache_dir)
    data.setup("fit")
    state = data.state_dict()
    split = state["split"]["sounds"]
    for number in range(10, 40):
        write_sound(Path(data.root.path) / f"sounds/cat/cat_{number}.wav", np.full(2400, 0.1))
    shutil.rmtree(cache_dir)
    resumed = module(data.root.path, cache_dir)
    resumed.setup("fit")
    assert resumed.split["sounds"]["cat/cat_9.wav"] == "train" != split["cat/cat_9.wav"]
    resumed.load_state_dict(state if form == "by kind" else state | {"split": split})
    assert split.items() <= resumed.split["sounds"].items()
    assert len(resumed.split["sounds"]) == 40
    in_test = {file.name for file, _ in resumed.test_set.windows}
    assert {name for name, part in split.items() if part == "test"} <= in_test
    assert not in_test & {file.name for file in resumed.train_set.files}


def test_a_checkpoint_of_other_classes_is_refused(sound_root, cache_dir):
    data = module(sound_root(cat=[0.3] * 3, dog=[0.3] * 3), cache_dir, num_classes=2)
    data.setup("fit")
    with pytest.raises(ValueError, match=r"\['cat', 'cow'\], but the data has \['cat', 'dog'\]"):
        data.load_state_dict({"classes": ["cat", "cow"], "split": data.split})


class Listener(lightning.LightningModule):
    """Remembers the samples that it is tested on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.num_tested = 0

    def training_step(self, batch: dict, batch_index: int) -> torch.Tensor:
        return self.layer(batch["waveform"][:, :1]).sum()

    def validation_step(self, batch: dict, batch_index: int) -> None:
        pass

    def test_step(self, batch: dict, batch_index: int) -> None:
        self.num_tested += len(batch["label"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore:.*does not have many workers")
def test_lightning_carries_the_split_in_its_checkpoints(sound_root, cache_dir, tmp_path):
    data = module(sound_root(cat=[0.3] * 10), cache_dir)
    options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(max_steps=1, limit_val_batches=0, enable_checkpointing=False, **options)
    trainer.fit(Listener(), data)
    trainer.save_checkpoint(tmp_path / "trained.ckpt")
    stored = torch.load(tmp_path / "trained.ckpt", weights_only=True)["SpectrogramDataModule"]
    assert stored == {"classes": ["cat"], "split": data.split}

    os.remove(data.root.cache / "split.json")
    write_sound(Path(data.root.path) / "sounds/cat/cat_00.wav", np.full(100, 0.1))
    tested, listener = module(data.root.path, cache_dir), Listener()
    trainer = lightning.Trainer(enable_checkpointing=False, **options)
    trainer.test(listener, tested, ckpt_path=tmp_path / "trained.ckpt", verbose=False)
    assert data.split["sounds"].items() <= tested.split["sounds"].items()
    assert listener.num_tested == sum(part == "test" for part in tested.split["sounds"].values())


class Captions(DataModule):
    """A data module as a stranger writes it: texts without classes."""

    def setup(self, stage: str | None = None) -> None:
        self.split = {"captions": decide_split(self.root, "captions", {f"{number}.txt": 1.0 for number in range(20)})}
        sets = [[{"index": i, "text": name} for i, name in enumerate(self._names(part))] for part in ("train", "val")]
        self.train_set, self.val_set = sets

    def _names(self, part: str) -> list[str]:
        return [name for name in self.split["captions"] if self.split["captions"][name] == part]

    def known_facts(self) -> dict:
        return {"language": "en"}


def test_a_data_module_needs_no_classes(cache_dir):
    data = Captions("nowhere", batch_size=4, num_workers=0, cache_dir=cache_dir)
    data.setup("fit")
    assert data.facts() == {"classes": [], "split": data.split, "language": "en"}
    assert [item["text"] for item in data.validation_examples(2)] == ["14.txt", "15.txt"]
    assert len(next(iter(data.train_dataloader()))["index"]) == 4
    resumed = Captions("nowhere", cache_dir=f"{cache_dir}2", group_pattern=r"(\d)\.txt")
    resumed.setup("fit")
    assert resumed.split != data.split
    resumed.load_state_dict(data.state_dict())
    assert resumed.split == data.split
    assert [item["text"] for item in resumed.train_set] == [item["text"] for item in data.train_set]


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"num_workers": -1}])
def test_numbers_that_make_no_sense_are_refused(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))} is"):
        DataModule(**option)
