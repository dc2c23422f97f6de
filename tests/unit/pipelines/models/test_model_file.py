"""model.yaml: every mistake is named with its line and what would be right."""

from __future__ import annotations

import pytest

from radnode.pipelines.models.model_file import parse

GOOD = """\
name: Threshold
version: 1.0.0
runtime: torchscript
modality: CT
input:
  orientation: RAS
  spacing: [1, 1.5, 2]
  intensity: {window: [-1000, 400]}
  patch: [32, 32, 32]
output:
  answer: classes
  activation: softmax
  labels:
    0: background
    1: spleen
licence: MIT
intended_use: Tests
"""


def test_a_description_says_what_the_model_reads_and_answers() -> None:
    said = parse(GOOD)
    assert said.model == "model.pt"
    assert said.input is not None
    assert (said.input.spacing, said.input.patch) == ((1.0, 1.5, 2.0), (32, 32, 32))
    assert said.output is not None
    assert said.output.labels == {0: "background", 1: "spleen"}


@pytest.mark.parametrize(("right", "wrong", "line", "cure"), [
    ("version: 1.0.0", "version: 1.0", 2, "1.2.3"),
    ("runtime: torchscript", "runtime: caffe", 3, "'torchscript', 'torch-export', 'onnx'"),
    ("modality: CT", "modality: ct", 4, "a DICOM modality like CT"),
    ("orientation: RAS", "orientation: RAX", 6, "like RAS"),
    ("orientation: RAS", "orientation: RLS", 6, "like RAS"),
    ("orientation: RAS", "channels: 4", 6, "reads one series"),
    ("spacing: [1, 1.5, 2]", "spacing: [1, 2]", 7, "`input.spacing.2`"),
    ("spacing: [1, 1.5, 2]", "spacing: [1, 1, 0]", 7, "greater than 0"),
    ("[-1000, 400]", "[400, -1000]", 8, "a smaller and a larger number"),
    ("[-1000, 400]", "lungs", 8, "two numbers, or one of lung, soft-tissue, bone, brain, liver, mediastinum"),
    ("window:", "windows:", 8, "did you mean `window`?"),
    ("{window: [-1000, 400]}", "{window: [-1000, 400], z_score: all}", 8, "one of window, percentiles"),
    ("patch:", "ptach:", 9, "did you mean `patch`?"),
    ("softmax", "sigmoid", 10, "does not go with the answer classes"),
    ("    1: spleen", "    2: spleen", 10, "every channel, from 0 on"),
    ("answer: classes\n  activation: softmax", "answer: labels", 1, "patches overlap"),
    ("licence: MIT\n", "", 1, "missing `licence`"),
    ("runtime: torchscript", "runtime: container", 1, "`image` goes with the runtime container"),
    ("runtime: torchscript", "runtime: torchscript\nfile: ../model.pt", 4, "a file in the model's folder"),
    ("runtime: torchscript", "runtime: torchscript\nfile: /etc/passwd", 4, "a file in the model's folder"),
    ("name: Threshold", "name: [a", 2, "not YAML"),
])
def test_a_mistake_is_named_with_its_line_and_its_cure(right: str, wrong: str, line: int, cure: str) -> None:
    assert right in GOOD
    with pytest.raises(ValueError, match=f"^line {line}: ") as said:
        parse(GOOD.replace(right, wrong, 1))
    assert cure in str(said.value)


def test_a_window_by_name_is_that_of_the_preset_and_of_ct_alone() -> None:
    named = GOOD.replace("[-1000, 400]", "liver")
    said = parse(named).input
    assert said is not None
    assert said.intensity is not None
    assert said.intensity.window == "liver"
    with pytest.raises(ValueError, match="a window by name is one of CT"):
        parse(named.replace("modality: CT", "modality: MR"))


def test_a_container_is_named_by_digest_alone() -> None:
    container = GOOD.replace("runtime: torchscript", "runtime: container\nimage: registry/name:latest")
    with pytest.raises(ValueError, match=r"line 4: `image` is .*by its digest"):
        parse(container)
    assert parse(container.replace(":latest", f"@sha256:{'0' * 64}")).image


def test_a_text_that_is_no_list_of_keys_is_refused() -> None:
    for text in ("", "- 1", "just words"):
        with pytest.raises(ValueError, match="line 1"):
            parse(text)
