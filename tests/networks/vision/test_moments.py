import numpy as np
import torch

from media.video.motion import CHANNELS, GRID, mirror_motion
from networks import MomentNetwork


def noise(num_frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num_frames, len(CHANNELS), GRID, GRID)).astype(np.float32)


def network(**arguments) -> MomentNetwork:
    torch.manual_seed(0)
    return MomentNetwork(width=4, hidden=8, **arguments).eval()


def test_there_is_a_logit_for_each_frame():
    logits = network()(torch.from_numpy(noise(30))[None])
    assert logits.shape == (1, 30)
    assert logits.sigmoid().mean() < 0.2  # onsets are rare


def test_a_frame_sees_no_more_than_the_margin_of_the_search():
    from pipelines.moments import MARGIN_FRAMES

    motion = torch.from_numpy(noise(100))[None].requires_grad_()
    network()(motion)[0, 50].backward()
    seen = motion.grad.abs().sum(dim=(0, 2, 3, 4)).nonzero().flatten()
    assert 50 - MARGIN_FRAMES <= seen.min() < 40
    assert 60 < seen.max() <= 50 + MARGIN_FRAMES


def test_a_film_and_its_mirror_image_have_the_same_probabilities():
    motion, fitted = noise(40), network()
    np.testing.assert_allclose(
        fitted.find_probabilities(motion), fitted.find_probabilities(mirror_motion(motion)), atol=1e-6
    )


def test_the_threshold_is_stored_with_the_weights():
    one, other = network(), network()
    one.threshold.fill_(0.4)
    other.load_state_dict(one.state_dict())
    assert float(other.threshold) == np.float32(0.4)


def test_the_description_builds_it_again():
    from networks import build

    assert build(network().describe()).state_dict().keys() == network().state_dict().keys()
