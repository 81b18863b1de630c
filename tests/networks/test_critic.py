import pytest
import torch

from networks import PatchCritic
from networks.critic import criticism, hinge_loss


@pytest.mark.parametrize("num_halvings", [1, 2, 3])
def test_a_score_depends_on_its_patch_alone(num_halvings):
    torch.manual_seed(0)
    critic = PatchCritic(width=4, num_halvings=num_halvings).eval()
    spectrogram = torch.rand(1, 1, 128, 128, requires_grad=True)
    scores, features = critic(spectrogram)
    assert scores.shape[-1] == features[-1].shape[-1] == 128 >> num_halvings
    middle = scores.shape[-1] // 2
    scores[0, 0, middle, middle].backward()
    seen = spectrogram.grad[0, 0].nonzero()
    sides = seen.amax(dim=0) - seen.amin(dim=0) + 1
    assert sides.tolist() == [critic.patch_size] * 2


def test_a_critic_learns_to_tell_blurred_from_sharp():
    torch.manual_seed(0)
    critic = PatchCritic(width=8, num_halvings=2)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    for _ in range(60):
        real = torch.rand(8, 1, 32, 32)
        made = torch.nn.functional.avg_pool2d(real, 3, stride=1, padding=1)
        loss = hinge_loss(critic(real)[0], critic(made)[0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1.0  # 2 is a guess


def test_the_losses_are_those_of_the_papers():
    scores = torch.tensor([-2.0, 0.5, 3.0])
    assert hinge_loss(scores, scores).item() == pytest.approx((3 + 0.5 + 0) / 3 + (0 + 1.5 + 4) / 3)
    real, made = [torch.tensor([1.0, -3.0])], [torch.tensor([2.0, -3.0])]
    assert criticism(scores, made, real).item() == pytest.approx(0.5 / 2 - 0.5)
    assert criticism(scores, real, real).item() == pytest.approx(-0.5)
