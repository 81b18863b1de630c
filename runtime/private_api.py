"""All use of Lightning's private API, seen in Lightning 2.6.6: to be checked when its version changes."""

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger


def num_batches_trained(trainer: Trainer) -> int:
    """Counts the batches that a fit has trained on in this process, also before it was resumed.

    The public API counts steps only, which depend on accumulation and on the number of optimisers.
    """
    return trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]  # in its subclass


def count_steps_of_first_optimizer(trainer: Trainer) -> None:
    """Makes `trainer.global_step` count the steps of the first optimiser under manual optimisation.

    Lightning counts the steps of all optimisers, so that a GAN with two would end at half of `max_steps`.
    """
    loop = trainer.fit_loop.epoch_loop.manual_optimization

    def on_run_start() -> None:
        first = trainer.strategy._lightning_optimizers[0]
        first._on_before_step, first._on_after_step = loop._on_before_step, loop._on_after_step

    loop.on_run_start = on_run_start  # type: ignore[method-assign]  # for this one loop


def log_by_steps(trainer: Trainer) -> None:
    """Lets the logs of a system that optimises by hand count steps; to be called when a training batch ends.

    Seen in Lightning 2.6.6, which counts batches: some of them may update the other networks only.
    """
    trainer.fit_loop.epoch_loop._batches_that_stepped = max(trainer.global_step - 1, 0)


def is_accumulating(trainer: Trainer) -> bool:
    """Whether the gradients of the last batch wait for further batches, so that a fit can neither save nor stop."""
    return trainer.fit_loop.epoch_loop._should_accumulate()


def is_validation_due(trainer: Trainer) -> bool:
    """Whether Lightning validates next; to be called at the end of a training batch."""
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)


def count_resumed_epoch(trainer: Trainer) -> None:
    """Counts the epoch that a resumed fit starts if its checkpoint is of an epoch's last batch; Lightning does not."""
    epochs = trainer.fit_loop.epoch_progress
    if trainer.fit_loop.restarted_mid_epoch and epochs.total.ready == epochs.total.completed:
        epochs.increment_ready()
        epochs.increment_started()


def set_run_id(logger: WandbLogger, run_id: str) -> None:
    """Sets the id of a W&B run before it starts; the public API takes it in the logger's constructor only."""
    logger._wandb_init["id"] = logger._id = run_id
