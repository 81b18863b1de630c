"""Each part once, as a whole, at sizes of seconds: which figures there are, not what they are."""

import json
import subprocess

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import loaders, memory
from benchmarks.end_to_end import STAGES, film, measure_end_to_end, num_codes, ready_model, run
from benchmarks.generating import CACHED, RECOMPUTED
from benchmarks.loaders import NAMES, STEP, measure_loaders
from benchmarks.memory import MATRIX, measure_memory
from benchmarks.records import LEFT_OUT, Part
from benchmarks.sampling import measure_sampling
from benchmarks.training import NANOGPT, ROSINALITY, measure_training
from tests.helpers.tiny_benchmarks import tiny_plan

PRECISIONS = ("float32", "float16", "int8")
VARIANTS = ("ours, attention_columns 8", "ours, activation checkpointing", "ours, both")


def figures(part: Part) -> dict[tuple[str, str], list[float]]:
    """Repetitions by case and name, all of them positive."""
    found = {(row.case, row.name): row.values for row in part.rows}
    assert len(found) == len(part.rows)
    assert all(value > 0 for values in found.values() for value in values)
    return found


def compared(part: Part) -> dict[str, set[str]]:
    """The baselines that each of ours is held against."""
    return {f"{row.case}: {row.name}": set(part.ratios(row)) for row in part.rows if not row.is_baseline}


@pytest.mark.parametrize("is_quick", [False, True])
def test_sampling(is_quick):
    part = measure_sampling(tiny_plan(is_quick=is_quick))
    found = figures(part)
    assert [len(found["16 top codes, batch 1", f"ours, {precision}"]) for precision in PRECISIONS] == [2, 2, 2]
    for row, baselines in compared(part).items():
        if "batch 1" in row:
            assert baselines == {CACHED, RECOMPUTED}
        elif not (is_quick and "bottom" in row):
            assert "ours, float32, batch 1" in baselines
    remarks = {(row.case, row.name): row.remark for row in part.rows}
    assert remarks["64 bottom codes, batch 1", RECOMPUTED].startswith("extrapolated")
    assert remarks["64 bottom codes, batch 1", "ours, int8"].startswith("extrapolated") == is_quick
    assert remarks["16 top codes, batch 1", CACHED].startswith("extrapolated") == is_quick
    assert (remarks["bottom codes, batch 8", "ours, float32"] == LEFT_OUT) == is_quick
    assert (("64 bottom codes, batch 1", "ours, float32, attention_columns 8") in found) != is_quick


@pytest.mark.parametrize("is_quick", [False, True])
def test_training(is_quick):
    part = measure_training(tiny_plan(is_quick=is_quick))
    found = figures(part)
    assert {row.is_baseline for row in part.rows if row.name in (ROSINALITY, NANOGPT)} == {True}
    left_out = {(row.case, row.name) for row in part.rows if row.remark == LEFT_OUT}
    assert {name for _, name in left_out} == ({"ours", *VARIANTS} if is_quick else set())
    assert all(len(values) == (0 if key in left_out else 2) for key, values in found.items())
    baselines = compared(part)
    assert baselines["VQ-VAE-2, batch 8: ours, bf16 autocast"] == {ROSINALITY}
    for level in ("Bottom",) if is_quick else ("Bottom", "Top"):
        assert next(found for case, found in baselines.items() if case.startswith(level)) == {NANOGPT}


@pytest.mark.parametrize(("is_quick", "num_processes"), [(False, 3 * 2 + 2), (True, 3)])
def test_memory(monkeypatch, is_quick, num_processes):
    tasks = []

    def peak_gib(plan, task) -> float | None:
        tasks.append(task)
        return None if task["batch_size"] == 4 else 1.0

    monkeypatch.setattr(memory, "peak_gib", peak_gib)
    part = measure_memory(tiny_plan(is_quick=is_quick), batch_sizes=(1, 4))
    assert len(tasks) == num_processes
    assert [(row.case, row.is_baseline) for row in part.rows if row.name == MATRIX] == [("batch 1", True)]
    assert {row.remark for row in part.rows if row.case == "batch 4"} == {LEFT_OUT if is_quick else "did not fit"}
    is_checkpointed = {task["prior"]["init_args"]["activation_checkpointing"] for task in tasks if "prior" in task}
    assert is_checkpointed == {False, True}


def test_a_process_tells_the_peak_of_its_own_step():
    gpt = {"num_codes": 16, "num_classes": 2, "num_positions": 1025, "width": 16, "num_layers": 2, "num_heads": 2}
    gpt |= {"feedforward_width": 32, "dropout": 0.0, "stores_matrix": True}
    ballast = torch.ones(2**28)  # 1 GiB of this process, which is no part of it
    peak = memory.peak_gib(tiny_plan(), {"batch_size": 4, "gpt": gpt})
    matrices_gib = 2 * 2 * 4 * 4 * 1024**2 / 2**30
    assert matrices_gib < peak < 1.0, "scores and weights of both layers and heads"
    assert ballast.nbytes == 2**30


