from itertools import islice

import pytest
import torch
from torch.nn import functional as F

from networks import Sampling, sample_codes, stream_columns
from networks.codec.code_grid import flatten_codes
from tests.helpers.tiny_networks import tiny_prior, tiny_top_context

NUM_DRAWS = 20_000
GREEDY = Sampling(temperature=0)
PROBABILITIES = torch.tensor([0.05, 0.4, 0.1, 0.3, 0.15])


def frequencies(sampling, probabilities=PROBABILITIES):
    """How often each code comes out, over evenly spread uniform numbers."""
    uniform = (torch.arange(NUM_DRAWS) + 0.5) / NUM_DRAWS
    drawn = sampling.draw(probabilities.log().expand(NUM_DRAWS, -1), uniform)
    return torch.bincount(drawn, minlength=len(probabilities)) / NUM_DRAWS


class TestDraw:
    @pytest.mark.parametrize(
        ("sampling", "expected"),
        [
            (Sampling(), [0.05, 0.4, 0.1, 0.3, 0.15]),
            (Sampling(temperature=0), [0, 1, 0, 0, 0]),
            (Sampling(top_k=1), [0, 1, 0, 0, 0]),
            (Sampling(top_k=3), [0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85]),
            (Sampling(top_k=0), [0.05, 0.4, 0.1, 0.3, 0.15]),
            (Sampling(top_k=99), [0.05, 0.4, 0.1, 0.3, 0.15]),
            (Sampling(top_p=1e-6), [0, 1, 0, 0, 0]),
            (Sampling(top_p=0.39), [0, 1, 0, 0, 0]),
            (Sampling(top_p=0.41), [0, 0.4 / 0.7, 0, 0.3 / 0.7, 0]),
            (Sampling(top_p=0.84), [0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85]),
            (Sampling(top_k=2, top_p=0.6), [0, 0.4 / 0.7, 0, 0.3 / 0.7, 0]),  # 0.4 is less than 0.6 of the 0.7 kept
            (Sampling(top_k=2, top_p=0.5), [0, 1, 0, 0, 0]),
        ],
        ids=repr,
    )
    def test_codes_come_as_often_as_they_should(self, sampling, expected):
        torch.testing.assert_close(frequencies(sampling), torch.tensor(expected).float(), atol=1e-3, rtol=0)

    @pytest.mark.parametrize("temperature", [0.5, 2.0])
    def test_temperature_divides_the_logits(self, temperature):
        expected = (PROBABILITIES.log() / temperature).softmax(dim=0)
        torch.testing.assert_close(frequencies(Sampling(temperature)), expected, atol=1e-3, rtol=0)

    def test_many_codes_follow_their_softmax(self):
        probabilities = torch.randn(128, generator=torch.Generator().manual_seed(0)).softmax(dim=0)
        torch.testing.assert_close(frequencies(Sampling(), probabilities), probabilities, atol=1e-3, rtol=0)

    def test_each_row_has_its_own_distribution(self):
        logits = torch.full((7, 7), -100.0).fill_diagonal_(0.0)
        for sampling in (Sampling(), Sampling(top_k=1), Sampling(top_p=0.9), GREEDY):
            assert sampling.draw(logits, torch.rand(7)).tolist() == list(range(7))

    def test_top_p_keeps_no_more_than_it_needs(self):
        equal = torch.zeros(100, 4)
        for num_kept, top_p in enumerate((0.25, 0.5, 0.75, 1.0), start=1):
            assert Sampling(top_p=top_p).draw(equal, torch.arange(100) / 100).unique().numel() == num_kept

    @pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
    def test_both_ends_of_the_uniform_numbers_give_codes_that_are_kept(self, uniform):
        logits = torch.randn(500, 20, generator=torch.Generator().manual_seed(0))
        for top_k in range(1, 20):
            drawn = Sampling(top_k=top_k).draw(logits, torch.full((500,), uniform))
            assert (logits.topk(top_k).indices == drawn[:, None]).any(dim=1).all()

    @pytest.mark.parametrize("temperature", [1e-3, 1e-38])
    def test_a_tiny_temperature_is_greedy(self, temperature):
        logits = torch.tensor([[1.0, 30.0, 29.0]])
        assert Sampling(temperature).draw(logits, torch.tensor([0.9])).tolist() == [1]

    def test_impossible_codes_are_never_drawn(self):
        logits = PROBABILITIES.log().index_fill(0, torch.tensor([0, 3]), -torch.inf)
        uniform = torch.cat([torch.arange(1000) / 1000, torch.tensor([1 - 2**-24])])
        for sampling in (Sampling(), Sampling(top_p=0.99999)):
            assert sampling.draw(logits.expand(1001, -1), uniform).unique().tolist() == [1, 2, 4]

    def test_the_last_codes_may_be_impossible(self):
        logits = PROBABILITIES.log().index_fill(0, torch.tensor([3, 4]), -torch.inf)
        assert Sampling().draw(logits[None], torch.tensor([1 - 2**-24])).tolist() == [2]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"temperature": -0.1}, "temperature is -0.1, expected 0 or more"),
            ({"temperature": float("nan")}, "temperature is nan, expected 0 or more"),
            ({"top_k": -1}, "top_k is -1, expected 0 or more"),
            ({"top_p": 0.0}, "top_p is 0.0, expected above 0 and at most 1"),
            ({"top_p": 1.1}, "top_p is 1.1, expected above 0 and at most 1"),
        ],
        ids=str,
    )
    def test_values_out_of_range_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            Sampling(**options)


