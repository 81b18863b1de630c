"""The videos and photos that are to be given a sound, and the data on which that is evaluated."""

from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from datamodules.evaluation import EvaluationDataModule
from datamodules.files.inputs import Inputs, list_inputs
from media.soundtrack.containers import CONTAINERS, plan_output
from media.video.photo_files import PHOTO_SUFFIXES, is_photo
from media.video.video_files import VIDEO_SUFFIXES, probe_video
from pipelines.perception import Clip


class VideoDataModule(EvaluationDataModule):
    """Videos and photos for `predict`, one a batch. Several processes divide them.

    For `test`, held-out sounds and photos of the data that the models were fitted on.

    Args:
        inputs: a video, a photo, a folder, a text file or a list of these, see `list_inputs`.
        frames_per_second: rate at which frames are read.
        evaluation: see `EvaluationDataModule`.

    Attributes:
        input_set: the inputs, after `setup("predict")`; each gives a `Clip`, or a `FailedInput`.

    Raises:
        ValueError, FileNotFoundError: as `list_inputs`.
    """

    input_set: Inputs

    def __init__(
        self, inputs: str | list[str] | None = None, frames_per_second: float = 25.0, **evaluation: Any
    ) -> None:
        super().__init__(**evaluation)
        self.allow_zero_length_dataloader_with_multiple_devices = True  # one video, two processes
        self.inputs, self.frames_per_second = inputs, frames_per_second

    def settings(self) -> dict[str, Any]:
        """Everything that the outputs depend on, besides the inputs."""
        return {"frames_per_second": self.frames_per_second}

    def setup(self, stage: str) -> None:
        """Finds the files; none is opened yet."""
        if stage != "test":
            paths = list_inputs(self.inputs, VIDEO_SUFFIXES | PHOTO_SUFFIXES, "video or photo")
            self.input_set = Inputs(paths, self._open, (*CONTAINERS, ".wav"))

    def predict_dataloader(self) -> DataLoader:
        return self.input_set.loader()

    def _open(self, path: Path, name: str) -> Clip:
        duration_s = None
        if not is_photo(path):
            plan_output(path)  # whether its output can be written is known before its sound is made
            duration_s = probe_video(path).duration_s
        return Clip(path, name, duration_s, self.frames_per_second)
