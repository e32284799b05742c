"""The label at the beginning of a file's name."""

import unicodedata

import pytest

from training.datasets.name_prefix import prefix_of


@pytest.mark.parametrize(
    ("stem", "label"),
    [
        ("rose_1", "rose"),
        ("rose-01-closed", "rose"),
        ("rose (1)", "rose"),
        ("tea rose 1", "tea rose"),
        ("2024-rose-1", "2024-rose"),
        ("rose", ""),
        ("0001", ""),
        ("_1", ""),
        ("IMG_0001", ""),
        ("Screenshot 2024", ""),
    ],
)
def test_the_label_is_what_stands_before_a_number_unless_a_camera_wrote_it(stem, label):
    assert prefix_of(stem) == label


@pytest.mark.parametrize("label", ["café", "कली", "कला", "แมวสี", "שָׁ"])  # each ends with a mark
@pytest.mark.parametrize("behind", ["1", "_1", " (1)", "-01-closed"])
def test_the_marks_of_its_last_letter_belong_to_the_label(label, behind):
    apart = unicodedata.normalize("NFD", label)

    assert prefix_of(f"{apart}{behind}") == apart
