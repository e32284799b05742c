"""A list of digests: only the files in it are served."""

import hashlib

import pytest

from serving.app import create_app
from serving.repository.digests import DigestsError, ModelDigests
from serving.settings import Settings


def digest(path):
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture
def serve(folder, tmp_path):
    """Return a starter of a service with the folder's models and a list of digests."""

    def start(*lines):
        (tmp_path / "digests.txt").write_text("\n".join(lines))
        settings = Settings(models=str(folder), model_digests=str(tmp_path / "digests.txt"), allow_download=True)
        return create_app(settings).test_client()

    return start


def test_only_listed_files_are_served_and_the_others_say_why(serve, forge):
    first, second, third = (forge(f"garments/{number}") for number in (1, 2, 3))
    client = serve("# served", f"{digest(first)}  garments/1", f"{digest(third)}  garments/2", "")

    (model,) = client.get("/models").json["models"]

    assert (model["version"], model["digest"]) == ("1", digest(first))
    assert f"has another digest for garments/2; to serve this file, list {digest(second)}" in model["reason"]
    assert f"has no line for garments/3; to serve this file, list {digest(third)}" in model["reason"]
    assert client.get("/models/garments/2/model.onnx").status_code == 503
    with client.get("/models/garments/1/model.onnx") as download:
        assert download.data == first.read_bytes()


def test_an_empty_list_serves_nothing(serve, forge):
    forge("garments/1")
    client = serve()

    assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"{'0' * 64} garments/1", "line 1: '0+ garments/1' is not 'sha256:' and 64 digits, then NAME/VERSION"),
        (f"\nsha256:{'0' * 64} garments", "line 2: "),
        (f"sha256:{'0' * 64} garments/1\nsha256:{'1' * 64} garments/1", "line 2: garments/1 has a line already"),
    ],
)
def test_a_broken_list_is_refused_with_the_line_and_the_reason(tmp_path, content, reason):
    (tmp_path / "digests.txt").write_text(content)

    with pytest.raises(DigestsError, match=reason):
        ModelDigests.read(tmp_path / "digests.txt")
