import pytest
from lightning.pytorch.loggers import CSVLogger, Logger

from callbacks import Throughput
from callbacks import throughput as module
from tests.helpers.tiny import code_data, fitted, tiny_top


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


class Recorder(CSVLogger):
    """Remembers what is logged."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.logged: list[tuple[int, dict]] = []

    def log_metrics(self, metrics, step=None) -> None:
        self.logged.append((step, metrics))

    def save(self) -> None:
        Logger.save(self)


def test_samples_a_second_are_those_of_the_training_alone(tmp_path, monkeypatch):
    """Batches of four samples take two seconds each, the validations between them a hundred."""
    clock, recorder = Clock(), Recorder(tmp_path)
    monkeypatch.setattr(module, "time", clock)
    system = tiny_top()
    step, validate = system.training_step, system.validation_step

    def slow_step(batch, batch_idx):
        clock.now += 2
        return step(batch, batch_idx)

    def slow_validation(batch, batch_idx):
        clock.now += 100
        return validate(batch, batch_idx)

    monkeypatch.setattr(system, "training_step", slow_step)
    monkeypatch.setattr(system, "validation_step", slow_validation)
    options = {"max_steps": 6, "limit_val_batches": 1.0, "val_check_interval": 1, "log_every_n_steps": 2}
    fitted(system, code_data(), callbacks=[Throughput()], logger=recorder, **options)
    rates = [metrics["train/samples_per_second"] for _, metrics in recorder.logged if "train/loss" in metrics]
    assert rates == pytest.approx([2.0, 2.0, 2.0])


@pytest.mark.parametrize("log_every_n_steps", [1, 3, 4])
def test_it_logs_with_the_loss_however_short_an_epoch_is(tmp_path, log_every_n_steps):
    recorder = Recorder(tmp_path)
    options = {"max_steps": 12, "log_every_n_steps": log_every_n_steps}
    fitted(tiny_top(), code_data(), callbacks=[Throughput()], logger=recorder, **options)
    logged = [metrics for _, metrics in recorder.logged if "train/loss" in metrics]
    assert len(logged) == 12 // log_every_n_steps
    assert all(metrics["train/samples_per_second"] > 0 for metrics in logged)
    assert all(0.05 < metrics["train/memory_gib"] < 100 for metrics in logged)


def test_a_trainer_that_logs_nothing_is_left_alone():
    fitted(tiny_top(), code_data(), callbacks=[Throughput()], log_every_n_steps=0)
