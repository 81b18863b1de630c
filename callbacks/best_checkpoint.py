"""The checkpoint with the best figure."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Lightning's callback, which also keeps its best figure if the folder moves.

    If the file itself is missing in the new folder, the figure is discarded, so that the next validation writes one.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Reads the stored paths as files of the current folder."""
        here = {path: str(Path(self.dirpath) / Path(path).name) for path in state_dict["best_k_models"]}
        if any(not Path(path).is_file() for path in here.values()):
            return
        moved = {name: here.get(state_dict[name], "") for name in ("best_model_path", "kth_best_model_path")}
        best = {here[path]: score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(state_dict | moved | {"dirpath": self.dirpath, "best_k_models": best})
