"""Tables of labels as spreadsheets and other programs write them, and what is refused."""

from pathlib import Path

import pytest
from own_images import LABELS, fill

from training.datasets.folder_layout import find_layout
from training.datasets.formats import DataError
from training.datasets.image_folder import ImageFolder
from training.datasets.label_table import read_table
from training.datasets.split_names import TEST, TRAIN, VALIDATION


def write(folder: Path, text: str) -> Path:
    """Write a table."""
    table = folder / "labels.csv"
    table.write_bytes(text.encode())
    return table


@pytest.mark.parametrize(
    "text",
    [
        "file;label\r\n1.png;rose, red\r\n",
        "file\tlabel\n1.png\trose, red\n",
        "sep=;\r\nfile;label\r\n1.png;rose, red\r\n",
        '\ufeff"sep=|"\r\n1.png|rose, red\r\n',
        'sep=,\nfile,label\n1.png,"rose, red"\n',
        "sep=\\t\r\nfile\tlabel\r\n1.png\trose, red\r\n",
        "sep=;;\r\nfile;label\r\n1.png;rose, red\r\n",
        ' "SEP=;"\r\n\r\nfile;label\r\n1.png;rose, red\r\n',
        "sep=\r\nfile;label\r\n1.png;rose, red\r\n",
        'sep=;\nfile,label\n1.png,"rose, red"\n',
        "\n\nfile;label\n1.png;rose, red\n",
        "file|label\n1.png|rose, red\n",
        '"file", "label"\n"1.png", "rose, red"\n',
        '"file" ,"label" \r\n"1.png" ,"rose, red" \r\n',
    ],
)
def test_columns_are_separated_as_the_first_line_says_or_does(tmp_path, text):
    rows = read_table(write(tmp_path, text))

    assert {file.name: row.labels for file, row in rows.items()} == {"1.png": ("rose, red",)}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_columns_without_names_are_separated_as_the_file_in_the_first_row_is(tmp_path, separator):
    (tmp_path / "1.png").write_bytes(b"1")

    rows = read_table(write(tmp_path, f"1.png{separator}rose\n2.png{separator}tulip\n"))

    assert [row.labels for row in rows.values()] == [("rose",), ("tulip",)]


def test_a_line_is_counted_after_the_one_that_names_the_separator(tmp_path):
    with pytest.raises(DataError, match="line 4: a file and its label are needed, separated by a comma"):
        read_table(write(tmp_path, "sep=;\nfile;label\n1.png;rose\n2.png\n"))


@pytest.mark.parametrize(("header", "file"), [("image,class", "image"), ("image;class", "image;class")])
def test_other_names_of_columns_are_not_taken_for_an_image(tmp_path, header, file):
    with pytest.raises(
        DataError, match=f"line 1: there is no file '{file}'; if these are the names of the columns, name"
    ):
        read_table(write(tmp_path, f"{header}\n1.png,rose\n2.png,tulip\n"))


def test_paths_may_be_those_of_windows(tmp_path):
    rows = read_table(write(tmp_path, "file,label\nred\\a b\\1.png,rose\n"))

    assert list(rows) == [tmp_path / "red/a b/1.png"]


def test_a_first_image_that_is_missing_is_left_to_the_reader_of_images(tmp_path):
    assert len(read_table(write(tmp_path, "gone.png,rose\n1.png,rose\n"))) == 2


@pytest.mark.parametrize(
    ("first", "row"),
    [
        ("file,label", "1.png,cat,dog"),
        ("file,label", "1.png,a cat, asleep"),
        ("0.png,cat", "1.png,cat,dog"),
        ("0.png,cat", "1.png,cat,test"),  # not a split, since no column has that name
    ],
)
def test_a_row_with_more_cells_than_the_first_loses_none_silently(tmp_path, first, row):
    with pytest.raises(DataError, match="line 2: 3 cells, but the first row has 2: put several labels into one"):
        read_table(write(tmp_path, f"{first}\n{row}\n"), multi_label=True)


def test_two_columns_of_one_name_are_refused_as_only_one_would_be_read(tmp_path):
    with pytest.raises(DataError, match=r"2 columns are named label: keep one, with several labels in one cell"):
        read_table(write(tmp_path, "file,label,Label\n1.png,cat,dog\n"), multi_label=True)


def test_a_row_may_end_with_empty_cells(tmp_path):
    assert [row.labels for row in read_table(write(tmp_path, "file,label\n1.png,cat,,\n")).values()] == [("cat",)]


def test_a_null_character_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"not a CSV in UTF-8 \(a null character in line 2\)"):
        read_table(write(tmp_path, "file,label\n1\0.png,rose\n"))


@pytest.mark.parametrize("note", ['"not closed', '"closed" too soon', '"closed below'])
def test_a_quote_that_would_join_rows_is_refused(tmp_path, note):
    rows = f'1.png,rose,"two\nlines"\n2.png,tulip,{note}\n3.png,rose,"good"\n'

    with pytest.raises(DataError, match=r"not a CSV in UTF-8 \(in the row that begins in line 4, .*: look at its quo"):
        read_table(write(tmp_path, f"file,label,note\n{rows}"))


def test_a_table_with_a_fault_further_down_is_refused_and_not_passed_over(tmp_path):
    write(fill(tmp_path), 'file,label\nrose/1.png,rose\nrose/2.png,"rose\n')

    with pytest.raises(DataError, match="in the row that begins in line 3"):
        find_layout(tmp_path)


def test_predictions_in_the_folder_are_not_taken_for_labels(tmp_path):
    write(fill(tmp_path), "file,model,version,label,probability\nrose/1.png,flowers,1,tulip,0.9\n")

    assert find_layout(tmp_path).kind == "a folder for each label"


class TestSplits:
    def test_a_column_gives_the_split_of_each_image(self, tmp_path):
        names = {0: "test", 1: "Test", 2: "val", 3: ""}
        files = sorted(fill(tmp_path, each=14).rglob("*.png"))
        rows = [f"{f.relative_to(tmp_path)},{f.parent.name},{names.get(i % 14, 'train')}" for i, f in enumerate(files)]
        folder = ImageFolder.open(write(tmp_path, "\n".join(("file,label,split", *rows))), "flowers")

        data = folder.load()

        assert (folder.labels, folder.layout) == (LABELS, "the table labels.csv, which names splits")
        assert {part: len(some) for part, some in data.files.items()} == {TRAIN: 44, VALIDATION: 4, TEST: 8}

    def test_another_name_is_refused(self, tmp_path):
        write(tmp_path, "file,label,split\n1.png,rose,A\n2.png,tulip,B\n")

        with pytest.raises(
            DataError, match=r"1\.png has the split 'A'; take one of train, val, .* or rename the column"
        ):
            find_layout(tmp_path)

    def test_an_image_in_two_splits_is_refused(self, tmp_path):
        with pytest.raises(DataError, match=r"line 3: 1\.png has the split 'test' here and 'train' above: keep one"):
            read_table(write(tmp_path, "file,label,split\n1.png,rose,train\n1.png,rose,test\n"))


def test_labels_that_differ_in_their_encoding_alone_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"the labels 'cafe\\u0301' and 'caf\\xe9' differ only in spaces, capitals or the enc"
    ):
        find_layout(write(tmp_path, "file,label\n1.png,café\n2.png,cafe\u0301\n"))
