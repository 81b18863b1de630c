import torch

from networks.vision.familiarity import Familiarity


def unit(*directions: int, size: int = 6) -> torch.Tensor:
    return torch.eye(size)[list(directions)]


def test_before_a_fit_nothing_is_refused():
    familiarity = Familiarity(6)
    assert (familiarity(torch.randn(4, 6)) >= familiarity.threshold).all()


def test_it_is_the_mean_cosine_to_the_five_most_similar_photos():
    familiarity = Familiarity(6)
    familiarity.remember(torch.cat([unit(0, 0, 0, 0, 1, 1), 7 * unit(2)]))
    scores = familiarity(torch.cat([3 * unit(0), unit(1), unit(5)]))
    torch.testing.assert_close(scores, torch.tensor([4 / 5, 2 / 5, 0.0]))


def test_few_photos_are_enough():
    familiarity = Familiarity(6)
    familiarity.remember(unit(0, 1))
    torch.testing.assert_close(familiarity(unit(0)), torch.tensor([0.5]))


def test_with_imagenets_head_only_names_that_stand_out_count():
    """Two pictures share many weak names, and no strong one."""
    familiarity = Familiarity(200, num_names=200)
    with torch.no_grad():
        familiarity.names.weight.copy_(torch.eye(200))
        familiarity.names.bias.zero_()
    weak = torch.full((200,), 3.0)
    first, second = weak.clone(), weak.clone()
    first[:10] += 5
    second[10:20] += 5
    familiarity.remember(first[None])
    torch.testing.assert_close(familiarity(torch.stack([first, second])), torch.tensor([1.0, 0.0]))


def test_the_threshold_keeps_nearly_all_known_photos():
    torch.manual_seed(0)
    familiarity, known = Familiarity(6), 0.6 + 0.1 * torch.randn(300)
    familiarity.choose_threshold(known, torch.empty(0))
    assert 0.97 <= (known >= familiarity.threshold).float().mean() < 0.98


def test_few_photos_without_a_tail_do_not_make_it_strict():
    familiarity, known = Familiarity(6), torch.tensor([0.5, 0.6, 0.7, 0.8])
    familiarity.choose_threshold(known, torch.empty(0))
    assert familiarity.threshold < 0.5


def test_with_photos_of_something_else_it_separates_both():
    familiarity = Familiarity(6)
    familiarity.choose_threshold(torch.tensor([0.2, 0.6, 0.7, 0.8, 0.9]), torch.tensor([0.1, 0.3, 0.4, 0.5]))
    assert 0.5 < familiarity.threshold < 0.6


def test_a_checkpoint_may_have_any_number_of_photos():
    fitted, other = Familiarity(6), Familiarity(6)
    fitted.remember(torch.randn(17, 6))
    fitted.choose_threshold(torch.rand(9), torch.empty(0))
    other.load_state_dict(fitted.state_dict())
    features = torch.randn(3, 6)
    assert torch.equal(other(features), fitted(features))
    assert other.threshold == fitted.threshold
