"""The layouts in which own images may be, and what is refused."""

import os
import re
import shutil
from pathlib import Path

import pytest
from own_images import LABELS, fill, flower

from training.datasets.folder_layout import find_layout
from training.datasets.formats import DataError
from training.datasets.image_folder import ImageFolder
from training.datasets.split_names import TEST, TRAIN, VALIDATION


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    """Folders train, val and test, with other images in each."""
    folder = tmp_path / "pictures"
    for part, (name, each) in enumerate({"train": 12, "val": 4, "test": 3}.items()):
        fill(tmp_path / "more", each=each)
        for file in sorted((tmp_path / "more").rglob("*.png")):
            target = folder / name / file.relative_to(tmp_path / "more")
            target.parent.mkdir(parents=True, exist_ok=True)
            flower(LABELS.index(file.parent.name), 100 * part + int(file.stem)).save(target)
        shutil.rmtree(tmp_path / "more")
    return folder


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Images in no folder, whose names begin with their labels."""
    for file in sorted(fill(tmp_path / "flowers").rglob("*.png")):
        target = tmp_path / "flat" / f"{file.parent.name}_{file.stem}.png"
        target.parent.mkdir(exist_ok=True)
        file.rename(target)
    return tmp_path / "flat"


def write_table(folder: Path, header: str = "file,label\n") -> Path:
    """Write a table of the images in a folder of labels."""
    rows = [f"{file.relative_to(folder)},{file.parent.name}\n" for file in sorted(folder.rglob("*.png"))]
    table = folder / "labels.csv"
    table.write_text(header + "".join(rows))
    return table


class TestSplits:
    def test_the_folders_of_the_usual_splits_are_no_labels(self, splits):
        assert ImageFolder.open(splits, "flowers").labels == LABELS

    @pytest.mark.parametrize("name", ["valid", "validation", "Val", "dev", "val2017", "validation_set"])
    def test_each_split_has_the_images_of_its_folder(self, splits, name):
        (splits / "val").rename(splits / name)

        data = ImageFolder.open(splits, "flowers").load()

        assert (len(data.train), len(data.validation), len(data.test)) == (48, 16, 12)
        folders = {part: {file.path.parts[-3] for file in files} for part, files in data.files.items()}
        assert folders == {TRAIN: {"train"}, VALIDATION: {name}, TEST: {"test"}}

    @pytest.mark.parametrize(
        "names",
        [
            *[("training", "testing"), ("train_set", "Test-Set"), ("1 train", "2 test"), ("seg_train", "seg_test")],
            *[("flowers_train", "flowers_test"), ("Train crops", "Test crops"), ("my-trainset-v2", "my-testset-v2")],
        ],
    )
    def test_other_names_of_splits_are_no_labels_either(self, splits, names):
        shutil.rmtree(splits / "val")
        for name, new in zip(("train", "test"), names, strict=True):
            (splits / name).rename(splits / new)

        layout = find_layout(splits)

        assert layout.labels == LABELS
        assert {(file.path.parts[-3], file.split) for file in layout.files} == {(names[0], TRAIN), (names[1], TEST)}

    def test_a_split_may_lie_in_a_folder_of_its_name_as_in_some_archives(self, splits):
        for name in ("train", "val", "test"):
            (splits / name).rename(splits / "inner")
            (splits / name).mkdir()
            (splits / "inner").rename(splits / name / name)

        layout = find_layout(splits)

        assert layout.labels == LABELS
        assert {file.split for file in layout.files} == {TRAIN, VALIDATION, TEST}

    @pytest.mark.parametrize("names", [("train_track", "test_track"), ("steam_train", "test_tube"), ("a train", "a")])
    def test_labels_with_the_name_of_a_split_in_theirs_stay_labels(self, tmp_path, names):
        fill(tmp_path)
        for old, new in zip(LABELS, names, strict=False):
            (tmp_path / old).rename(tmp_path / new)

        assert set(names) < set(find_layout(tmp_path).labels)

    def test_the_folder_of_each_label_may_have_the_splits_in_it(self, splits, tmp_path):
        for file in sorted(splits.rglob("*.png")):
            target = tmp_path / "labels" / file.parent.name / file.parts[-3] / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)

        layout = find_layout(tmp_path / "labels")

        assert layout.labels == LABELS
        assert {(file.path.parts[-2], file.split) for file in layout.files} == {
            ("train", TRAIN),
            ("val", VALIDATION),
            ("test", TEST),
        }

    @pytest.mark.parametrize("unsplit", ["rose", "rose/train", "rose/other"])
    def test_labels_with_and_without_splits_in_them_are_not_merged(self, splits, tmp_path, unsplit):
        for file in sorted(splits.rglob("*.png")):
            label, split = file.parent.name, file.parts[-3]
            within = unsplit if label == "rose" else f"{label}/{split}"
            target = tmp_path / "labels" / within / f"{split}-{file.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)

        merged = "daisy and tulip and violet has the folders of splits test and train and val in it, but rose has none"
        with pytest.raises(DataError, match=f"{merged}, or has images beside them: put all images"):
            find_layout(tmp_path / "labels")

    def test_an_empty_folder_beside_labels_with_splits_in_them_merges_nothing(self, splits, tmp_path):
        for file in sorted(splits.rglob("*.png")):
            target = tmp_path / "labels" / file.parent.name / file.parts[-3] / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
        (tmp_path / "labels/zinnia").mkdir()

        layout = find_layout(tmp_path / "labels")

        assert {file.split for file in layout.files} == {TRAIN, VALIDATION, TEST}
        assert layout.left_out == (f"{tmp_path}/labels/zinnia: an empty folder, which gives no label",)

    @pytest.mark.parametrize(
        "name", ["__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"]
    )
    def test_what_an_archive_or_a_system_adds_is_neither_a_label_nor_an_image(self, splits, name):
        for folder in (splits, splits / "train", splits / "train/rose"):
            fill(folder / name)

        layout = find_layout(splits)

        assert (layout.labels, len(layout.files), layout.left_out) == (LABELS, 76, ())

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    @pytest.mark.parametrize("name", ["train/rose", "train/rose/closed"])
    def test_a_folder_that_may_not_be_read_is_not_taken_for_an_empty_one(self, splits, name):
        (splits / "train/rose/closed").mkdir()
        (splits / name).chmod(0)

        with pytest.raises(PermissionError, match=name):
            find_layout(splits)

        (splits / name).chmod(0o755)

    def test_without_test_images_a_fifth_of_the_training_images_becomes_them(self, splits):
        shutil.rmtree(splits / "test")

        data = ImageFolder.open(splits, "flowers").load()

        assert (len(data.train), len(data.validation), len(data.test)) == (40, 16, 8)

    def test_a_copy_of_a_test_image_is_not_learned(self, splits):
        shutil.copy(splits / "test/rose/1.png", splits / "train/rose/copy.png")

        data = ImageFolder.open(splits, "flowers").load()

        assert (len(data.train), len(data.test)) == (48, 12)
        assert data.skipped == (f"{splits}/train/rose/copy.png: a copy of {splits}/test/rose/1.png",)

    def test_a_label_may_be_called_train(self, tmp_path):
        (fill(tmp_path) / "rose").rename(tmp_path / "train")

        assert find_layout(tmp_path).labels == ("daisy", "train", "tulip", "violet")


class TestOtherLayouts:
    def test_file_names_may_begin_with_the_labels(self, flat):
        flower(0, 98).save(flat / "IMG_0001.png")
        flower(0, 99).save(flat / "one.png")

        layout = find_layout(flat)

        assert (layout.labels, len(layout.files)) == (LABELS, 48)
        assert layout.left_out == (f"2 images: no label before a number, such as {flat}/IMG_0001.png",)

    @pytest.mark.parametrize("header", ["file,label\n", ""])
    def test_a_table_gives_the_labels(self, tmp_path, header):
        table = write_table(fill(tmp_path), header)

        of_folder, of_table = find_layout(tmp_path), find_layout(table)

        assert of_folder.labels == of_table.labels == LABELS
        assert len(of_folder.files) == len(of_table.files) == 48

    def test_the_columns_of_a_table_may_be_in_any_order_among_others(self, tmp_path):
        flower(0, 0).save(tmp_path / "1.png")
        flower(1, 0).save(tmp_path / "2.png")
        (tmp_path / "labels.csv").write_text("Label,by,File\nrose,me,1.png\ntulip,me,2.png\n")

        assert [(file.labels, file.path.name) for file in find_layout(tmp_path).files] == [
            (("rose",), "1.png"),
            (("tulip",), "2.png"),
        ]

    def test_a_table_of_something_else_gives_no_labels(self, tmp_path):
        (fill(tmp_path) / "prices.csv").write_bytes(b"rose,\xff\n")

        layout = find_layout(tmp_path)

        assert layout.kind == "a folder for each label"
        assert layout.left_out[0].startswith(f"{tmp_path}/prices.csv: not a CSV in UTF-8 (")

    def test_the_suffix_of_a_table_may_have_capitals(self, tmp_path):
        write_table(fill(tmp_path)).rename(tmp_path / "LABELS.CSV")

        assert find_layout(tmp_path).kind == "the table LABELS.CSV"

    def test_a_label_may_have_the_joiners_of_its_script_in_it(self, tmp_path):
        labels = ("\u06a9\u062a\u0627\u0628\u200c\u0647\u0627", "\U0001f469\u200d\U0001f373")
        for label, name in zip(labels, LABELS, strict=False):
            (fill(tmp_path) / name).rename(tmp_path / label)

        assert set(labels) < set(find_layout(tmp_path).labels)
        assert ImageFolder.open(tmp_path, "own").named(tmp_path / labels[0] / "1.png") == f"{labels[0]}/1.png"

    def test_labels_that_differ_in_a_joiner_alone_are_refused(self, tmp_path):
        (fill(tmp_path) / "daisy").rename(tmp_path / "ro\u200cse")

        with pytest.raises(DataError, match="differ only in spaces, capitals or the encoding of a letter: give"):
            find_layout(tmp_path)

    def test_a_hidden_table_is_ignored(self, tmp_path):
        (fill(tmp_path) / "._labels.csv").write_bytes(b"\0\5\x16\7")

        assert find_layout(tmp_path).left_out == ()


class TestNamed:
    def test_loose_images_and_empty_folders_are_named(self, tmp_path):
        flower(0, 99).save(fill(tmp_path) / "loose.png")
        (tmp_path / "zinnia").mkdir()

        layout = find_layout(tmp_path)

        assert layout.labels == LABELS
        assert layout.left_out == (
            f"{tmp_path}/zinnia: an empty folder, which gives no label",
            f"1 image: no label, since beside the folders of labels, such as {tmp_path}/loose.png",
        )

    def test_hidden_folders_of_images_are_named(self, tmp_path):
        (fill(tmp_path) / "rose").rename(tmp_path / ".rose")
        (tmp_path / ".cache").mkdir()

        layout = find_layout(tmp_path)

        reason = "hidden by a dot, so no label; rename it if it is one"
        assert layout.labels == tuple(label for label in LABELS if label != "rose")
        assert layout.left_out == (f"1 folder: {reason}, such as {tmp_path}/.rose",)

    def test_images_that_a_table_does_not_name_are_named(self, tmp_path):
        table = write_table(fill(tmp_path))
        flower(0, 99).save(tmp_path / "rose" / "new.png")

        assert find_layout(tmp_path).left_out == (f"1 image: not in {table.name}, such as {tmp_path}/rose/new.png",)

    def test_a_file_with_two_labels_is_learned_as_neither(self, tmp_path):
        shutil.copy(fill(tmp_path) / "rose/1.png", tmp_path / "tulip/rose.png")

        data = ImageFolder.open(tmp_path, "flowers").load()

        (message,) = data.skipped
        assert len(data.train) + len(data.test) == 47
        assert "either 'rose' or 'tulip'" in message or "either 'tulip' or 'rose'" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("file,label\n1.jpg,L\xf6ffel\n".encode("cp1252"), "not a CSV in UTF-8 ("),
        ("file,label\n1.jpg,L\xf6ffel\n".encode("utf-16"), "not a CSV in UTF-8 ("),
        (b"id,image,class\n1,1.jpg,rose\n", "not read as a table of labels: its first row is 'id,image,class'; if"),
    ],
)
def test_the_refusal_of_loose_images_says_why_the_table_beside_them_is_not_read(tmp_path, content, reason):
    for number in range(3):
        flower(0, number).save(tmp_path / f"IMG_{number}.png")
    (tmp_path / "labels.csv").write_bytes(content)

    with pytest.raises(DataError, match=re.escape(f"({tmp_path}/labels.csv: {reason}")):
        find_layout(tmp_path)


def test_labels_by_file_names_come_with_a_word_on_a_table_that_is_not_read(flat):
    (flat / "labels.csv").write_text("image,class\nrose_1.png,tulip\n")

    (left_out,) = find_layout(flat).left_out

    assert left_out.endswith("labels.csv: not read as a table of labels: its first row is 'image,class'; if it gives "
                             "labels, name its columns file and label")  # fmt: skip


@pytest.mark.parametrize("images", [0, 3])
def test_a_split_whose_images_are_in_no_folders_of_labels_is_not_called_a_label(splits, images):
    shutil.rmtree(splits / "test")
    (splits / "test").mkdir()
    for number in range(images):
        flower(0, number).save(splits / "test" / f"{number}.png")

    with pytest.raises(DataError, match="test has none with images, or has images beside them: put its images into a"):
        find_layout(splits)


def test_a_label_among_the_splits_is_refused(splits):
    fill(splits / "other").joinpath("rose").rename(splits / "rose")
    shutil.rmtree(splits / "other")

    with pytest.raises(DataError, match="keep only splits, or only labels"):
        find_layout(splits)


@pytest.mark.parametrize("names", [("train", "test"), ("training_set", "test_set")])
def test_splits_without_labels_in_them_are_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
        flower(0, 0).save(tmp_path / name / "1.png")

    with pytest.raises(DataError, match="put the images into a folder for each label"):
        find_layout(tmp_path)


def test_a_label_that_nothing_can_learn_is_refused(splits):
    shutil.rmtree(splits / "train" / "rose")

    with pytest.raises(DataError, match="the label 'rose' is only in test, so it cannot be learned"):
        find_layout(splits)


def test_a_folder_around_the_folders_of_labels_is_named(tmp_path):
    inner = fill(tmp_path / "flowers/pictures")

    with pytest.raises(DataError, match=f"1 folders in it, .* where the folders of labels are in it, name {inner}"):
        find_layout(inner.parent)


def test_two_folders_of_one_split_are_refused(splits):
    shutil.copytree(splits / "val", splits / "valid")

    with pytest.raises(DataError, match="val and valid name one split twice"):
        find_layout(splits)


def test_splits_without_a_folder_to_learn_from_are_refused(splits):
    shutil.rmtree(splits / "train")

    with pytest.raises(DataError, match="test and val and no folder train to learn from"):
        find_layout(splits)


def test_labels_that_differ_in_capitals_alone_are_refused(tmp_path):
    (fill(tmp_path) / "tulip").rename(tmp_path / "Rose")

    with pytest.raises(DataError, match="'Rose' and 'rose' differ only in spaces, capitals"):
        find_layout(tmp_path)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("1.png,rose\n1.png,tulip\n", "line 3: 1.png has the label 'tulip' here and the label 'rose' above"),
        ("1.png,rose\n2.png\n", "line 3: a file and its label are needed"),
        ("1.png,rose\n", "1 labels in it, at least 2 are needed; name them in its column label, in rows such as ros"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(tmp_path, rows, reason):
    (tmp_path / "labels.csv").write_text(f"file,label\n{rows}")

    with pytest.raises(DataError, match=reason):
        find_layout(tmp_path)


def test_a_refused_row_is_named_by_its_line_in_the_file(tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\n\n\n1.png,rose\n\n2.png\n")

    with pytest.raises(DataError, match="line 6: a file and its label are needed"):
        find_layout(tmp_path)


def test_a_csv_of_something_else_and_a_folder_named_like_a_table_are_no_tables(tmp_path):
    (fill(tmp_path) / "notes.csv").write_text(f"{'a' * 300},b\n")
    (tmp_path / "labels.csv").mkdir()
    flower(0, 0).save(tmp_path / "labels.csv" / "1.png")

    assert find_layout(tmp_path).kind == "a folder for each label"


def test_two_tables_are_refused(tmp_path):
    table = write_table(fill(tmp_path))
    shutil.copy(table, tmp_path / "other.csv")

    with pytest.raises(DataError, match=r"labels\.csv and .*other\.csv both give labels; name one of them in place"):
        find_layout(tmp_path)


def test_file_names_without_labels_are_refused(tmp_path):
    for number in range(12):
        flower(0, number).save(tmp_path / f"IMG_{number}.png")

    with pytest.raises(DataError, match="begin with fewer than 2 labels; make a folder of images for each label"):
        find_layout(tmp_path)
