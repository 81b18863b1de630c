import os
import shutil
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from datamodules import SpectrogramDataModule
from datamodules.files.split import split_path
from media import Geometry
from tests.datamodules.conftest import RATE_HZ, write_sound


def module(root: Path, cache_dir: str, num_classes: int = 1) -> SpectrogramDataModule:
    geometry = Geometry(sample_rate_hz=RATE_HZ, n_fft=126, hop_samples=80, num_frames=64)
    return SpectrogramDataModule(geometry, num_classes, str(root), batch_size=4, num_workers=0, cache_dir=cache_dir)


def test_the_split_of_a_checkpoint_survives_the_loss_of_the_cache_and_new_files(sound_root, cache_dir):
    data = module(sound_root(cat=[0.3] * 10), cache_dir)
    data.setup("fit")
    state = data.state_dict()
    for number in range(10, 40):
        write_sound(Path(data.root) / f"sounds/cat/cat_{number}.wav", np.full(2400, 0.1))
    shutil.rmtree(cache_dir)
    resumed = module(data.root, cache_dir)
    resumed.setup("fit")
    assert resumed.split["cat/cat_9.wav"] == "train" != state["split"]["cat/cat_9.wav"]
    resumed.load_state_dict(state)
    assert state["split"].items() <= resumed.split.items()
    assert len(resumed.split) == 40
    in_test = {file.name for file, _ in resumed.test_set.windows}
    assert {name for name, part in state["split"].items() if part == "test"} <= in_test
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

    os.remove(split_path(data.root, cache_dir))
    write_sound(Path(data.root) / "sounds/cat/cat_00.wav", np.full(100, 0.1))
    tested, listener = module(data.root, cache_dir), Listener()
    trainer = lightning.Trainer(enable_checkpointing=False, **options)
    trainer.test(listener, tested, ckpt_path=tmp_path / "trained.ckpt", verbose=False)
    assert data.split.items() <= tested.split.items()
    assert listener.num_tested == sum(part == "test" for part in tested.split.values())