@pytest.mark.parametrize(("returncode", "message"), [(-9, ""), (1, "RuntimeError: you can't allocate memory")])
def test_a_step_that_does_not_fit_is_no_error(monkeypatch, returncode, message):
    result = subprocess.CompletedProcess([], returncode, "", message)
    monkeypatch.setattr(memory.subprocess, "run", lambda *args, **kwargs: result)
    assert memory.peak_gib(tiny_plan(), {"batch_size": 1}) is None


def test_any_other_failure_is_told(monkeypatch):
    result = subprocess.CompletedProcess([], 1, "", "ImportError: no torch")
    monkeypatch.setattr(memory.subprocess, "run", lambda *args, **kwargs: result)
    with pytest.raises(ValueError, match="no torch"):
        memory.peak_gib(tiny_plan(), {"batch_size": 1})


@pytest.mark.parametrize("is_quick", [False, True])
def test_loaders(monkeypatch, is_quick):
    monkeypatch.setattr(loaders, "LOADED_S", 0.05)
    part = measure_loaders(tiny_plan(is_quick=is_quick), num_photos=6, num_sounds=6, photo_size=48)
    found = figures(part)
    assert [case.split(",")[0] for case, name in found if name == "loader"] == list(NAMES.values())
    remarks = {row.case.split(",")[0]: row.remark for row in part.rows}
    assert [name for name in remarks if remarks[name]] == (list(NAMES.values())[1:] if is_quick else [])
    assert all(
        (ratios == {STEP}) == (LEFT_OUT not in remarks[row.split(",")[0]]) for row, ratios in compared(part).items()
    )


def test_end_to_end():
    part = measure_end_to_end(tiny_plan(num_repetitions=1), duration_s=1)
    found = figures(part)
    for name in ("ours, float32", "ours, float16"):
        assert sum(found[stage, name][0] for stage in STAGES) == pytest.approx(found["all stages", name][0])
    assert {row.case for row in part.rows if row.is_baseline} == {"top codes", "bottom codes", "all stages"}
    assert "extrapolated" in next(row.remark for row in part.rows if row.is_baseline)


def test_the_whole_video_is_given_a_sound(tmp_path):
    plan = tiny_plan()
    model, clip = ready_model(plan), film(tmp_path / "silent.mp4", 1, seed=1)
    assert clip.duration_s == pytest.approx(1.0)
    scenes = []
    find_scenes = model.find_scenes
    model.find_scenes = lambda *args: scenes.extend(find_scenes(*args)) or scenes
    seconds = run(plan, model, clip, "float32", tmp_path)
    assert seconds.keys() == set(STAGES)
    assert [(scene.start_s, scene.end_s, scene.label) for scene in scenes] == [(0.0, 1.0, 0)]
    assert (tmp_path / "made" / "silent.mp4").exists()
    columns = model.geometry.top_columns_of(8000)
    assert (num_codes(model, clip, "top codes"), num_codes(model, clip, "bottom codes")) == (4 * columns, 16 * columns)


@pytest.fixture
def parts(monkeypatch) -> list[str]:
    """Which parts were measured; none takes any time."""
    asked: list[str] = []
    for name in command.PARTS:

        def measure(plan, name=name) -> Part:
            asked.append(f"{name}, quick" if plan.is_quick else name)
            return Part(name, name.upper(), [])

        monkeypatch.setitem(command.PARTS, name, measure)
    return asked


def test_the_command_measures_all_parts_and_writes_them_down(parts, tmp_path, capsys):
    command.main(["--output", str(tmp_path)])
    assert parts == ["sampling", "training", "memory", "loaders", "end_to_end"]
    stored = json.loads((tmp_path / "benchmarks.json").read_text())
    assert list(stored["parts"]) == list(stored["seconds"]) == parts
    assert any(line.startswith("Versions: ") for line in stored["machine"])
    output = capsys.readouterr()
    assert "SAMPLING" in output.out
    assert "sampling: done in 0 s" in output.err
    assert str(tmp_path / "benchmarks.md") in output.out.replace("\n", "")


def test_single_parts_are_chosen_by_name(parts, tmp_path):
    command.main(["--quick", "--only", "memory", "sampling", "--output", str(tmp_path)])
    assert parts == ["sampling, quick", "memory, quick"]


def test_an_unknown_part_is_refused(parts, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["--only", "speed"])
    assert "invalid choice: 'speed'" in capsys.readouterr().err
