"""The arrows: which file may import which. A file may import only what stands above it in its own list."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SERVING = [
    "errors", "address_space", "child", "text_cache", "regular_file",
    "access", "access.caller", "access.key_file", "access.authorization", "access.rate_limit", "access.rate_limiter",
    "access.cors", "access.proxies", "access.same_origin", "keys",
    "imaging", "imaging.suffixes", "imaging.bmp",
    "prediction", "client.connection", "client.client", "client", "client.files", "client.output", "client.__main__",
    "imaging.formats", "imaging.png", "imaging.modes", "imaging.profiles", "imaging.icc", "imaging.colour",
    "imaging.scaling", "imaging.sizes", "imaging.netpbm", "imaging.jpeg", "imaging.heic",
    "imaging.coding", "imaging.embedded_profiles", "imaging.plain", "imaging.decoding", "imaging.decoder",
    "imaging.garment", "imaging.resizing", "imaging.preprocessing",
    "model", "model.task", "model.conformal", "model.metrics", "model.card", "model.external_data", "model.runtime",
    "model.classifier", "model.trial", "model.triton_config",
    "version", "sbom", "cpu", "concurrency",
    "repository", "repository.shadow_rules", "repository.digests", "repository.model_key", "settings",
    "repository.commands", "repository.scan", "repository.shared_lines", "repository.trials", "repository.trust",
    "repository.index", "repository.loader", "repository.reloader", "repository.golden_check", "repository.repository",
    "repository.poller", "verify",
    "inference", "inference.admission", "inference.options", "inference.timings", "inference.failures",
    "inference.batching", "inference.occlusion", "inference.inputs", "inference.routing", "inference.decoders",
    "inference.predictor",
    "telemetry", "telemetry.dropped_lines", "telemetry.metrics", "telemetry.prediction_metrics",
    "telemetry.model_gauges", "telemetry.triton_statistics", "telemetry.shadow", "telemetry.telemetry",
    "telemetry.logs", "telemetry.log_relay", "telemetry.tracing",
    "server", "server.shared_folder", "server.deadline", "server.request", "server.response", "server.connection",
    "server.syn_filter", "api", "api.replies", "api.html_replies", "api.v2.protocol", "api.request_log",
    "api.fast_path", "lifecycle", "server.worker",
    "api.query", "api.memory_budget", "api.intake", "api.content", "api.image_text", "api.form_data", "api.advice",
    "api.uploads", "api.image_request",
    "api.classify", "api.explain", "api.models", "api.model_files", "api.operations",
    "api.static_files", "api.pages",
    "api.v2", "api.gate",
    "api.v2.metadata", "api.v2.compression", "api.v2.tensors", "api.v2.requests",
    "api.v2.replies", "api.v2.infer", "api.v2.statistics", "api.v2.repository", "api.v2.blueprint",
    "api.flask_app", "api.openapi", "app", "gunicorn_conf", "__main__",
]  # fmt: skip
TRAINING = [
    "command", "regression", "progress", "augment", "template", "sample_sizes", "version_folders",
    "datasets", "datasets.formats", "datasets.pixels", "datasets.served", "datasets.labelled", "datasets.stratified",
    "datasets.download", "datasets.builtin", "datasets.image_file", "datasets.foreign_file",
    "datasets.label_table", "datasets.name_prefix", "datasets.folder_files",
    "datasets.split_names", "datasets.left_out", "datasets.folder_layout", "datasets.folder_splits",
    "datasets.image_folder", "datasets.duplicates", "datasets.patterns", "datasets.composed", "datasets.outliers",
    "datasets.domains", "datasets.views", "task",
    "networks", "networks.activations", "networks.base", "networks.mlp", "networks.cnn", "networks.net",
    "networks.layers", "networks.normalize", "networks.efficientnet", "networks.titles",
    "networks.imagenet_domains", "networks.novelty",
    "networks.exported", "networks.folding",
    "recipe", "recipes", "own_recipe", "option_types",
    "graph", "graph.onnx_features", "graph.onnx_backbone", "graph.splice", "graph.onnx_export",
    "graph.measurement", "graph.quantize",
    "train", "train.allocator", "train.interrupt", "train.devices", "train.precision", "train.distributed",
    "train.checkpoint", "train.muon", "train.schedule", "train.optimizers", "train.running_metrics",
    "train.training_views", "train.flips", "train.mixup",
    "train.trainer", "train.trained_network", "train.logit_adjustment", "train.head", "train.fine_tuning",
    "train.loop", "train.tensorboard", "train.distillation",
    "evaluation", "evaluation.calibration", "evaluation.ood_sets", "evaluation.photo_shift", "evaluation.filters",
    "evaluation.corruptions", "evaluation.evaluate_graph", "evaluation.thresholds", "evaluation.mislabels",
    "evaluation.held_out",
    "label_font", "thumbnails", "survey", "suspects", "images",
    "grafted", "export_options", "figure", "report", "pipeline", "calibrated_model",
    "publish", "publish.golden", "publish.card", "publish.model_folder", "publish.label_figures",
    "publish.export_command", "publish.readme",
    "publish.comparison", "publish.verification", "publish.predictions", "publish.report", "publish.publisher",
    "publish.versions",
    "export", "evaluate", "versions", "scripts",
    "lecture.agreement", "lecture.section", "lecture.plots", "lecture.xor", "lecture.descent", "lecture.collapse",
    "lecture.nonlinearities", "lecture.outputs", "lecture.architecture", "lecture.approximation", "lecture.gradients",
    "lecture.symmetry", "lecture.overfitting", "lecture.demo", "lecture.fashion_demo", "lecture.cifar_demo",
    "lecture.report", "lecture", "lecture.__main__",
]  # fmt: skip
SHARED_ROOMS = ("serving.model.", "serving.imaging.")  # what a model file is, and how an upload is read
# Own images have the limits and the refusals of the service: what is learned from is what is served.
ALSO_SHARED = {
    "training.datasets.image_file": {"serving.errors", "serving.settings"},
    "training.datasets.views": {"serving.cpu"},  # how many cores a container has
}


@cache
def modules(package: str) -> list[str]:
    files = sorted((ROOT / package).rglob("*.py"))
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return [name for name in names if name != package]


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree, but for what is under `if TYPE_CHECKING`."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from runtime_nodes(child)


@cache
def imports(module: str) -> list[str]:
    """Return the imports of a module, those for type checking aside; of this project's packages, the modules."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    ours = {*modules("serving"), *modules("training")}
    found: list[str] = []
    for node in runtime_nodes(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if name in ours else str(node.module) for name in names]
    return found


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
def test_training_imports_of_serving_only_the_rooms_that_they_share(module):
    of_serving = {name for name in imports(module) if name.split(".")[0] == "serving"}

    assert {name for name in of_serving if not name.startswith(SHARED_ROOMS)} <= ALSO_SHARED.get(module, set())


def test_importing_the_application_reads_no_settings_and_loads_neither_torch_nor_onnx():
    program = "import sys, serving.app; print(sorted({'torch', 'onnx', 'training', 'matplotlib'} & set(sys.modules)))"

    environment = os.environ | {"THIMBLE_WORKERS": "many"}
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "[]"
