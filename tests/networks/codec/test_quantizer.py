import copy

import pytest
import torch
from torch.nn import functional as F
from vector_quantize_pytorch import VectorQuantize

from networks import EMAQuantizer

NUM_CODES, DIM = 16, 8
BUFFERS = ("codebook", "cluster_size", "cluster_sum")


def started(**options):
    """A quantiser beyond its k-means start, with a random codebook."""
    torch.manual_seed(0)
    quantizer = EMAQuantizer(NUM_CODES, DIM, **options)
    quantizer.num_updates += 1
    return quantizer


def batches(num_batches, seed=0, batch_size=2):
    return torch.randn(num_batches, batch_size, DIM, 6, 5, generator=torch.Generator().manual_seed(seed))


def clustered(centers, num_vectors, spread=0.05):
    """(1, dim, 1, num_vectors) vectors spread a little around the centers, the same number around each."""
    generator = torch.Generator().manual_seed(1)
    vectors = centers.repeat(num_vectors // len(centers), 1)
    return (vectors + spread * torch.randn(vectors.shape, generator=generator)).T[None, :, None]


def assert_equal_states(first, second):
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.fixture
def pair():
    """The quantiser and an independent one, from the same state and without the oracle's smoothing of counts."""
    quantizer = started(revive_below=0)
    oracle = VectorQuantize(
        dim=DIM,
        codebook_size=NUM_CODES,
        decay=0.99,
        eps=0.0,
        threshold_ema_dead_code=0,
        rotation_trick=False,
        accept_image_fmap=True,
    )
    oracle._codebook.embed.copy_(quantizer.codebook[None])
    oracle._codebook.embed_avg.copy_(quantizer.cluster_sum[None])
    return quantizer, oracle


def test_codes_vectors_loss_and_moving_averages_equal_the_oracles(pair):
    quantizer, oracle = pair
    for vectors in batches(20):
        ours = quantizer(vectors)
        vectors_of_oracle, codes_of_oracle, loss_of_oracle = oracle(vectors)
        assert torch.equal(ours.codes, codes_of_oracle)
        torch.testing.assert_close(ours.vectors, vectors_of_oracle)
        torch.testing.assert_close(ours.commitment_loss, loss_of_oracle.squeeze())
    torch.testing.assert_close(quantizer.cluster_size, oracle._codebook.cluster_size[0])
    torch.testing.assert_close(quantizer.cluster_sum, oracle._codebook.embed_avg[0])
    torch.testing.assert_close(quantizer.codebook, oracle._codebook.embed[0])


def test_every_vector_gets_its_nearest_code():
    quantizer = started().eval()
    (vectors,) = batches(1)
    quantized = quantizer(vectors)
    distances = torch.cdist(vectors.movedim(1, -1).reshape(-1, DIM), quantizer.codebook)
    assert torch.equal(quantized.codes.flatten(), distances.argmin(dim=1))
    torch.testing.assert_close(quantized.vectors, quantizer.embed(quantized.codes))


def test_the_gradient_passes_straight_through():
    quantizer = started()
    vectors = batches(1)[0].requires_grad_()
    gradient = torch.randn(vectors.shape)
    quantizer(vectors).vectors.backward(gradient)
    assert torch.equal(vectors.grad, gradient)


def test_the_commitment_loss_pulls_vectors_onto_their_codes():
    quantizer = started().eval()
    vectors = batches(1)[0].requires_grad_()
    quantized = quantizer(vectors)
    quantized.commitment_loss.backward()
    torch.testing.assert_close(vectors.grad, 2 * (vectors - quantized.vectors).detach() / vectors.numel())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(dtype):
    quantizer = started()
    under_autocast = copy.deepcopy(quantizer)
    for vectors in (200 * batches(3)).to(dtype):  # their squared norms overflow fp16
        expected = quantizer(vectors.float())
        with torch.autocast("cpu", dtype=dtype):
            found = under_autocast(vectors)
        assert torch.equal(found.codes, expected.codes)
        assert torch.equal(found.commitment_loss, expected.commitment_loss)
        assert torch.equal(found.vectors, expected.vectors.to(dtype))
    assert_equal_states(quantizer, under_autocast)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_cast_to_half_precision_leaves_the_codebook_alone(dtype):
    quantizer = started()
    cast = copy.deepcopy(quantizer).to(dtype)
    assert all(getattr(cast, name).dtype == torch.float32 for name in BUFFERS)
    assert_equal_states(quantizer, cast)


def test_evaluation_never_updates():
    for quantizer in (EMAQuantizer(NUM_CODES, DIM), started()):
        before = copy.deepcopy(quantizer)
        quantizer.eval()(batches(1)[0])
        assert_equal_states(quantizer, before)


def test_the_first_batch_starts_the_codebook_by_k_means():
    centers = 3 * torch.randn(NUM_CODES, DIM, generator=torch.Generator().manual_seed(2))
    vectors = clustered(centers, 50 * NUM_CODES)
    torch.manual_seed(0)
    quantizer = EMAQuantizer(NUM_CODES, DIM)
    error_before = quantizer.eval()(vectors).commitment_loss
    quantizer.train()(vectors)
    after = quantizer.eval()(vectors)
    assert after.codes.unique().numel() >= 0.8 * NUM_CODES
    assert after.commitment_loss < 0.3 * error_before
    assert quantizer.num_updates == 1


def test_k_means_starts_once():
    quantizer = EMAQuantizer(NUM_CODES, DIM, revive_below=0)
    first, second = batches(2)
    quantizer(first)
    codebook = quantizer.codebook.clone()
    quantizer(second + 100)
    assert (quantizer.codebook - codebook).abs().max() < 60  # followed by 1 %, not started again


def test_a_first_batch_smaller_than_the_codebook_is_enough():
    quantizer = EMAQuantizer(NUM_CODES, DIM)
    vectors = batches(1)[0][:1, :, :2, :3]
    quantizer(vectors)
    assert quantizer.eval()(vectors).commitment_loss < 1e-6
    assert quantizer.codebook.isfinite().all()


@pytest.mark.parametrize(("revive_below", "num_far_away"), [(0.5, 0), (0, NUM_CODES // 2)])
def test_dead_codes_are_revived_unless_switched_off(revive_below, num_far_away):
    quantizer = started(decay=0.5, revive_below=revive_below)
    quantizer.codebook[::2] += 1000
    quantizer.cluster_sum.copy_(quantizer.codebook)
    for vectors in batches(10):
        quantizer(vectors)
    assert (quantizer.codebook.abs().amax(dim=1) > 500).sum() == num_far_away


def test_a_code_that_is_never_used_stays_in_its_place_without_revival():
    quantizer = started(decay=0.9, revive_below=0)
    quantizer.codebook[0] = quantizer.cluster_sum[0] = 1000.0
    (vectors,) = batches(1)
    for _ in range(300):
        quantizer(vectors)
    torch.testing.assert_close(quantizer.codebook[0], torch.full((DIM,), 1000.0))


def test_dead_codes_go_where_the_error_is():
    quantizer = started(decay=0.5)
    quantizer.codebook[:8] = 0.1 * torch.randn(8, DIM)
    quantizer.codebook[8:] = 1000.0
    quantizer.cluster_size[8:] = 0.5  # dead after one more batch without them
    quantizer.cluster_sum.copy_(quantizer.codebook * quantizer.cluster_size[:, None])
    near_zero = 0.1 * torch.randn(200, DIM)
    far_off = 50 + 0.1 * torch.randn(20, DIM)
    vectors = torch.cat([near_zero, far_off]).T[None, :, None]
    quantizer(vectors)
    # all the error lies in the second cloud, which the nearest code of the first one has just been pulled towards
    assert ((quantizer.codebook[8:] - 50).abs() < 1).all()


def test_codebook_counts_and_sums_stay_consistent_through_revivals():
    quantizer = EMAQuantizer(NUM_CODES, DIM, decay=0.5, revive_below=1.5)
    for vectors in batches(10):
        quantizer(vectors)
        torch.testing.assert_close(quantizer.codebook * quantizer.cluster_size[:, None], quantizer.cluster_sum)


def test_a_resumed_run_equals_an_unbroken_one():
    quantizer = EMAQuantizer(NUM_CODES, DIM, decay=0.5, revive_below=1.5)  # many revivals
    for vectors in batches(3):
        quantizer(vectors)
    resumed = EMAQuantizer(NUM_CODES, DIM, decay=0.5, revive_below=1.5)
    resumed.load_state_dict(copy.deepcopy(quantizer.state_dict()))
    for vectors in batches(5, seed=1):
        quantizer(vectors)
    torch.manual_seed(123)
    for vectors in batches(5, seed=1):
        resumed(vectors)
    assert_equal_states(quantizer, resumed)


def test_the_global_random_state_is_left_alone():
    quantizer = EMAQuantizer(NUM_CODES, DIM, decay=0.5, revive_below=1.5)
    before = torch.get_rng_state()
    quantizer(F.pad(torch.ones(2, DIM, 3, 3), (0, 2)))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_that_overflowed_changes_nothing_but_the_count():
    quantizer = EMAQuantizer(NUM_CODES, DIM, decay=0.5, revive_below=1.5)
    first, overflowed, last = batches(3)
    quantizer(first)
    before = copy.deepcopy(quantizer)
    overflowed[0, 0, 0, 0] = torch.inf
    quantizer(overflowed)
    assert all(torch.equal(getattr(quantizer, name), getattr(before, name)) for name in BUFFERS)
    assert quantizer.num_updates == before.num_updates + 1
    resumed = EMAQuantizer(NUM_CODES, DIM, decay=0.5, revive_below=1.5)
    resumed.load_state_dict(copy.deepcopy(quantizer.state_dict()))
    for each in (quantizer, resumed):
        each(last)
    assert_equal_states(quantizer, resumed)


def test_a_loaded_state_counts_and_not_what_was_trained_before():
    used, new = EMAQuantizer(NUM_CODES, DIM), EMAQuantizer(NUM_CODES, DIM)
    first, second = batches(2)
    used(first)
    used.load_state_dict(copy.deepcopy(new.state_dict()))
    for quantizer in (used, new):
        quantizer(second)  # k-means starts both
    assert_equal_states(used, new)


@pytest.mark.cuda
def test_after_the_start_a_step_does_not_wait_for_the_gpu():
    quantizer = EMAQuantizer(NUM_CODES, DIM, decay=0.5, revive_below=1.5).cuda()
    vectors = batches(3).cuda()
    quantizer(vectors[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for each in vectors[1:]:
            quantizer(each)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert quantizer.num_updates == 3
