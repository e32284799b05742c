"""Own images, from a folder of pictures to the service's answer."""

import base64
import io
import os
import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from flask.testing import FlaskClient
from lookalikes import learnable
from PIL import Image

from serving.app import create_app
from serving.model.classifier import Classifier
from serving.settings import Settings
from training import evaluate, export
from training.datasets import pictures
from training.datasets.images import DataSet, Images
from training.datasets.pictures import Folder
from training.options import chosen, contradiction_in, export_parser
from training.recipes import own

COMMITTED = Path(__file__).parents[3] / "models"
LABELS = ("daisy", "rose", "tulip", "violet")
PNG, JPEG, WEBP = "png", "jpg", "webp"
EPOCHS = 3


def picture(label: int, number: int, side: int = 28, channels: int = 1) -> Image.Image:
    """Return a picture that tells its label; each number is another."""
    return Image.fromarray(learnable(label + 1, side, side, channels, seed=number)[0][label].squeeze())


def fill(
    folder: Path, each: int = 12, sides: tuple[int, ...] = (28,), kinds: tuple[str, ...] = (PNG,), channels: int = 1
) -> Path:
    """Write as many pictures of each label, in these sizes and formats by turns; returns the folder."""
    for label, number in product(range(len(LABELS)), range(each)):
        target = folder / LABELS[label] / f"{number}.{kinds[number % len(kinds)]}"
        target.parent.mkdir(parents=True, exist_ok=True)
        picture(label, number, sides[number % len(sides)], channels).save(target)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small folder of grey pictures."""
    return fill(tmp_path / "flowers")


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour pictures in several sizes and formats, and among them what is none: only to be read."""
    folder = fill(tmp_path_factory.mktemp("own") / "flowers", 40, (28, 40, 32), (PNG, JPEG, WEBP), channels=3)
    (folder / "rose" / "broken.jpg").write_bytes((folder / "rose" / "1.jpg").read_bytes()[:200])
    (folder / "rose" / ".hidden.jpg").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def models(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models after an export of those pictures: only to be read."""
    models = tmp_path_factory.mktemp("models")
    arguments = ["--images", str(flowers), "--name", "flowers", "--models-dir", str(models), "--epochs", str(EPOCHS)]
    assert export.main(arguments) == 0
    return models


@pytest.fixture
def file(models: Path) -> Path:
    """The exported file."""
    return models / "flowers" / "1" / "model.onnx"


@pytest.fixture
def client(models: Path) -> FlaskClient:
    """A client of a service that has no other models."""
    return create_app(Settings(models=str(models))).test_client()


def ask(client: FlaskClient, upload: bytes, query: str = "") -> dict[str, Any]:
    """Return the service's answer to one picture."""
    return client.post(f"/classify?{query}", data=upload, content_type="application/octet-stream").json["predictions"][
        0
    ]


def saved(image: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


def pixels_of(data_url: str) -> bytes:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data_url.partition(",")[2])))).tobytes()


def load(folder: Path) -> DataSet:
    return Folder.open(folder, "flowers").load()


def contents(images: Images) -> set[tuple[bytes, int]]:
    return {(pixels.numpy().tobytes(), int(label)) for pixels, label in zip(images.pixels, images.labels, strict=True)}


class TestInput:
    @pytest.mark.parametrize(
        ("sides", "channels", "side"),
        [((8,), 1, 28), ((28,), 1, 28), ((31,), 3, 28), ((32,), 1, 32), ((28, 40, 32), 3, 32), ((63, 64, 65), 3, 64)],
    )
    def test_the_input_is_the_largest_that_half_of_the_pictures_fill(self, tmp_path, sides, channels, side):
        folder = Folder.open(fill(tmp_path, sides=sides, channels=channels), "flowers")

        assert (folder.side, folder.channels) == (side, channels)
        assert folder.load().test.pixels.shape[1:] == (side, side, channels)

    def test_the_shortest_side_is_what_counts(self, folder):
        for file in folder.rglob("*.png"):
            Image.open(file).resize((300, 32)).save(file)

        assert Folder.open(folder, "flowers").side == 32

    def test_grey_pictures_in_colour_files_are_grey(self, folder):
        for file in folder.rglob("*.png"):
            Image.open(file).convert("RGB").save(file)

        assert Folder.open(folder, "flowers").channels == 1

    @pytest.mark.parametrize(("coloured", "channels"), [(2, 1), (3, 3)])
    def test_a_few_coloured_pictures_among_48_do_not_make_the_rest_coloured(self, folder, coloured, channels):
        for number in range(coloured):
            picture(0, number, channels=3).save(folder / "daisy" / f"{number}.png")

        assert Folder.open(folder, "flowers").channels == channels

    def test_a_sample_decides(self, folder, monkeypatch):
        monkeypatch.setattr(pictures, "SAMPLE", 1)
        looked_at = Folder.open(folder, "flowers").files[-1][1]

        picture(0, 0, side=64, channels=3).save(looked_at)

        opened = Folder.open(folder, "flowers")
        assert (opened.side, opened.channels) == (64, 3)

    def test_what_is_to_be_tested_on_decides_nothing(self, folder):
        opened = Folder.open(folder, "flowers")
        tested = contents(opened.load().test)
        pixels = {label: {content for content, whose in tested if whose == label} for label in range(4)}
        files = [one for one in opened.files if np.asarray(Image.open(one[1])).tobytes() in pixels[one[0]]]
        assert len(files) == 8

        for label, file in files:
            picture(label, 0, side=64, channels=3).save(file)

        assert (Folder.open(folder, "flowers").side, Folder.open(folder, "flowers").channels) == (28, 1)


