from pathlib import Path

import pytest

from serving.model.triton_config import triton_config
from training.publish.model_folder import ModelFolder, config_pbtxt, labels_text

COMMITTED = Path(__file__).parents[3] / "models"


def publish(folder: ModelFolder, version: str, content: str) -> Path:
    """Publish a version whose graph and README hold this text."""
    with folder.draft() as draft:
        (draft / version).mkdir()
        (draft / version / "model.onnx").write_text(content)
        (draft / "README.md").write_text(content)
        return folder.publish(draft, version)


def interrupt(folder: ModelFolder, kind: type[BaseException]) -> None:
    """Begin to write version 2, and stop with this error."""
    with folder.draft() as draft:
        (draft / "2").mkdir()
        (draft / "2" / "model.onnx").write_text("half")
        raise kind


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], "1"),
        (["1"], "2"),
        (["1", "2", "10"], "11"),
        (["3"], "4"),
        (["README.md", "0", "1.bak", "2-old", ".5"], "1"),
    ],
)
def test_the_next_version_is_one_more_than_the_highest(tmp_path, there, expected):
    for name in there:
        (tmp_path / "net" / name).mkdir(parents=True)

    assert ModelFolder(tmp_path, "net").next_version() == expected


def test_a_published_model_is_there_in_full_and_the_draft_is_gone(tmp_path):
    models = tmp_path / "deep" / "models"

    published = publish(ModelFolder(models, "net"), "1", "first")

    assert published == models / "net/1"
    assert tree(models) == {"net/1/model.onnx": "first", "net/README.md": "first"}
    assert [path.name for path in models.iterdir()] == ["net"]


def test_a_full_disk_is_told_with_the_folder_and_what_to_do(tmp_path):
    folder = ModelFolder(tmp_path, "net")

    advice = f"No space left on device: not published; make room.* --resume if it trains: '{tmp_path}'"
    with pytest.raises(OSError, match=advice), folder.draft():
        Path("/dev/full").write_text("first")

    assert list(tmp_path.iterdir()) == []


def test_a_second_version_replaces_the_files_beside_it_and_the_first_keeps_its_readme(tmp_path):
    folder = ModelFolder(tmp_path, "net")
    publish(folder, "1", "first")

    publish(folder, folder.next_version(), "second")

    first = {"net/1/model.onnx": "first", "net/1/README.md": "first"}
    assert tree(tmp_path) == first | {"net/2/model.onnx": "second", "net/README.md": "second"}


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_draft_leaves_nothing_behind(tmp_path, kind):
    folder = ModelFolder(tmp_path, "net")
    publish(folder, "1", "first")
    before = tree(tmp_path)

    with pytest.raises(kind):
        interrupt(folder, kind)

    assert tree(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_a_version_is_published_with_its_readme_though_ctrl_c_was_pressed(tmp_path, request):
    folder = ModelFolder(tmp_path, "net")
    publish(folder, "1", "first")
    request.getfixturevalue("_ctrl_c_at_each_move")

    with pytest.raises(KeyboardInterrupt):
        publish(folder, "2", "second")

    first = {"net/1/model.onnx": "first", "net/1/README.md": "first"}
    assert tree(tmp_path) == first | {"net/2/model.onnx": "second", "net/README.md": "second"}


def test_a_draft_is_kept_whole_though_ctrl_c_was_pressed(tmp_path, request):
    folder = ModelFolder(tmp_path, "net")
    request.getfixturevalue("_ctrl_c_at_each_move")

    with folder.draft() as draft:
        (draft / "1").mkdir()
        (draft / "1/model.onnx").write_text("first")
        (draft / "README.md").write_text("first")
        with pytest.raises(KeyboardInterrupt):
            folder.keep(draft)

    assert tree(tmp_path) == {"net/.draft/1/model.onnx": "first", "net/.draft/README.md": "first"}


def test_a_draft_lies_beside_the_models_under_a_name_that_serving_ignores(tmp_path):
    with ModelFolder(tmp_path, "net").draft() as draft:
        assert draft.parent == tmp_path
        assert draft.name.startswith(".net-")
        assert list(draft.iterdir()) == []


def test_a_version_that_was_published_meanwhile_is_not_overwritten(tmp_path):
    folder = ModelFolder(tmp_path, "net")
    publish(folder, "1", "theirs")

    with pytest.raises(OSError, match="1"):
        publish(folder, "1", "ours")

    assert tree(tmp_path) == {"net/1/model.onnx": "theirs", "net/README.md": "theirs"}
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_published_files_have_the_permissions_that_the_umask_allows(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "file").touch()

    published = publish(ModelFolder(tmp_path, "net"), "1", "first")

    folder, file = ((tmp_path / "made" / name).stat().st_mode for name in ("", "file"))
    assert {path.stat().st_mode for path in (published, published.parent)} == {folder}
    assert {path.stat().st_mode for path in (published / "model.onnx", published.parent / "README.md")} == {file}


def test_labels_are_written_one_a_line_in_index_order():
    assert labels_text(["T-shirt/top", "Bag", "Ankle boot"]) == "T-shirt/top\nBag\nAnkle boot\n"


def config(name: str, has_novelty: bool) -> str:
    shape = (28, 28, 1) if name.startswith("fashion") else (128, 128, 3) if name == "router" else (32, 32, 3)
    classes = 2 if name == "router" else 10
    return config_pbtxt(triton_config(name, shape, classes, has_novelty=has_novelty, max_batch_size=64))


@pytest.mark.parametrize("name", ["fashion-mlp", "cifar-cnn", "fashion-net", "cifar-net", "router"])
def test_tritons_configuration_is_that_of_the_committed_models(name):
    assert config(name, has_novelty=name != "router") == (COMMITTED / name / "config.pbtxt").read_text()


def test_tritons_configuration_names_only_the_outputs_that_the_graph_has():
    text = config("cifar-cnn", has_novelty=False)

    assert "novelty" not in text
    assert '{ name: "probabilities", data_type: TYPE_FP32, dims: [ 10 ], label_filename: "labels.txt" }\n]' in text
