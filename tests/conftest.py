"""One chain of tiny fits, made once and shared: data, the four systems and a video."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch.cli import LightningCLI

import cli
from demo.contacts import sample_contacts, write_film
from demo.dataset import make_dataset
from demo.video import make_video

SYSTEMS = ("vqvae", "top", "bottom", "classifier")
PROJECT = Path(__file__).parents[1]
TINY = PROJECT / "tests" / "tiny"
POSIX_ONLY = (  # they kill processes and limit their files and memory
    "test_resume.py",
    "test_session.py",
    "lightning_modules/test_damaged_inputs.py",
    "lightning_modules/test_long_videos.py",
    "media/video/test_fuzz.py",
)
collect_ignore = [] if os.name == "posix" else list(POSIX_ONLY)


@contextmanager
def working_folder(folder: Path) -> Iterator[Path]:
    """What a user's shell does: relative paths start at `folder`."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


def run_cli(folder: Path, subcommand: str, system: str, *options: str, logger: str = "false") -> LightningCLI:
    """`python cli.py <subcommand> --config <system>.yaml` at tiny size, in a folder of its own."""
    configs = ["--config", f"{system}.yaml", "--config", str(TINY / f"{system}.yaml")]
    with working_folder(folder):
        return cli.main([subcommand, *configs, "--trainer.logger", logger, *options])


@pytest.fixture(scope="session", autouse=True)
def _offline() -> None:
    os.environ["WANDB_MODE"] = "offline"


@pytest.fixture(scope="session", autouse=True)
def _one_thread_for_each_worker() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that a test starts
        torch.set_num_threads(1)
    os.environ["WANDB_SILENT"] = "true"


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small paired data set."""
    root = tmp_path_factory.mktemp("project") / "data"
    make_dataset(root, num_photos=6, num_sounds=6, photo_size=48)
    return root


@pytest.fixture(scope="session")
def chain(data_root: Path) -> Path:
    """A project folder in which all four systems are fitted and a silent `clip.mp4` waits for its sound."""
    folder = data_root.parent
    for system in SYSTEMS:
        run_cli(folder, "fit", system)
    make_video(folder / "clip.mp4", frames_per_second=8, size=(96, 64))
    return folder


@pytest.fixture(scope="session")
def film_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root of six short films with sound, of two kinds, and one without sound."""
    root = tmp_path_factory.mktemp("films") / "data"
    for seed in range(12):
        film = replace(sample_contacts(seed), duration_s=4.0)
        if film.kind in ("stick", "mouth"):
            (root / "videos" / film.kind).mkdir(parents=True, exist_ok=True)
            write_film(root / "videos" / film.kind / f"{seed:02d}.mp4", film)
    make_video(root / "videos" / "mouth" / "silent.mp4", size=(96, 64))
    return root