class TestSplit:
    def test_a_fifth_of_each_label_is_for_the_test(self, folder):
        data = load(folder)

        assert torch.bincount(data.test.labels).tolist() == [2] * 4
        assert torch.bincount(data.train.labels).tolist() == [10] * 4
        assert not contents(data.train) & contents(data.test)

    def test_copies_are_left_out_and_listed(self, folder):
        whole = load(folder)
        for number in range(12):
            shutil.copy(folder / "rose" / f"{number}.png", folder / "rose" / f"{number} (1).png")

        data = load(folder)

        assert contents(data.train) | contents(data.test) == contents(whole.train) | contents(whole.test)
        assert not contents(data.train) & contents(data.test)
        assert len(data.skipped) == 12
        assert ": a copy of " in data.skipped[0]

    def test_it_is_the_same_wherever_the_folder_lies(self, folder, tmp_path):
        before = load(folder)

        after = load(folder.rename(tmp_path / "moved"))

        assert (after.train.sha256(), after.test.sha256()) == (before.train.sha256(), before.test.sha256())

    def test_a_new_picture_moves_few_of_the_others(self, tmp_path):
        folder = fill(tmp_path / "flowers", each=40)
        before = load(folder)
        picture(0, 99).save(folder / "daisy" / "new.png")

        after = load(folder)

        assert len(contents(before.test) - contents(after.test)) <= 1

    def test_labels_are_mixed_and_a_limit_takes_the_first_of_each_part(self, folder):
        opened = Folder.open(folder, "flowers")
        whole = opened.load()

        limited = opened.load(limit=5)

        assert len(whole.train.labels[:10].unique()) > 1
        assert (len(limited.train), len(limited.test), limited.limit) == (5, 5, 5)
        assert torch.equal(limited.train.pixels, whole.train.pixels[:5])

    def test_pictures_in_folders_below_a_label_bear_it_too(self, folder):
        (folder / "rose" / "2019" / "may").mkdir(parents=True)
        picture(1, 99).save(folder / "rose" / "2019" / "may" / "1.png")

        assert len(Folder.open(folder, "flowers").files) == 49


class TestLeftOut:
    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("notes.txt", b"water on Mondays", "The 16 bytes are not a whole image"),
            ("empty.png", b"", "The image is empty"),
            ("bomb.ppm", b"P6 100000 100000 255\n", "The image has 100,000 x 100,000 pixels"),
        ],
    )
    def test_a_file_that_the_service_refuses_is_left_out_and_listed(self, folder, name, content, reason):
        (folder / "rose" / name).write_bytes(content)

        data = load(folder)

        (left_out,) = data.skipped
        assert left_out.startswith(f"{folder}/rose/{name}: {reason}")
        assert len(data.train) + len(data.test) == 48

    def test_a_file_that_is_too_large_to_upload_is_left_out_unread(self, folder):
        with (folder / "rose" / "film.avi").open("wb") as film:
            film.truncate(2**40)

        (left_out,) = load(folder).skipped

        assert "film.avi: The 1,099,511,627,776 bytes are more than the 33,554,432" in left_out

    def test_a_file_that_is_gone_by_then_is_left_out(self, folder):
        opened = Folder.open(folder, "flowers")
        (folder / "rose" / "1.png").unlink()

        (left_out,) = opened.load().skipped

        assert left_out == f"{folder}/rose/1.png: No such file or directory"

    def test_hidden_files_and_folders_are_passed_over(self, folder):
        (folder / ".cache").mkdir()
        (folder / "rose" / ".DS_Store").write_bytes(b"1")
        (folder / "rose" / ".thumbnails").mkdir()
        (folder / "rose" / ".thumbnails" / "1.png").write_bytes(b"1")

        opened = Folder.open(folder, "flowers")

        assert opened.labels == LABELS
        assert opened.load().skipped == ()

    def test_links_are_followed_to_files_and_labels_but_not_in_circles(self, folder, tmp_path):
        (folder / "rose").rename(tmp_path / "elsewhere")
        (folder / "rose").symlink_to(tmp_path / "elsewhere")
        (folder / "tulip" / "again").symlink_to(folder / "tulip")
        (folder / "tulip" / "gone.png").symlink_to(tmp_path / "gone.png")
        (folder / "tulip" / "99.png").symlink_to(tmp_path / "elsewhere" / "1.png")

        assert len(Folder.open(folder, "flowers").files) == 49

    def test_a_name_that_would_upset_a_terminal_is_shown_escaped(self, folder):
        (folder / "rose" / "\x1b[2J.png").write_bytes(b"1")
        Path(os.fsdecode(os.fsencode(folder / "rose") + b"/\xff.png")).write_bytes(b"1")

        skipped = "".join(load(folder).skipped)

        assert "\\x1b[2J.png" in skipped
        assert "\\udcff.png" in skipped


