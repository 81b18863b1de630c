import pytest
import torch

from lightning_modules import Moments, load
from media.video.motion import CHANNELS, GRID
from metrics.onset_lift import THRESHOLDS
from networks import MomentNetwork
from tests.conftest import run_cli


def system(**arguments) -> Moments:
    torch.manual_seed(0)
    return Moments(MomentNetwork(width=4, hidden=8), **arguments)


def flashes(num_films: int = 4, num_frames: int = 60) -> dict[str, torch.Tensor]:
    """Films in which a place changes suddenly every 20 frames, and is heard then."""
    motion = 0.05 * torch.rand(num_films, num_frames, len(CHANNELS), GRID, GRID)
    target = torch.zeros(num_films, num_frames)
    for film in range(num_films):
        motion[film, 5 + film :: 20, 0, film, film] += 1
        target[film, 5 + film :: 20] = 1
    return {"motion": motion, "target": target}


def test_it_learns_what_is_heard():
    learner, batch = system().train(), flashes()
    optimizer = torch.optim.Adam(learner.parameters(), 0.02)
    first = learner.loss(batch)[0]
    for _ in range(60):
        optimizer.zero_grad()
        loss = learner.loss(batch)[0]
        loss.backward()
        optimizer.step()
    assert loss < 0.3 * first
    learner.eval()
    probabilities = learner.network(batch["motion"]).sigmoid()
    assert probabilities[batch["target"] == 1].min() > probabilities[batch["target"] == 0].median() + 0.3


@torch.no_grad()
def test_frames_after_a_films_end_do_not_count():
    learner, batch = system().eval(), flashes()
    longer = {
        "motion": torch.cat([batch["motion"], torch.zeros_like(batch["motion"])], dim=1),
        "target": torch.cat([batch["target"], torch.full_like(batch["target"], -1)], dim=1),
    }
    assert float(learner.loss(longer)[0]) == pytest.approx(float(learner.loss(batch)[0]), rel=0.05)
    wrong = longer["target"].clamp_min(0)
    assert float(learner.loss(longer | {"target": wrong})[0]) != pytest.approx(float(learner.loss(longer)[0]), rel=0.05)
    assert learner.loss(longer | {"target": torch.full_like(longer["target"], -1)})[0] == 0


def test_the_example_batch_is_like_the_data():
    batch = system().example_batch(3)
    assert batch["motion"].shape[:1] == batch["target"].shape[:1] == (3,)
    assert system().loss(batch)[0].isfinite()


@pytest.fixture(scope="module")
def fitted(film_root):
    folder = film_root.parent
    run_cli(folder, "fit", "moments")
    return folder


def test_it_is_fitted_tested_and_predicts_onsets(fitted):
    figures = run_cli(fitted, "test", "moments").trainer.callback_metrics
    assert set(figures) == {"test/loss", "test/f1", "test/lift"}
    assert all(value.isfinite() for value in figures.values())
    run_cli(fitted, "predict", "moments")
    rows = (fitted / "outputs/moments/predictions.csv").read_text().splitlines()
    assert rows[0] == "film,onsets,confidence,at_s"
    assert len(rows) == 3


def test_the_checkpoint_has_a_threshold_of_the_validation(fitted):
    stored = load(fitted / "checkpoints/moments/best.ckpt")
    assert min(abs(float(stored.network.threshold) - threshold) for threshold in THRESHOLDS) < 1e-6


def test_a_fit_starts_from_the_weights_of_another(fitted, tmp_path):
    best = fitted / "checkpoints/moments/best.ckpt"
    options = ["--model.weights", str(best), "--trainer.max_steps", "1", "--model.learning_rate", "0"]
    options += ["--data.root", str(fitted / "data"), "--checkpoint.dirpath", str(tmp_path / "ckpt")]
    learned = run_cli(tmp_path, "fit", "moments", *options).model.network
    expected = load(best).network.state_dict()
    for name, value in learned.state_dict().items():
        assert name == "threshold" or torch.equal(value.cpu(), expected[name])
