"""python -m training.images: what it says of a folder of own images."""

import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from own_images import LABELS, fill, flower
from PIL import Image
from rich.console import Console

from training import images
from training.datasets.image_folder import ImageFile, ImageFolder, OwnImages
from training.datasets.labelled import LabelledImages
from training.evaluation.mislabels import Mislabel, likely_mislabels
from training.survey import Survey, print_survey
from training.suspects import held_out_messages, suspects


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of flowers in colour, of 64 pixels."""
    return fill(tmp_path / "flowers", sides=(64,), channels=3)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Splits of images that differ as photos do: blurred blots of random colours."""
    random = np.random.default_rng(0)
    for split, label, number in product(("train", "test"), ("park", "town"), range(12)):
        target = tmp_path / "scenes" / split / label / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        blots = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
        blots.resize((64, 64), Image.Resampling.BICUBIC).save(target)
    return tmp_path / "scenes"


def survey(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Return what the command prints about a folder that it can read."""
    assert images.main([str(folder), "--sheet", str(folder.parent / "sheet.png"), *options]) == 0
    return capsys.readouterr().out


def test_labels_sizes_and_splits_are_counted(folder, capsys):
    text = survey(folder, capsys)

    assert all(label in text for label in LABELS)
    assert f"{folder}: a folder for each label" in text
    assert "48 images of 64 x 64 pixels; the input has 64 x 64 pixels in colour" in text


def test_photos_are_looked_at_in_the_input_that_an_export_gives_them(tmp_path, capsys):
    text = survey(fill(tmp_path / "flowers", sides=(96, 100), channels=3), capsys)

    assert "48 images of 96 x 96 to 100 x 100 pixels; the input has 96 x 96 pixels in colour" in text


def test_thumbnails_for_which_there_is_no_room_are_told_with_what_to_do(folder, capsys):
    assert images.main([str(folder), "--sheet", "/dev/full"]) == 1

    advice = "/dev/full: No space left on device: make room, and run the same command again"
    assert f"training.images: {advice}" in capsys.readouterr().err


def test_a_limited_survey_says_so(folder):
    limited = Survey(opened := ImageFolder.open(folder, "flowers"), opened.load(limit=3))
    console = Console(width=200)

    with console.capture() as capture:
        print_survey(limited, console, folder.parent / "sheet.png")

    assert f"{folder}: a folder for each label; of each split the first 3 images, as --limit says" in capture.get()
    assert "none of the test images has this label; raise --limit" in capture.get()


@pytest.mark.parametrize(
    ("sheet", "reason"),
    [
        ("flowers/rose/1.png", "one of the images, which the thumbnails would replace; name another with --sheet"),
        ("flowers/tulip/../rose/1.png", "one of the images, which the thumbnails would replace"),
        ("flowers/rose", "a folder; name a PNG to write with --sheet"),
        ("flowers/rose/1.png/sheet.png", "1.png is a file; name another folder with --sheet"),
    ],
)
def test_thumbnails_that_have_no_place_are_refused_and_replace_no_image(folder, sheet, reason, capsys):
    before = (folder / "rose/1.png").read_bytes()

    assert images.main([str(folder), "--sheet", str(folder.parent / sheet)]) == 1

    assert reason in capsys.readouterr().err
    assert (folder / "rose/1.png").read_bytes() == before


def test_the_thumbnails_have_a_row_for_each_label(folder, capsys):
    survey(folder, capsys)

    with Image.open(folder.parent / "sheet.png") as sheet:
        assert sheet.width > 12 * 64
        assert sheet.height > len(LABELS) * 64


@pytest.mark.parametrize(
    ("here", "named", "sheet"),
    [
        ("flowers", ".", "thumbnails.png"),
        ("flowers/rose", "..", "thumbnails.png"),
        (".", "flowers", "thumbnails.png"),
        ("flowers/.notes", "..", "flowers/.notes/thumbnails.png"),
    ],
)
def test_thumbnails_do_not_become_an_image_among_the_others(folder, monkeypatch, here, named, sheet):
    (folder / ".notes").mkdir()
    before = sorted(folder.rglob("[!.]*.png"))
    monkeypatch.chdir(folder.parent / here)

    assert images.main([named]) == 0

    assert (folder.parent / sheet).is_file()
    assert [file for file in sorted(folder.rglob("*.png")) if file.parent.name != ".notes"] == before


def test_thumbnails_beside_a_table_stay_there_since_it_names_the_images(folder, monkeypatch):
    rows = (f"{file.relative_to(folder)},{file.parent.name}\n" for file in sorted(folder.rglob("*.png")))
    (folder / "labels.csv").write_text("file,label\n" + "".join(rows))
    monkeypatch.chdir(folder)

    assert images.main(["."]) == 0

    assert (folder / "thumbnails.png").is_file()


def test_the_thumbnails_are_a_png_whatever_their_name(folder, tmp_path):
    assert images.main([str(folder), "--sheet", str(tmp_path / "sheet")]) == 0

    with Image.open(tmp_path / "sheet") as sheet:
        assert sheet.format == "PNG"


def test_an_image_saved_anew_under_another_label_is_named(scenes, capsys):
    Image.open(scenes / "train/park/3.png").save(scenes / "train/town/saved.jpg", quality=95)

    text = survey(scenes, capsys)

    assert "Near duplicates with different labels: one of them is wrong, or the labels overlap (1):" in text
    assert f"{scenes}/train/park/3.png (park, train)" in text
    assert f"{scenes}/train/town/saved.jpg (town, train)" in text


def test_a_training_image_that_is_nearly_a_test_image_is_named(scenes, capsys):
    Image.open(scenes / "test/park/3.png").resize((90, 90)).save(scenes / "train/park/larger.png")

    text = survey(scenes, capsys)

    assert "Near duplicates in two splits: the model will look better than it is; remove one of each (1):" in text
    assert f"{scenes}/train/park/larger.png (park, train) and {scenes}/test/park/3.png (park, test)" in text


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_validation_image_that_is_nearly_another_splits_is_named(scenes, split, capsys):
    for label in ("park", "town"):
        (scenes / "val" / label).mkdir(parents=True)
    Image.open(scenes / "train/town/4.png").rotate(180).save(scenes / "val/town/other.png")
    Image.open(scenes / f"{split}/park/3.png").resize((90, 90)).save(scenes / "val/park/larger.png")

    text = survey(scenes, capsys)

    assert "Near duplicates in two splits: the model will look better than it is; remove one of each (1):" in text
    assert f"{scenes}/val/park/larger.png (park, validation)" in text


def test_unreadable_files_loose_images_and_few_images_are_named(folder, capsys):
    (folder / "rose/broken.jpg").write_bytes(b"no")
    flower(0, 99).save(folder / "loose.png")
    for number in range(100, 130):
        flower(0, number, 64, 3).save(folder / "daisy" / f"{number}.png")

    text = survey(folder, capsys)

    assert "Left out: 1 image: no label, since beside the folders of labels" in text
    assert "rose/broken.jpg: The 2 bytes are not a complete image" in text
    assert "Imbalance: 10 training images of " in text


def test_of_many_files_that_are_left_out_a_few_are_named_and_all_are_listed_beside_the_thumbnails(folder, capsys):
    for number in range(12):
        shutil.copy(folder / f"rose/{number}.png", folder / f"rose/{number} (1).png")
    (folder / "rose/broken.jpg").write_bytes(b"no")
    shutil.copy(folder / "daisy/0.png", folder / "tulip/daisy.png")

    lines = [line for line in survey(folder, capsys).splitlines() if line.startswith("Left out: ")]

    listed = folder.parent / "sheet-left-out.txt"
    messages = listed.read_text().splitlines()
    assert len(messages) == 14
    assert lines == [*(f"Left out: {each}" for each in messages[:10]), f"Left out: 4 more; all 14 are in {listed}"]
    assert "neither is learned; remove the wrong one" in messages[0]
    assert "rose/broken.jpg: The 2 bytes are not a complete image" in messages[1]


def test_a_label_without_test_images_is_named(folder, capsys):
    folder.rename(folder.parent / "train")
    pictures = folder.parent / "pictures"
    pictures.mkdir()
    (folder.parent / "train").rename(pictures / "train")
    (pictures / "test/rose").mkdir(parents=True)
    flower(1, 99, 64, 3).save(pictures / "test/rose/1.png")

    assert "Not measured: daisy, tulip, violet: none of the test images has this label" in survey(pictures, capsys)


def test_a_folder_that_nothing_can_be_learned_from_is_refused(tmp_path, capsys):
    assert images.main([str(tmp_path)]) == 1

    assert capsys.readouterr().err.startswith(f"training.images: {tmp_path}: 0 folders in it")


def test_a_model_of_other_labels_finds_no_mislabels(folder, capsys):
    model = Path(__file__).parents[2] / "models/cifar-cnn/2/model.onnx"

    assert images.main([str(folder), "--model", str(model)]) == 1

    assert "name a model that was trained on these images" in capsys.readouterr().err


def test_a_confident_contradiction_is_a_likely_mislabel():
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95], [0.45, 0.55]])
    labels = torch.tensor([0, 0, 1, 1, 0, 0])

    found = likely_mislabels(probabilities, labels)

    assert [(one.place, one.labels) for one in found] == [(4, (1,))]  # the last does so without confidence
    assert found[0].margin == pytest.approx(0.9)


def test_a_label_too_much_and_one_too_few_are_likely_mislabels_of_an_image():
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95], [0.95, 0.9]])
    truth = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1], [1, 1], [1, 0]]).bool()

    found = likely_mislabels(probabilities, truth)

    assert [(one.place, one.labels) for one in found] == [(4, (1,)), (5, (0, 1))]
    assert [one.margin for one in found] == pytest.approx([0.9, 0.8])


def test_a_label_without_images_is_never_a_likely_one():
    probabilities = torch.tensor([[0.1, 0.2, 0.7], [0.2, 0.7, 0.1]])

    assert likely_mislabels(probabilities, torch.tensor([0, 1])) == []


def test_hundreds_of_alike_images_are_counted_without_comparing_each_pair_with_each(tmp_path):
    random = np.random.default_rng(0)
    frames = (random.integers(5, 250, (64, 64, 3)) + random.integers(-2, 3, (300, 64, 64, 3))).astype(np.uint8)
    images = LabelledImages(torch.from_numpy(frames), torch.arange(300) % 10 // 9)
    files = [ImageFile(tmp_path / f"{number}.png", (64, 64)) for number in range(300)]
    data = OwnImages(images.take(slice(250)), images.take(slice(250, 300)), None, (), None,
                     {"train": files[:250], "test": files[250:]})  # fmt: skip

    found = list(Survey(ImageFolder("film", tmp_path, ("cat", "dog"), (), 64, 3), data).findings())

    heads = [line.partition("(")[2] for line in found if line.startswith("Near duplicates")]
    assert heads == ["8,100):", "10,250):", "26,500):"]  # in all 300 * 299 / 2


def test_of_many_likely_mislabels_some_are_listed_and_the_headline_says_so(folder):
    surveyed = Survey(opened := ImageFolder.open(folder, "flowers"), opened.load())
    found = suspects(surveyed, [Mislabel(place, (1,), 0.9) for place in range(3)])

    some, all_found = (list(held_out_messages(found, surveyed, most)) for most in (2, 3))

    assert (len(some), len(all_found)) == (3, 4)
    assert some[0] == f"{all_found[0]}; the likeliest 2:"
