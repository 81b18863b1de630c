"""How fast codes are drawn from the priors."""

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
    """Both priors: all codes of a window one after the other, and codes a second in a batch."""
    found: list[Row] = []
    for level in ("top", "bottom"):
        prior = build_prior(plan, level).to(plan.device).eval()
        gpt = GPT(**gpt_sizes(prior)).to(plan.device).eval()
        found += measure_window(plan, level, prior, gpt)
        found += measure_batch(plan, level, prior, gpt)
    return Part("sampling", "Sampling from the priors", found)


def measure_window(plan: Plan, level: str, prior: CodePrior, gpt: GPT) -> list[Row]:
    """Seconds for the codes of one window: ours are really drawn; baselines that take long, and in quick all, are
    extrapolated."""
    num_codes = prior.num_rows * prior.num_columns
    case = f"{num_codes} {level} codes, batch 1"
    tell(f"sampling: {case}")
    ours: dict[str, tuple[CodePrior, Precision]] = {
        f"ours, {precision}": (prior, precision)
        for precision in ("float32", "float16", "int8")
        if plan.device.type == "cpu" or precision != "int8"
    }
    if level == "bottom" and not plan.is_quick:
        ours |= {
            f"ours, {precision}, attention_columns {ATTENTION_COLUMNS}": (endless(prior), precision)
            for precision in ("float32", "int8")
            if f"ours, {precision}" in ours
        }
    baselines: dict[str, Generator] = {CACHED: CachedGenerator(gpt), RECOMPUTED: RecomputedGenerator(gpt)}
    if plan.is_quick:
        num_lengths = FEW_LENGTHS
        generators = {name: OurGenerator(plan, *way) for name, way in ours.items()} | baselines
        measured = integrated_s(plan, generators, num_codes, num_lengths, plan.num_repetitions)
        extrapolated = set(generators)
    else:
        num_lengths = NUM_LENGTHS
        runs = {name: partial(draw_window, plan, *way) for name, way in ours.items()}
        if level == "top":  # the bottom codes would take minutes
            runs[CACHED] = partial(baselines.pop(CACHED).run, num_codes)
        for run in (partial(draw_window, plan, prior, num_columns=2), partial(CachedGenerator(gpt).run, 2)):
            run()  # warms up
        contenders = {name: partial(plan.seconds, run) for name, run in runs.items()}
        contenders |= {
            name: lambda generator=generator: integrated_s(plan, {"": generator}, num_codes, num_lengths, 1)[""][0]
            for name, generator in baselines.items()
        }
        measured = plan.interleaved(contenders)
        extrapolated = set(baselines)
    remarks = dict.fromkeys(extrapolated, f"extrapolated from {num_lengths} prefix lengths")
    return rows(case, "s", measured, (CACHED, RECOMPUTED), remarks)


def measure_batch(plan: Plan, level: str, prior: CodePrior, gpt: GPT) -> list[Row]:
    """Codes a second of several sequences at once, against those of a single one."""
    found: list[Row] = []
    ways = {f"{level} codes, batch {BATCH_SIZE}": prior}
    if level == "bottom":
        ways[f"{level} codes, batch {BATCH_SIZE}, attention_columns {ATTENTION_COLUMNS}"] = endless(prior)
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


def endless(prior: CodePrior) -> CodePrior:
    """The same prior with a bounded view."""
    columns = min(ATTENTION_COLUMNS, prior.num_columns)
    return variant(prior, attention_columns=columns).to(prior.to_logits.weight.device).eval()


def draw_window(
    plan: Plan, prior: CodePrior, precision: Precision = "float32", num_columns: int | None = None
) -> Tensor:
    """Codes as the project samples them."""
    labels = torch.zeros(1, dtype=torch.long, device=plan.device)
    num_columns = num_columns or prior.num_columns
    with plan.half(precision):
        top_codes = random_top_codes(prior, 1)
        return sample_codes(
            prior, labels, num_columns, [plan.seed], Sampling(precision=plan.of_weights(precision)), top_codes
        )
