import pytest
import torch

from networks import CodePrior, TopContext
from networks.prior.incremental import PriorStepper, check_precision, time_precisions
from tests.helpers.tiny_networks import tiny_prior, tiny_top_context

NUM_ROWS = 4
LABELS = torch.tensor([0, 2, 1])


def random_codes(length, num_codes=11):
    return torch.randint(num_codes, (3, length), generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["top", "bottom"])
def has_context(request):
    return request.param == "bottom"


def prior_and_inputs(has_context, num_columns=4, **options):
    """A prior, codes of `num_columns`, and their context."""
    prior = tiny_prior(top_context=tiny_top_context() if has_context else None, **options)
    top_codes = random_codes(num_columns * NUM_ROWS // 4, num_codes=7) if has_context else None
    return prior, random_codes(num_columns * NUM_ROWS), top_codes


def stepped(prior, codes, context, prefix_length=0, precision="float32"):
    """Logits from `prefix_length` on, one by one."""
    stepper = PriorStepper(prior, LABELS[: len(codes)], precision)
    if prefix_length:
        stepper.start(codes[:, :prefix_length], context)
    logits = [
        stepper.step(codes[:, i - 1] if i else None, None if context is None else context[:, i])
        for i in range(prefix_length, codes.shape[1])
    ]
    return torch.stack(logits, dim=1)


@torch.no_grad()
@pytest.mark.parametrize("attention_columns", [None, 1, 2, 4])
@pytest.mark.parametrize("prefix_length", [0, 1, 6, 15])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_stepped_logits_are_the_recomputed_ones(has_context, attention_columns, prefix_length, batch_size):
    prior, codes, top_codes = prior_and_inputs(has_context, attention_columns=attention_columns)
    codes, top_codes = codes[:batch_size], None if top_codes is None else top_codes[:batch_size]
    expected = prior(codes, LABELS[:batch_size], top_codes)
    found = stepped(prior, codes, prior.context(top_codes), prefix_length)
    torch.testing.assert_close(found, expected[:, prefix_length:], atol=1e-4, rtol=0)
    assert torch.equal(found.argmax(2), expected[:, prefix_length:].argmax(2))


@torch.no_grad()
@pytest.mark.parametrize("num_key_value_heads", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_heads_may_share_their_keys_and_values(has_context, num_key_value_heads, batch_size):
    options = {"num_heads": 4, "num_key_value_heads": num_key_value_heads}
    prior, codes, top_codes = prior_and_inputs(has_context, **options)
    codes, top_codes = codes[:batch_size], None if top_codes is None else top_codes[:batch_size]
    expected = prior(codes, LABELS[:batch_size], top_codes)
    found = stepped(prior, codes, prior.context(top_codes), prefix_length=6)
    torch.testing.assert_close(found, expected[:, 6:], atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("prefix_length", [0, 3, 30])
def test_a_bounded_view_goes_on_beyond_its_cache(has_context, prefix_length):
    prior, codes, top_codes = prior_and_inputs(has_context, num_columns=20, attention_columns=2)
    expected = prior(codes, LABELS, top_codes)
    found = stepped(prior, codes, prior.context(top_codes), prefix_length)
    torch.testing.assert_close(found, expected[:, prefix_length:], atol=1e-4, rtol=0)


def test_a_cache_that_sees_all_ends_with_its_window():
    prior, codes, _ = prior_and_inputs(has_context=False, num_columns=5)
    with pytest.raises(ValueError, match="attends to 16 codes at most"):
        stepped(prior, codes, None)


@torch.no_grad()
@pytest.mark.parametrize(("precision", "tolerance"), [("float16", 0.02), ("int8", 0.5)])
def test_reduced_precision_is_near(has_context, precision, tolerance):
    prior, codes, top_codes = prior_and_inputs(has_context)
    expected = prior(codes, LABELS, top_codes)
    found = stepped(prior, codes, prior.context(top_codes), precision=precision)
    assert 0 < (found - expected).abs().max() < tolerance


def test_a_precision_that_a_device_lacks_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="precision is int8, expected float32 on cuda"):
        check_precision("int8", torch.device("cuda"))
    check_precision("float32", torch.device("cuda"))
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", ["qnnpack", "none"])
    with pytest.raises(ValueError, match="float16, which needs an x86 CPU"):
        check_precision("float16", torch.device("cpu"))


@torch.no_grad()
def test_autocast_leaves_a_cpu_exact(has_context):
    prior, codes, top_codes = prior_and_inputs(has_context)
    context = prior.context(top_codes)
    expected = stepped(prior, codes, context)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(stepped(prior, codes, context), expected)


@torch.no_grad()
@pytest.mark.parametrize("level", ["top", "bottom"])
def test_logits_are_equal_at_reference_size(level):
    torch.manual_seed(0)
    num_rows = {"top": 30, "bottom": 60}[level]
    prior = CodePrior(2, num_rows, num_rows, top_context=TopContext() if level == "bottom" else None).eval()
    codes = torch.randint(128, (1, num_rows * num_rows))
    context = prior.context(torch.randint(128, (1, 900)) if level == "bottom" else None)
    expected = prior.to_logits(prior.hidden(codes[:, :-1], LABELS[:1], context))
    prefix_length = codes.shape[1] - 300
    found = stepped(prior, codes, context, prefix_length)
    torch.testing.assert_close(found, expected[:, prefix_length:], atol=1e-4, rtol=0)


@pytest.mark.cuda
@torch.no_grad()
def test_logits_are_equal_on_a_gpu(has_context):
    prior, codes, top_codes = prior_and_inputs(has_context)
    context = prior.context(top_codes)
    expected = stepped(prior, codes, context)
    prior.cuda()
    stepper = PriorStepper(prior, LABELS.cuda())
    for i in range(codes.shape[1]):
        above = None if context is None else context[:, i].cuda()
        found = stepper.step(codes[:, i - 1].cuda() if i else None, above)
        torch.testing.assert_close(found.cpu(), expected[:, i], atol=1e-3, rtol=0)


def test_each_precision_of_this_cpu_is_timed_and_the_prior_left_alone():
    prior = tiny_prior().train()
    times_s = time_precisions(prior)
    assert {"float32", "int8"} <= times_s.keys() <= {"float32", "float16", "int8"}
    assert all(0 < seconds < 1 for seconds in times_s.values())
    assert prior.training
