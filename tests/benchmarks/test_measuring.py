from types import SimpleNamespace

import pytest
import torch

from benchmarks import measuring
from benchmarks.generating import OurGenerator, RecomputedGenerator, integrated_s
from benchmarks.measuring import MAX_REPETITIONS, Plan, quiet
from tests.helpers.tiny_benchmarks import tiny_gpt, tiny_plan
from tests.helpers.tiny_networks import tiny_prior, tiny_top_context


class Clock:
    """Stands still until someone works."""

    def __init__(self, monkeypatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: self.now_s))

    def work(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


def test_contenders_take_turns():
    told = []
    contenders = {name: lambda name=name: told.append(name) or float(len(told)) for name in ("ours", "baseline")}
    found = tiny_plan(num_repetitions=3).interleaved(contenders)
    assert told == ["ours", "baseline"] * 3
    assert found == {"ours": [1.0, 3.0, 5.0], "baseline": [2.0, 4.0, 6.0]}


@pytest.mark.parametrize(
    ("work_s", "is_quick", "num_repetitions"),
    [
        (0.1, False, MAX_REPETITIONS),
        (1.0, False, 5),
        (9.0, False, 3),
        (0.1, True, 3),
        (60.0, False, 2),
        (99.0, True, 1),
    ],
)
def test_what_is_fast_is_repeated_more_often_and_what_is_slow_less(clock, work_s, is_quick, num_repetitions):
    plan = Plan(torch.device("cpu"), is_quick, enough_s=4.0, patience_s=90.0)
    found = plan.interleaved({"ours": lambda: plan.seconds(lambda: clock.work(work_s))})
    assert found["ours"] == pytest.approx([work_s] * num_repetitions)


def test_half_precision_is_autocast_on_a_gpu_only():
    with Plan(torch.device("cpu")).half("float16"):
        assert not torch.is_autocast_enabled("cpu")
    with Plan(torch.device("cpu")).autocast(torch.bfloat16):
        assert torch.is_autocast_enabled("cpu")


def test_what_is_measured_prints_nothing(capsys):
    with quiet():
        print("a bar")
    assert capsys.readouterr().out == ""


class Steady:
    """Takes a time that grows with the sequence as a straight line."""

    def __init__(self, clock: Clock, num_timed: int) -> None:
        self.clock, self.num_timed = clock, num_timed

    def begin(self, num_known: int) -> None:
        self.length = num_known

    def step(self) -> None:
        self.clock.work(1.0 + 0.01 * self.length)
        self.length += 1


@pytest.mark.parametrize("num_timed", [1, 24])
def test_a_window_is_extrapolated_from_a_few_prefixes(clock, num_timed):
    found = integrated_s(tiny_plan(), {"ours": Steady(clock, num_timed)}, 900, 3, num_repetitions=2)
    expected = sum(1.0 + 0.01 * length for length in range(900))
    assert found["ours"] == pytest.approx([expected] * 2, rel=0.03)


@pytest.mark.parametrize("has_context", [False, True])
def test_all_generators_fit_into_a_window(has_context):
    prior = tiny_prior(top_context=tiny_top_context()) if has_context else tiny_prior()
    generators = {"ours": OurGenerator(tiny_plan(), prior, batch_size=2), "recomputed": RecomputedGenerator(tiny_gpt())}
    found = integrated_s(tiny_plan(), generators, 16, 3, num_repetitions=3)
    assert {name: len(values) for name, values in found.items()} == {"ours": 3, "recomputed": 3}
    assert all(value > 0 for values in found.values() for value in values)
