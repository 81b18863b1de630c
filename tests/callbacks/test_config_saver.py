from types import SimpleNamespace

import pytest
import yaml

from callbacks import ConfigSaver

TEXT = "model:\n  width: 16\nseed: null\n"


@pytest.fixture
def saver():
    dumps = []
    parser = SimpleNamespace(dump=lambda config, skip_none: dumps.append(skip_none) or TEXT)
    saver = ConfigSaver(parser, config=None, overwrite=True, save_to_log_dir=False)
    saver.dumps = dumps
    return saver


def trainer_of(folder, *loggers):
    checkpoint = None if folder is None else SimpleNamespace(dirpath=str(folder))
    return SimpleNamespace(fast_dev_run=False, checkpoint_callback=checkpoint, loggers=list(loggers))


def test_the_whole_configuration_is_beside_the_checkpoints_and_in_the_logger(saver, tmp_path):
    seen = []
    logger = SimpleNamespace(log_hyperparams=seen.append)
    saver.save_config(trainer_of(tmp_path / "new", logger), None, "fit")
    assert (tmp_path / "new/config.yaml").read_text() == TEXT
    assert seen == [{"model": {"width": 16}, "seed": None}] == [yaml.safe_load(TEXT)]
    assert saver.dumps == [False]  # nulls are values too
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["config.yaml"]


def test_an_older_configuration_is_replaced_only_by_a_complete_one(saver, tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text("old: 1\n")

    def fail(source, target):
        assert source.read_text() == TEXT
        raise OSError("the disk is full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="full"):
        saver.save_config(trainer_of(tmp_path), None, "fit")
    assert (tmp_path / "config.yaml").read_text() == "old: 1\n"


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_only_a_fit_writes(saver, tmp_path, stage):
    saver.save_config(trainer_of(tmp_path), None, stage)
    assert list(tmp_path.iterdir()) == []


def test_a_fit_without_checkpoints_still_logs_it(saver):
    seen = []
    saver.save_config(trainer_of(None, SimpleNamespace(log_hyperparams=seen.append)), None, "fit")
    assert len(seen) == 1
