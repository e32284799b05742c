"""The arrows: which file may import which. A file may import only what stands above it in its own list."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SERVING = [
    "png", "contract", "errors", "prediction", "version", "client.connection", "client", "client.__main__",
    "server.cores", "shades", "settings", "server.deadline", "server.hooks", "server.connection", "server.worker",
    "server",
    "fits", "picture", "images", "classifier", "occlusion", "batching", "aside",
    "repository.orders", "repository.shelf", "repository.catalogue", "repository.loader", "repository.follower",
    "repository", "repository.watch",
    "telemetry.metrics", "telemetry.statistics", "telemetry.inventory", "telemetry.stages", "telemetry.drift",
    "telemetry.shadow", "question", "answers", "admission", "telemetry.logs", "telemetry.tracing", "telemetry",
    "api.replies", "api.journal", "api.multipart", "api.uploads", "api.classify", "api.explain", "api.models",
    "api.operations",
    "api.v2.encodings", "api.v2.signature", "api.v2.tensors", "api.v2.requests", "api.v2.replies", "api.v2.infer",
    "api.v2.statistics", "api.v2.repository", "api.v2",
    "api.openapi", "api.pages", "api.framework", "api", "app", "gunicorn_conf", "__main__",
]  # fmt: skip
TRAINING = [
    "progress", "augment",
    "datasets.formats", "datasets.images", "datasets.published", "datasets", "datasets.pictures", "datasets.photos",
    "datasets.foreign", "datasets.outliers",
    "networks.activations", "networks", "networks.layers", "networks.normalisation", "networks.novelty",
    "networks.served", "recipes", "calibrate", "graph", "graph.quantise",
    "train.allocator", "train.ctrl_c", "train.devices", "train.precision", "train.together", "train.checkpoint",
    "train.muon", "train.optimise", "train.tally", "train.course", "train", "train.logs", "train.teacher",
    "options", "appraisal", "report", "trained", "folder.golden", "folder.card", "folder.model_card", "folder",
    "export", "evaluate",
    "lecture.agreement", "lecture.section", "lecture.plots", "lecture.xor", "lecture.descent", "lecture.collapse",
    "lecture.nonlinearities", "lecture.outputs", "lecture.architecture", "lecture.approximation", "lecture.gradients",
    "lecture.symmetry", "lecture.overfitting", "lecture.demo", "lecture.garments", "lecture.things", "lecture.page",
    "lecture", "lecture.__main__",
]  # fmt: skip
COMMANDS = {"training.export", "training.evaluate"}  # these open files as the service does
SHARED = {"serving.model.card", "serving.model.classifier"}
# Own images are decoded, fitted, limited and named by the service's own code: what is learned from is what is served;
# and test images made into photos are read as the service reads them.
SEEN_AS_SERVED = {"serving.model.card", "serving.errors", "serving.imaging.preprocessing", "serving.imaging.decoding", "serving.settings"}
ALLOWED = dict.fromkeys(COMMANDS, SHARED) | {
    "training.folder.card": {"serving.model.card"},
    "training.datasets.photos": {"serving.imaging.preprocessing"},
    "training.datasets.pictures": SEEN_AS_SERVED,
}


def modules(package: str) -> list[str]:
    files = sorted((ROOT / package).rglob("*.py"))
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return [name for name in names if name != package]


def imports(module: str) -> Iterator[str]:
    """Yield what a module imports; of this project's packages, the modules themselves."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    ours = {*modules("serving"), *modules("training")}
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in ours else str(node.module) for name in names)


@pytest.mark.parametrize(("package", "order"), [("serving", SERVING), ("training", TRAINING)])
def test_every_module_has_its_place_in_the_list(package, order):
    assert sorted(modules(package)) == sorted(f"{package}.{name}" for name in order)


@pytest.mark.parametrize(("package", "order"), [("serving", SERVING), ("training", TRAINING)])
def test_a_module_imports_only_what_stands_above_it(package, order):
    names = [f"{package}.{name}" for name in order]

    upward = [
        f"{module} imports {imported}"
        for place, module in enumerate(names)
        for imported in imports(module)
        if imported in names[place:]
    ]

    assert upward == []


@pytest.mark.parametrize("package", ["serving", "training"])
def test_no_two_rooms_import_each_other(package):
    rooms = {
        tuple(".".join(name.split(".")[:2]) for name in (module, imported))
        for module in modules(package)
        for imported in imports(module)
        if imported.startswith(f"{package}.")
    }

    assert [(one, other) for one, other in sorted(rooms) if one < other and (other, one) in rooms] == []


@pytest.mark.parametrize("module", modules("serving"))
def test_serving_never_imports_the_training_side(module):
    assert {name.split(".")[0] for name in imports(module)}.isdisjoint({"torch", "onnx", "onnxscript", "training"})


@pytest.mark.parametrize("module", modules("training"))
def test_training_reads_of_serving_what_few_modules_are_allowed_to(module):
    foreign = {name for name in imports(module) if name.split(".")[0] == "serving"}

    assert foreign <= ALLOWED.get(module, set())


def test_the_service_starts_without_loading_torch_or_onnx():
    program = "import sys, serving.app; print(sorted({'torch', 'onnx', 'training', 'matplotlib'} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"
