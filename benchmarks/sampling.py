"""Speed of sampling codes from the priors."""

from functools import partial

import torch
from torch import Tensor

from benchmarks.generating import (
    CACHED,
    RECOMPUTED,
    CachedGenerator,
    Generator,
    OurGenerator,
    RecomputedGenerator,
    integrated_s,
    random_top_codes,
)
from benchmarks.gpt import GPT, gpt_sizes
from benchmarks.measuring import Plan, tell
from benchmarks.models import build_prior, variant
from benchmarks.records import LEFT_OUT, Part, Row, rows
from networks import CodePrior, Sampling, sample_codes
from networks.prior.incremental import Precision

ATTENTION_COLUMNS = 8
BATCH_SIZE = 8
NUM_LENGTHS = 7
FEW_LENGTHS = 3
OURS, ALONE = "ours, float32", "ours, float32, batch 1"


def measure_sampling(plan: Plan) -> Part:
    """Measures both priors: the time for all codes of a window, and codes per second in a batch."""
    found: list[Row] = []
    for level in ("top", "bottom"):
        prior = build_prior(plan, level).to(plan.device).eval()
        gpt = GPT(**gpt_sizes(prior)).to(plan.device).eval()
        found += measure_window(plan, level, prior, gpt)
        found += measure_batch(plan, level, prior, gpt)
    return Part("sampling", "Sampling from the priors", found)


def measure_window(plan: Plan, level: str, prior: CodePrior, gpt: GPT) -> list[Row]:
    """Measures the seconds for the codes of one window. Slow baselines, and in quick mode all, are extrapolated."""
    num_codes = prior.num_rows * prior.num_columns
    case = f"{num_codes} {level} codes, batch 1"
    tell(f"sampling: {case}")
    ours: dict[str, tuple[CodePrior, Precision]] = {
        f"ours, {precision}": (prior, precision)
        for precision in ("float32", "float16", "int8")
        if plan.device.type == "cpu" or precision != "int8"
    }
    if level == "bottom" and not plan.is_quick:
        for precision in ("float32", "int8"):
            if f"ours, {precision}" in ours:
                ours[f"ours, {precision}, attention_columns {ATTENTION_COLUMNS}"] = (bound(prior), precision)
    extrapolated: dict[str, Generator] = {CACHED: CachedGenerator(gpt), RECOMPUTED: RecomputedGenerator(gpt)}
    if plan.is_quick:
        num_lengths = FEW_LENGTHS
        extrapolated = {name: OurGenerator(plan, *way) for name, way in ours.items()} | extrapolated
        measured = integrated_s(plan, extrapolated, num_codes, num_lengths, plan.num_repetitions)
    else:
        num_lengths = NUM_LENGTHS
        runs = {name: partial(draw_window, plan, *way) for name, way in ours.items()}
        if level == "top":  # the bottom codes would take minutes
            runs[CACHED] = partial(extrapolated.pop(CACHED).run, num_codes)
        draw_window(plan, prior, num_columns=2)  # warms up
        CachedGenerator(gpt).run(2)
        contenders = {name: partial(plan.seconds, run) for name, run in runs.items()}
        for name, generator in extrapolated.items():
            integrate = partial(integrated_s, plan, {"": generator}, num_codes, num_lengths, 1)
            contenders[name] = lambda integrate=integrate: integrate()[""][0]
        measured = plan.interleaved(contenders)
    remarks = dict.fromkeys(extrapolated, f"extrapolated from {num_lengths} prefix lengths")
    return rows(case, "s", measured, (CACHED, RECOMPUTED), remarks)


def measure_batch(plan: Plan, level: str, prior: CodePrior, gpt: GPT) -> list[Row]:
    """Measures codes per second of several sequences at once, beside those of a single one."""
    found: list[Row] = []
    ways = {f"{level} codes, batch {BATCH_SIZE}": prior}
    if level == "bottom":
        ways[f"{level} codes, batch {BATCH_SIZE}, attention_columns {ATTENTION_COLUMNS}"] = bound(prior)
    for case, network in ways.items():
        if plan.is_quick and level == "bottom":
            found.append(Row(case, OURS, "codes/s", [], remark=LEFT_OUT))
            continue
        tell(f"sampling: {case}")
        generators: dict[str, Generator] = {
            OURS: OurGenerator(plan, network, batch_size=BATCH_SIZE),
            ALONE: OurGenerator(plan, network),
        }
        if network is prior:
            generators[CACHED] = CachedGenerator(gpt, BATCH_SIZE)
        num_codes = prior.num_rows * prior.num_columns
        seconds = integrated_s(plan, generators, num_codes, FEW_LENGTHS, plan.num_repetitions)
        measured = {
            name: [(1 if name == ALONE else BATCH_SIZE) * num_codes / value for value in values]
            for name, values in seconds.items()
        }
        remark = f"from {FEW_LENGTHS} prefix lengths"
        found += rows(case, "codes/s", measured, (ALONE, CACHED), remark)
    return found


def bound(prior: CodePrior) -> CodePrior:
    """Bounds the attention of a prior to a few columns, with the same weights."""
    columns = min(ATTENTION_COLUMNS, prior.num_columns)
    return variant(prior, attention_columns=columns).to(prior.to_logits.weight.device).eval()


def draw_window(
    plan: Plan, prior: CodePrior, precision: Precision = "float32", num_columns: int | None = None
) -> Tensor:
    """Draws codes as the project does."""
    labels = torch.zeros(1, dtype=torch.long, device=plan.device)
    sampling = Sampling(precision=plan.of_weights(precision))
    with plan.half(precision):
        top_codes = random_top_codes(prior, 1)
        return sample_codes(prior, labels, num_columns or prior.num_columns, [plan.seed], sampling, top_codes)
