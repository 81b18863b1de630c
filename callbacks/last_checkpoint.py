"""The checkpoint that a fit goes on from."""

from lightning.pytorch.callbacks import ModelCheckpoint


class LastCheckpoint(ModelCheckpoint):
    """Writes `last.ckpt` at every validation, the last included, and when a fit breaks off.

    Why not `save_last` of the callback that keeps the best: it writes only where the monitored figure improves, and a
    resumed fit would go back to there.

    Args:
        dirpath: folder of the checkpoint, that of the best one.
    """

    def __init__(self, dirpath: str | None = None) -> None:
        super().__init__(dirpath=dirpath, filename="last", save_on_exception=True, enable_version_counter=False)
