"""A fit that dies and is started again ends as one that was never broken: to the last bit."""

import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import SYSTEMS
from tests.helpers.killing import Kill, differences, finish, fit_args, logged_figures, start

COMPARED = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch", "video2audio")
MOMENTS = {"start": 1, "step": 18, "validation": 8, "write": 5, "rename": 4}


def project(chain: Path, folder: Path, system: str) -> Path:
    """A folder of its own with the data, and for a prior the VQ-VAE that it learns from."""
    shutil.copytree(chain / "data", folder / "data")
    if system in ("top", "bottom"):
        shutil.copytree(chain / "checkpoints" / "vqvae", folder / "checkpoints" / "vqvae")
    return folder


def checkpoint(folder: Path, system: str, name: str = "last.ckpt") -> dict:
    content = torch.load(folder / "checkpoints" / system / name, weights_only=True)
    content["video2audio"]["system"]["init_args"].pop("codec", None)  # a path
    progress = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    (best,) = [state for key, state in content["callbacks"].items() if key.startswith("BestCheckpoint")]
    return {key: content[key] for key in COMPARED} | {"progress": progress, "best": best["best_model_score"]}


def fit_to_the_end(folder: Path, system: str, kills: list[Kill], *options: str) -> int:
    """Starts the same command again until it is finished; returns how often it was killed."""
    num_killed = 0
    for kill in [*kills, None]:
        code = finish(start(folder, fit_args(folder, system, *options), kill))
        assert code in (0, -signal.SIGKILL), (folder / "printed.txt").read_text()
        num_killed += code == -signal.SIGKILL
    return num_killed


def seeded_kills(seed: int, num_kills: int) -> list[Kill]:
    """Every moment in turn, each at a drawn time."""
    draw = random.Random(seed)
    moments = list(MOMENTS)
    return [Kill(moment := moments[i % len(moments)], draw.randint(1, MOMENTS[moment])) for i in range(num_kills)]


def assert_equal_ends(broken: Path, unbroken: Path, system: str) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        assert differences(checkpoint(broken, system, name), checkpoint(unbroken, system, name)) == []
    assert logged_figures(broken, system) == logged_figures(unbroken, system)
    assert not list((broken / "checkpoints" / system).glob(".*"))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_killed_fit_ends_as_an_unbroken_one(chain: Path, tmp_path: Path, system: str, num_workers: int) -> None:
    workers = ["--data.num_workers", str(num_workers)]
    kills = seeded_kills(seed=SYSTEMS.index(system), num_kills=5) if num_workers == 0 else [Kill("step", 7)]
    unbroken = project(chain, tmp_path / "unbroken", system)
    assert fit_to_the_end(unbroken, system, [], *workers) == 0
    broken = project(chain, tmp_path / "broken", system)
    assert fit_to_the_end(broken, system, kills, *workers) >= 1
    assert_equal_ends(broken, unbroken, system)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_twenty_kills_and_some_by_the_clock(chain: Path, tmp_path: Path, system: str) -> None:
    options = ["--trainer.max_steps", "120" if system == "classifier" else "240"]
    unbroken = project(chain, tmp_path / "unbroken", system)
    began_at = time.monotonic()
    fit_to_the_end(unbroken, system, [], *options)
    duration_s = time.monotonic() - began_at
    broken = project(chain, tmp_path / "broken", system)
    draw = random.Random(SYSTEMS.index(system))
    num_killed = 0
    for kill in seeded_kills(seed=100 + SYSTEMS.index(system), num_kills=20):
        by_the_clock = draw.random() < 0.25
        process = start(broken, fit_args(broken, system, *options), None if by_the_clock else kill)
        if by_the_clock:
            time.sleep(draw.uniform(0, duration_s / 5))
            process.kill()
        num_killed += finish(process) == -signal.SIGKILL
    fit_to_the_end(broken, system, [], *options)
    assert num_killed == 20
    print(f"{system}: killed {num_killed} times")
    assert_equal_ends(broken, unbroken, system)


@pytest.mark.cuda
def test_the_gradient_scaler_goes_on_too(chain: Path, tmp_path: Path) -> None:
    options = ["--trainer.accelerator", "gpu", "--trainer.precision", "16-mixed"]
    ends = []
    for name, kills in (("unbroken", []), ("broken", [Kill("step", 11)])):
        folder = project(chain, tmp_path / name, "top")
        fit_to_the_end(folder, "top", kills, *options)
        ends.append(torch.load(folder / "checkpoints" / "top" / "last.ckpt", weights_only=True)["MixedPrecision"])
    assert differences(*ends) == []
    assert ends[0]["_growth_tracker"] > 0
