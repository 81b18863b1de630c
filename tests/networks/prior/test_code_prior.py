import pytest
import torch
from torch.nn import functional as F

from networks.codec.code_grid import flatten_codes, unflatten_codes
from tests.helpers.tiny_networks import tiny_prior, tiny_top_context

NUM_ROWS, NUM_COLUMNS = 4, 4
LENGTH = NUM_ROWS * NUM_COLUMNS


def random_codes(*shape, num_codes=11, seed=0):
    return torch.randint(num_codes, shape, generator=torch.Generator().manual_seed(seed))


def top_prior():
    return tiny_prior()


def bottom_prior(**context_options):
    return tiny_prior(top_context=tiny_top_context(**context_options))


@pytest.fixture(params=["top", "bottom"])
def prior_and_top_codes(request):
    """Each prior with what it is conditioned on, for a batch of two."""
    if request.param == "top":
        return top_prior(), None
    return bottom_prior(), random_codes(2, LENGTH // 4, num_codes=7)


CODES, LABELS = random_codes(2, LENGTH), torch.tensor([0, 2])


@torch.no_grad()
def test_a_code_is_seen_only_by_those_after_it(prior_and_top_codes):
    prior, top_codes = prior_and_top_codes
    before = prior(CODES, LABELS, top_codes)
    for position in range(LENGTH):
        changed = CODES.clone()
        changed[:, position] = (changed[:, position] + 1) % 11
        difference = (prior(changed, LABELS, top_codes) - before).abs().amax(dim=(0, 2))
        assert (difference[: position + 1] < 1e-5).all()
        assert (difference[position + 1 :] > 1e-4).all()


@torch.no_grad()
def test_a_prefix_has_the_logits_of_the_whole(prior_and_top_codes):
    prior, top_codes = prior_and_top_codes
    whole = prior(CODES, LABELS, top_codes)
    for length in (1, 5, 8):
        torch.testing.assert_close(prior(CODES[:, :length], LABELS, top_codes), whole[:, :length], atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_class_matters_everywhere(prior_and_top_codes):
    prior, top_codes = prior_and_top_codes
    difference = prior(CODES, LABELS, top_codes) - prior(CODES, torch.tensor([1, 1]), top_codes)
    assert (difference.abs().amax(dim=2) > 1e-2).all()


@torch.no_grad()
def test_rows_of_a_batch_are_independent(prior_and_top_codes):
    prior, top_codes = prior_and_top_codes
    together = prior(CODES, LABELS, top_codes)
    for row in range(2):
        top_of_row = None if top_codes is None else top_codes[row : row + 1]
        alone = prior(CODES[row : row + 1], LABELS[row : row + 1], top_of_row)
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=0)


def test_activation_checkpointing_gives_the_same_loss_and_gradients():
    results = []
    for activation_checkpointing in (False, True):
        prior = tiny_prior(activation_checkpointing=activation_checkpointing, top_context=tiny_top_context()).train()
        torch.manual_seed(0)
        logits = prior(CODES, LABELS, random_codes(2, LENGTH // 4, num_codes=7))
        loss = F.cross_entropy(logits.flatten(0, 1), CODES.flatten())
        loss.backward()
        results.append((loss, {name: parameter.grad for name, parameter in prior.named_parameters()}))
    assert all(gradient.abs().sum() > 0 for gradient in results[0][1].values())
    torch.testing.assert_close(*results)


@torch.no_grad()
def test_rows_are_told_apart():
    """The same code at another frequency means something else."""
    constant = torch.zeros(1, LENGTH, dtype=torch.long)
    column = top_prior()(constant, LABELS[:1])[0, NUM_ROWS : 2 * NUM_ROWS]
    assert (torch.pdist(column) > 0.1).all()


@torch.no_grad()
def test_there_is_no_end_of_time():
    """Beyond its window it goes on; in a constant sound, a late column looks like one shortly before it."""
    logits = top_prior()(torch.zeros(1, 50 * NUM_ROWS, dtype=torch.long), LABELS[:1])
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[:, -NUM_ROWS:], logits[:, -2 * NUM_ROWS : -NUM_ROWS], atol=0.1, rtol=0)


class TestTopContext:
    NUM_TOP_ROWS, NUM_TOP_COLUMNS = 7, 9

    def grid(self, context, top_grid):
        """The context as a picture: (batch, width, bottom rows, bottom columns)."""
        flat = context(top_grid)
        return unflatten_codes(flat.transpose(1, 2), context.scale * self.NUM_TOP_ROWS)

    @torch.no_grad()
    @pytest.mark.parametrize(("scale", "num_layers", "kernel_size"), [(2, 2, 3), (2, 1, 5), (4, 0, 3), (1, 1, 3)])
    def test_it_reaches_as_far_as_its_convolutions(self, scale, num_layers, kernel_size):
        context = tiny_top_context(scale=scale, num_layers=num_layers, kernel_size=kernel_size)
        top_grid = random_codes(1, self.NUM_TOP_ROWS, self.NUM_TOP_COLUMNS, num_codes=7)
        row, column = 3, 4
        changed = top_grid.clone()
        changed[0, row, column] = (changed[0, row, column] + 1) % 7
        found = (self.grid(context, changed) - self.grid(context, top_grid)).abs().amax(dim=(0, 1)) > 0

        reach = num_layers * (kernel_size // 2)
        is_near_row = (torch.arange(self.NUM_TOP_ROWS) - row).abs() <= reach
        is_near_column = (torch.arange(self.NUM_TOP_COLUMNS) - column).abs() <= reach
        expected = is_near_row[:, None] & is_near_column
        expected = expected.repeat_interleave(scale, dim=0).repeat_interleave(scale, dim=1)
        assert torch.equal(found, expected)

    @torch.no_grad()
    def test_a_top_code_lies_above_the_bottom_codes_of_its_place(self):
        prior = bottom_prior(kernel_size=1)
        top_grid = random_codes(1, 2, 2, num_codes=7)
        before = prior(CODES[:1], LABELS[:1], flatten_codes(top_grid))
        for row in range(2):
            for column in range(2):
                changed = top_grid.clone()
                changed[0, row, column] = (changed[0, row, column] + 1) % 7
                after = prior(CODES[:1], LABELS[:1], flatten_codes(changed))
                is_changed = (after - before)[0].abs().amax(dim=1) > 1e-5
                first = 2 * column * NUM_ROWS + 2 * row  # of its four bottom codes, in the order of the sequence
                assert not is_changed[:first].any()
                assert is_changed[first:].all()

    @torch.no_grad()
    def test_the_future_of_the_top_is_seen(self):
        prior = bottom_prior()
        top_codes = random_codes(1, 4, num_codes=7)
        changed = top_codes.clone()
        changed[0, -1] = (changed[0, -1] + 1) % 7
        difference = prior(CODES[:1], LABELS[:1], changed) - prior(CODES[:1], LABELS[:1], top_codes)
        assert difference[0, 0].abs().max() > 1e-3

    def test_a_prior_without_context_refuses_top_codes(self):
        with pytest.raises(ValueError, match="top_context = None, and was given top codes"):
            top_prior()(CODES, LABELS, random_codes(2, 4, num_codes=7))

    def test_a_prior_with_context_demands_top_codes(self):
        with pytest.raises(ValueError, match="was given no top codes"):
            bottom_prior()(CODES, LABELS)

    def test_rows_that_the_scale_does_not_divide_are_refused(self):
        with pytest.raises(ValueError, match="num_rows = 5"):
            tiny_prior(num_rows=5, top_context=tiny_top_context())

    def test_another_width_is_refused(self):
        with pytest.raises(ValueError, match=r"width.*8.*16"):
            tiny_prior(top_context=tiny_top_context(width=8))