def without_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def without_labels(folder: Path) -> None:
    for label in LABELS:
        shutil.rmtree(folder / label)


def with_one_label(folder: Path) -> None:
    for label in LABELS[1:]:
        shutil.rmtree(folder / label)


def with_a_colon(folder: Path) -> None:
    (folder / "rose").rename(folder / "rose: red")


def with_a_line_break(folder: Path) -> None:
    (folder / "rose").rename(folder / "rose\nred")


def with_a_name_in_no_encoding(folder: Path) -> None:
    (folder / "rose").rename(os.fsdecode(os.fsencode(folder) + b"/ros\xe9"))


def with_few_roses(folder: Path) -> None:
    for number in range(3):
        (folder / "rose" / f"{number}.png").unlink()


def with_damaged_roses(folder: Path) -> None:
    for number in range(3):
        (folder / "rose" / f"{number}.png").write_bytes(b"1")


def with_nothing_readable(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        file.write_bytes(b"1")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (without_folder, "no such folder; it is to hold a folder of pictures for each label"),
        (without_labels, "0 folders in it, at least 2 are needed; it is to hold a folder of pictures for each label"),
        (with_one_label, "1 folders in it, at least 2 are needed"),
        (with_a_colon, "rose: red: its name cannot be a label; rename it, without colons"),
        (with_a_line_break, r"rose\nred': its name cannot be a label"),
        (with_a_name_in_no_encoding, r"ros\udce9': its name cannot be a label"),
        (with_few_roses, "too few pictures: 9 of 'rose'; each label needs at least 10: add some"),
        (with_damaged_roses, "too few pictures: 9 of 'rose', not counting 3 that cannot be read, such as "),
        (with_nothing_readable, "none of 40 pictures looked at can be read; the first: "),
    ],
)
def test_a_folder_that_cannot_be_learned_from_is_refused(folder, tmp_path, capsys, spoil, reason):
    spoil(folder)

    status = export.main(["--images", str(folder), "--name", "flowers", "--models-dir", str(tmp_path / "models")])

    message = capsys.readouterr().err
    assert status == 1
    assert "training.export: " in message
    assert reason in message
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("name", ["", ".flowers", "my/flowers", "..", "flowers:1", "fl wers", "x" * 96])
def test_a_name_that_no_model_can_bear_is_refused(folder, capsys, name):
    with pytest.raises(SystemExit) as refusal:
        export.main(["--images", str(folder), f"--name={name}"])

    assert refusal.value.code == 2
    assert f"{name!r} cannot name a model; take up to 95 letters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--images", "flowers"], "--images DIR and --name NAME belong together"),
        (["--name", "flowers"], "--images DIR and --name NAME belong together"),
        (["--images", "flowers", "--name", "cifar-net"], "'cifar-net' is a recipe's; take another name"),
        (["--images", "flowers", "--name", "cifar-net-int8"], "'cifar-net-int8' is a recipe's; take another name"),
        (["fashion-mlp", "--images", "flowers", "--name", "flowers"], "leave fashion-mlp out"),
        (["fashion-mlp", "--checkpoint", "a.pt", "--epochs", "3", "--seed", "0"], "leave --epochs and --seed out"),
    ],
)
def test_options_that_contradict_each_other_are_refused(capsys, arguments, reason):
    with pytest.raises(SystemExit) as refusal:
        export.main(arguments)

    assert refusal.value.code == 2
    assert reason in capsys.readouterr().err


