"""The checkpoint that later steps use."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Lightning's callback, of which the best figure so far also survives a move to another folder or machine.

    Where the file itself did not come along, the figure is forgotten, so that the next validation writes one.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Reads the stored paths as files of the present folder."""
        here = {path: str(Path(self.dirpath) / Path(path).name) for path in state_dict["best_k_models"]}
        if any(not Path(path).is_file() for path in here.values()):
            return
        moved = {name: here.get(state_dict[name], "") for name in ("best_model_path", "kth_best_model_path")}
        best = {here[path]: score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(state_dict | moved | {"dirpath": self.dirpath, "best_k_models": best})