LABELS, SEEDS = torch.tensor([0, 2, 1]), [5, 6, 7]


def top_of(num_columns, batch_size=3, num_rows=2):
    grid = torch.randint(7, (batch_size, num_rows, num_columns), generator=torch.Generator().manual_seed(0))
    return flatten_codes(grid)


@pytest.fixture(params=["top", "bottom"])
def prior_and_top_codes(request):
    """Each prior with what it is conditioned on, long enough for three windows."""
    if request.param == "top":
        return tiny_prior(), None
    return tiny_prior(top_context=tiny_top_context()), top_of(num_columns=5)


def recomputed_greedily(prior, labels, num_columns, stride, top_codes=None):
    """What `sample_codes` promises, without cache: every code from a full forward pass over its window."""
    rows = prior.num_rows
    codes = torch.empty(len(labels), 0, dtype=torch.long)
    for start in range(0, max(num_columns - prior.num_columns, 0) + stride, stride):
        end = min(start + prior.num_columns, num_columns)
        above = None if top_codes is None else top_codes[:, start // 2 * (rows // 2) : -(-end // 2) * (rows // 2)]
        window = codes[:, start * rows :]
        assert start == 0 or window.shape[1] == (prior.num_columns - stride) * rows
        while window.shape[1] < (end - start) * rows:
            logits = prior(F.pad(window, (0, 1)), labels, above)[:, -1]
            window = torch.cat([window, logits.argmax(dim=-1, keepdim=True)], dim=1)
        codes = torch.cat([codes[:, : start * rows], window], dim=1)
    return codes


class TestSampleCodes:
    @torch.no_grad()
    @pytest.mark.parametrize("num_columns", [1, 4, 5, 6, 10])
    def test_greedy_sampling_equals_recomputation(self, prior_and_top_codes, num_columns):
        prior, top_codes = prior_and_top_codes
        found = sample_codes(prior, LABELS, num_columns, SEEDS, GREEDY, top_codes)
        assert torch.equal(found, recomputed_greedily(prior, LABELS, num_columns, 2, top_codes))
        assert found.unique().numel() > 2 or num_columns == 1

    @torch.no_grad()
    def test_windows_of_an_odd_number_of_columns(self):
        prior = tiny_prior(num_columns=5)
        found = sample_codes(prior, LABELS, 12, SEEDS, GREEDY)
        assert torch.equal(found, recomputed_greedily(prior, LABELS, 12, 2))

    @torch.no_grad()
    def test_windows_start_at_whole_top_columns(self):
        prior = tiny_prior(num_columns=6, top_context=tiny_top_context())  # half a window would be three columns
        found = sample_codes(prior, LABELS, 11, SEEDS, GREEDY, top_of(num_columns=6))
        assert torch.equal(found, recomputed_greedily(prior, LABELS, 11, 2, top_of(num_columns=6)))

    def test_the_same_seed_gives_the_same_codes(self, prior_and_top_codes):
        prior, top_codes = prior_and_top_codes
        first = sample_codes(prior, LABELS, 10, SEEDS, Sampling(), top_codes)
        torch.manual_seed(123)
        assert torch.equal(sample_codes(prior, LABELS, 10, SEEDS, Sampling(), top_codes), first)

    def test_other_seeds_give_other_codes(self, prior_and_top_codes):
        prior, top_codes = prior_and_top_codes
        first = sample_codes(prior, LABELS, 10, SEEDS, Sampling(), top_codes)
        second = sample_codes(prior, LABELS, 10, [8, 9, 10], Sampling(), top_codes)
        assert (first != second).any(dim=1).all()

    def test_a_row_comes_out_the_same_alone_and_in_a_batch(self, prior_and_top_codes):
        prior, top_codes = prior_and_top_codes
        together = sample_codes(prior, LABELS, 10, SEEDS, Sampling(), top_codes)
        for row in range(3):
            top_of_row = None if top_codes is None else top_codes[row : row + 1]
            alone = sample_codes(prior, LABELS[row : row + 1], 10, SEEDS[row : row + 1], Sampling(), top_of_row)
            assert torch.equal(alone[0], together[row])

    def test_rows_with_one_seed_and_class_are_equal(self):
        codes = sample_codes(tiny_prior(), torch.tensor([1, 1, 2]), 10, [3, 3, 3], Sampling())
        assert torch.equal(codes[0], codes[1])
        assert not torch.equal(codes[0], codes[2])

    def test_a_longer_sound_begins_like_a_shorter_one(self):
        short, long = (sample_codes(tiny_prior(), LABELS, num_columns, SEEDS, Sampling()) for num_columns in (5, 9))
        assert torch.equal(long[:, : short.shape[1]], short)

    def test_each_window_draws_afresh(self):
        prior = tiny_prior()
        for parameter in prior.parameters():
            torch.nn.init.zeros_(parameter)  # every code is as likely, so that only the random numbers decide
        columns = sample_codes(prior, LABELS, 10, SEEDS, Sampling()).unflatten(1, (10, -1))
        for start in range(2, 8, 2):
            assert (columns[:, start : start + 2] != columns[:, start + 2 : start + 4]).any(dim=(1, 2)).all()

    def test_codes_follow_the_distribution_of_the_prior(self):
        prior = tiny_prior()
        num_rows = 1000
        labels = torch.zeros(num_rows, dtype=torch.long)
        first = sample_codes(prior, labels, 1, list(range(num_rows)), Sampling())[:, 0]
        with torch.no_grad():
            expected = prior(torch.zeros(1, 1, dtype=torch.long), labels[:1])[0, 0].softmax(dim=0)
        torch.testing.assert_close(torch.bincount(first, minlength=11) / num_rows, expected, atol=0.05, rtol=0)

    def test_the_global_random_state_is_left_alone(self):
        prior = tiny_prior()
        before = torch.get_rng_state()
        sample_codes(prior, LABELS, 5, SEEDS, Sampling())
        assert torch.equal(torch.get_rng_state(), before)

    @torch.no_grad()
    @pytest.mark.parametrize("num_columns", [1, 4, 5, 10, 13])
    def test_a_bounded_view_needs_no_windows(self, num_columns):
        """Its codes are those of one full forward pass over the whole sound."""
        for context, top_codes in ((None, None), (tiny_top_context(), top_of(num_columns=7))):
            prior = tiny_prior(attention_columns=2, top_context=context)
            above = None if top_codes is None else top_codes[:, : -(-num_columns // 2) * 2]
            codes = torch.empty(3, 0, dtype=torch.long)
            for _ in range(num_columns * 4):
                logits = prior(F.pad(codes, (0, 1)), LABELS, above)[:, -1]
                codes = torch.cat([codes, logits.argmax(dim=-1, keepdim=True)], dim=1)
            assert torch.equal(sample_codes(prior, LABELS, num_columns, SEEDS, GREEDY, above), codes)

    def test_too_few_top_codes_are_refused(self):
        prior = tiny_prior(top_context=tiny_top_context())
        with pytest.raises(ValueError, match="top"):
            sample_codes(prior, LABELS, 10, SEEDS, GREEDY, top_of(num_columns=4))

    def test_top_codes_for_a_prior_without_context_are_refused(self):
        with pytest.raises(ValueError, match="was given top codes"):
            sample_codes(tiny_prior(), LABELS, 4, SEEDS, GREEDY, top_of(num_columns=2))


class TestStreamColumns:
    @pytest.mark.parametrize("attention_columns", [None, 2])
    def test_both_levels_together_are_the_codes_of_one_call_each(self, attention_columns):
        top = tiny_prior(num_rows=2, num_codes=7, attention_columns=attention_columns)
        bottom = tiny_prior(attention_columns=attention_columns, top_context=tiny_top_context())
        top_columns = islice(stream_columns(top, LABELS, SEEDS, Sampling()), 9)
        streamed = torch.cat(list(stream_columns(bottom, LABELS, SEEDS, Sampling(), top_columns)), dim=1)
        top_codes = sample_codes(top, LABELS, 9, SEEDS, Sampling())
        assert torch.equal(streamed, sample_codes(bottom, LABELS, 18, SEEDS, Sampling(), top_codes))

    @pytest.mark.parametrize(("attention_columns", "num_ahead"), [(None, 2), (2, 2 + 2)])
    def test_top_columns_are_taken_when_they_are_needed(self, attention_columns, num_ahead):
        """A window ahead, and with a bounded view what the context reaches, too."""
        bottom = tiny_prior(attention_columns=attention_columns, top_context=tiny_top_context())
        taken = []
        top_columns = (taken.append(None) or torch.zeros(3, 2, dtype=torch.long) for _ in range(100))
        columns = stream_columns(bottom, LABELS, SEEDS, Sampling(), top_columns)
        next(columns)
        assert len(taken) == num_ahead
        for _ in range(19):
            next(columns)
        assert len(taken) <= num_ahead + 10
