"""What lies among own images and is not learned is named, kind by kind."""

from pathlib import Path

import pytest
from own_images import LABELS, fill

from training.datasets.folder_layout import find_layout
from training.datasets.formats import DataError
from training.datasets.image_folder import ImageFolder

BROKEN = "broken, since the target is missing; restore it, or remove the link, such as"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of flowers."""
    return fill(tmp_path / "flowers")


def test_files_of_one_kind_that_are_not_images_are_one_message(folder):
    for number in range(60):
        (folder / "rose" / f"film{number:02}.MP4").write_bytes(b"1")
    for number in range(3):
        (folder / "tulip" / f"notes{number}").write_bytes(b"1")

    films, notes = sorted(ImageFolder.open(folder, "flowers").load().skipped)[::-1]

    assert films == (
        f"60 files named *.mp4: not images that can be read, such as {folder}/rose/film00.MP4; if they are photos, "
        "convert them to JPEG or PNG"
    )
    assert notes.startswith(f"3 files with no suffix: not images that can be read, such as {folder}/tulip/notes0;")


def test_each_damaged_image_is_named(folder):
    for number in range(2):
        (folder / "rose" / f"{number}.png").write_bytes(b"1")

    skipped = sorted(ImageFolder.open(folder, "flowers").load().skipped)

    assert [message.partition(":")[0] for message in skipped] == [f"{folder}/rose/{number}.png" for number in range(2)]


def test_links_that_lead_nowhere_are_named(folder, tmp_path):
    (folder / "rose/gone.png").symlink_to(tmp_path / "gone.png")
    (folder / "zinnia").symlink_to(tmp_path / "unmounted/zinnia")
    (folder / "rose/.hidden.png").symlink_to(tmp_path / "gone.png")

    layout = find_layout(folder)

    assert layout.labels == LABELS
    assert layout.left_out == (f"2 links: {BROKEN} {folder}/rose/gone.png -> {tmp_path}/gone.png",)


def test_a_link_that_leads_nowhere_is_named_in_every_layout(folder, tmp_path):
    for number, split in enumerate(("train", "test")):
        fill(tmp_path / "splits" / split, each=10 + number)
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in folder.rglob("*.png"):
        file.rename(flat / f"{file.parent.name}_{file.name}")
    for place in (tmp_path / "splits/train/rose", flat):
        (place / "rose_99.png").symlink_to(tmp_path / "gone.png")

    found = [find_layout(path).left_out for path in (tmp_path / "splits", flat)]

    assert [[message.partition(";")[0] for message in messages] for messages in found] == [
        ["1 link: broken, since the target is missing"]
    ] * 2


def test_a_link_to_a_folder_within_a_label_is_named(folder):
    (folder / "rose/more").symlink_to(folder / "tulip")

    (left_out,) = find_layout(folder).left_out

    assert left_out == (
        f"1 link: to a folder, which is not followed within a label; put the images there, such as {folder}/rose/more"
    )


def test_folders_within_labels_that_may_be_labels_themselves_are_told(folder):
    fill(folder / "garden", each=2)
    nested = f"{folder}/garden: one label, whatever the folders in it are named; move these up if they are labels"

    layout = find_layout(folder)

    assert layout.labels == tuple(sorted((*LABELS, "garden")))
    assert layout.left_out == (nested,)
    fill(folder / "meadow", each=2)
    assert find_layout(folder).left_out == (f"{nested}; 1 more are like it",)


def test_folders_beside_the_images_of_a_label_are_not_taken_for_labels(folder):
    fill(folder / "rose", each=2)

    assert find_layout(folder).left_out == ()


def test_a_refusal_for_too_few_images_names_the_links_that_lead_nowhere(folder, tmp_path):
    for number in range(3):
        (folder / "rose" / f"{number}.png").unlink()
        (folder / "rose" / f"{number}.png").symlink_to(tmp_path / "unmounted")

    with pytest.raises(DataError, match="9 of 'rose', not counting what was left out, such as 3 links: broken"):
        ImageFolder.open(folder, "flowers")