class TestRecipe:
    @pytest.mark.parametrize(("count", "epochs", "batch"), [(20, 200, 32), (2_000, 100, 62), (1_000_000, 8, 128)])
    def test_few_pictures_are_seen_more_often_and_in_smaller_batches(self, folder, count, epochs, batch):
        opened = replace(Folder.open(folder, "flowers"), files=((0, folder),) * count)

        assert (own(opened).epochs, own(opened).batch) == (epochs, batch)

    def test_pictures_are_never_mirrored(self, folder):
        recipe = own(Folder.open(folder, "flowers"))

        assert (recipe.flip, recipe.mirrored, recipe.fit) == (False, False, "photo")


class TestExported:
    def test_the_service_names_pictures_that_it_has_not_seen(self, client):
        uploads = [saved(picture(label, 99, side=50, channels=3), "JPEG") for label in range(len(LABELS))]

        given = [ask(client, upload, "model=flowers") for upload in uploads]

        assert [answer["label"] for answer in given] == list(LABELS)
        assert {answer["model"] for answer in given} == {"flowers"}

    def test_the_pixels_trained_on_are_those_that_the_service_sees(self, client, flowers):
        files = [file for _, file in Folder.open(flowers, "flowers").files if file.name != "broken.jpg"]

        seen = {pixels_of(ask(client, file.read_bytes(), "model=flowers&seen=true")["seen"]) for file in files}

        data = load(flowers)
        learned = {pixels for part in (data.train, data.test) for pixels, _ in contents(part)}
        assert seen == learned

    def test_a_service_with_nothing_else_answers_any_picture_with_it(self, client):
        grey, coloured = (saved(picture(2, 99, channels=channels), "PNG") for channels in (1, 3))

        assert {ask(client, upload)["model"] for upload in (grey, coloured)} == {"flowers"}

    def test_the_card_says_that_the_images_are_own(self, file):
        card = Classifier.open(file).card

        assert (card.name, card.dataset, card.fit) == ("flowers", "own images (flowers)", "photo")
        assert card.labels == list(LABELS)
        assert card.licence.startswith("not stated")

    def test_the_readmes_command_trains_it_again(self, models, flowers):
        (command,) = re.findall(r"`python -m training\.export (.*?)`", (models / "flowers/README.md").read_text())

        options = export_parser().parse_args(command.replace("DIR", str(flowers)).split())

        (recipe,) = chosen(options)
        assert contradiction_in(options) is None
        assert (recipe.name, recipe.epochs, recipe.seed) == ("flowers", EPOCHS, 1)

    def test_weights_of_own_images_can_be_exported_without_training(self, flowers):
        arguments = ["--images", str(flowers), "--name", "flowers", "--checkpoint", "weights.pt"]

        assert contradiction_in(export_parser().parse_args(arguments)) is None

    def test_the_readme_claims_neither_a_licence_nor_a_published_data_set(self, models):
        text = (models / "flowers/README.md").read_text()

        front = text.split("---\n")[1]
        assert "license: other" in front
        assert "datasets:" not in front
        assert "trained on own images (flowers)" in text
        assert "MIT" not in text


class TestEvaluate:
    def test_the_figures_of_the_same_test_images_are_the_cards_own(self, file, flowers, capsys):
        status = evaluate.main([str(file), "--images", str(flowers), "--json"])

        shown = capsys.readouterr()
        metrics, told = msgspec.structs.asdict(Classifier.open(file).card.metrics), msgspec.json.decode(shown.out)
        assert status == 0
        assert {name: told[name] for name in metrics} == pytest.approx(metrics, rel=1e-5)
        assert list(told["novelty"]["auroc"]) == ["noise", "digits", "photo crops"]  # the others are not at hand
        assert "has changed" not in shown.err

    def test_without_their_folder_they_are_not_known(self, file, capsys):
        status = evaluate.main([str(file)])

        assert status == 1
        assert "name that folder with --images DIR" in capsys.readouterr().err

    def test_a_folder_that_has_changed_is_warned_of(self, file, flowers, tmp_path, capsys):
        changed = shutil.copytree(flowers, tmp_path / "flowers")
        (changed / "rose" / "1.jpg").unlink()

        status = evaluate.main([str(file), "--images", str(changed)])

        assert status == 0
        assert f"{changed} has changed since flowers was trained" in capsys.readouterr().err

    def test_a_folder_of_other_labels_is_refused(self, file, folder, capsys):
        (folder / "violet").rename(folder / "yarrow")

        status = evaluate.main([str(file), "--images", str(folder)])

        assert status == 1
        assert (
            "has the labels daisy, rose, tulip, yarrow; flowers: daisy, rose, tulip, violet" in capsys.readouterr().err
        )

    def test_own_images_are_not_for_a_model_of_published_data(self, folder, capsys):
        status = evaluate.main([str(COMMITTED / "fashion-mlp/1/model.onnx"), "--images", str(folder)])

        assert status == 1
        assert "was not trained on own images but on Fashion-MNIST; leave --images out" in capsys.readouterr().err
