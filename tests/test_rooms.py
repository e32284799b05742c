"""A module loads no more than it needs, and packages have no logic: importing one module must not load forty."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from unmeasured import unmeasured

ROOT = Path(__file__).parent.parent
OURS = ("serving", "training")

# Imports each group of modules in a process of its own, and writes the names of everything that it has loaded:
# modules of this project in full, of others the package. "shared" is imported once, before the processes part.
PROBE = """
import importlib, json, os, sys, traceback

job = json.load(sys.stdin)
for name in job["shared"]:
    importlib.import_module(name)
found = {}
for group, modules in job["groups"].items():
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            for name in modules:
                importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        names = {name if name.split(".")[0] in job["ours"] else name.split(".")[0] for name in sys.modules}
        os.write(writer, json.dumps(sorted(names)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{group} cannot be imported")
    found[group] = json.loads(text)
json.dump(found, sys.stdout)
"""

FLASK = {"flask", "werkzeug", "jinja2"}
SERVER = {"gunicorn", "gevent", "httptools"}
INFERENCE = {"onnxruntime", "numpy", "PIL"}
METRICS = {"prometheus_client"}
TRAINING = {"torch", "onnx", "onnxscript", "matplotlib", "sklearn", "skimage", "training"}

# The modules of a row, all of a room included, do not load these packages.
SERVING_MUST_NOT_LOAD = {
    "serving": TRAINING,
    "serving.__main__": FLASK | SERVER | INFERENCE | METRICS,
    "serving.access serving.keys": FLASK | SERVER | INFERENCE | METRICS,
    "serving.client": FLASK | SERVER | INFERENCE | METRICS,
    "serving.concurrency": FLASK | {"gunicorn", "httptools"} | INFERENCE | METRICS,
    "serving.cpu serving.errors serving.prediction serving.settings": FLASK | SERVER | INFERENCE | METRICS,
    "serving.gunicorn_conf": FLASK | METRICS | {"PIL"},  # prometheus_client reads a variable that this module sets
    "serving.lifecycle": FLASK | SERVER | INFERENCE | METRICS,
    "serving.imaging": FLASK | SERVER | METRICS | {"onnxruntime"},
    "serving.model": FLASK | SERVER | METRICS,
    "serving.repository.commands serving.repository.shadow_rules": FLASK | SERVER | INFERENCE | METRICS,
    "serving.repository.model_key serving.verify": FLASK | {"gunicorn", "httptools", "model_signing", "cryptography"},
    "serving.repository.scan": FLASK | SERVER | METRICS | {"onnxruntime"},
    "serving.repository": FLASK | METRICS | {"gunicorn", "httptools"},
    "serving.inference": FLASK | METRICS | {"gunicorn", "httptools"},
    "serving.telemetry.metrics serving.telemetry.triton_statistics": FLASK | SERVER | {"onnxruntime", "PIL"},
    "serving.telemetry": FLASK | {"httptools"},
    "serving.server": FLASK | INFERENCE | METRICS,
    "serving.api.form_data": METRICS | {"gunicorn", "httptools", "flask", "onnxruntime"},
    "serving.api.intake serving.api.query": SERVER | METRICS | {"flask", "onnxruntime"},
}

ONNX = {"onnx", "onnxscript", "onnxruntime"}
DOWNLOAD = {"pooch", "requests"}
ANALYSIS = {"matplotlib", "sklearn", "skimage"}
TRAINING_MUST_NOT_LOAD = {
    "training.augment training.progress": ONNX | DOWNLOAD | ANALYSIS | {"PIL"},
    "training.datasets": ONNX | ANALYSIS,
    "training.datasets.formats training.datasets.labelled training.datasets.outliers": ONNX | DOWNLOAD | ANALYSIS,
    "training.networks": ONNX | DOWNLOAD | ANALYSIS | {"PIL"},
    "training.recipes training.export_options": ONNX | ANALYSIS,
    "training.train.loop training.train.tensorboard": ONNX | ANALYSIS | {"tensorboard"},
    "training.evaluation.calibration": ONNX | DOWNLOAD | ANALYSIS | {"PIL"},
    "training.evaluation.photo_shift": ONNX | DOWNLOAD | ANALYSIS,
    "training.publish.model_folder training.publish.readme": ONNX | ANALYSIS,
    "training.versions": ANALYSIS,
}

# These load nothing else of this project.
ALONE = {
    "serving": [
        "address_space", "child", "cpu", "errors", "imaging.garment", "lifecycle", "model.runtime", "prediction",
        "repository.commands", "repository.shadow_rules", "server.deadline", "server.request", "server.response",
        "telemetry.dropped_lines",
    ],
    "training": [
        "augment", "progress", "datasets.formats", "datasets.labelled", "datasets.patterns",
        "networks.activations", "networks.base", "networks.normalize", "publish.golden", "train.allocator",
        "train.checkpoint", "train.devices", "train.distributed", "train.mixup", "train.muon",
        "train.running_metrics",
    ],
}  # fmt: skip


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def members(row: str) -> list[str]:
    """Return the modules of a row of a table, those of a room included."""
    names = [name_of(file) for package in OURS for file in files(package)]
    return [name for part in row.split() for name in names if name == part or name.startswith(f"{part}.")]


def probe(package: str, rows: dict[str, set[str]], shared: list[str]) -> dict[str, set[str]]:
    alone = [f"{package}.{name}" for name in ALONE[package]]
    groups = {row: members(row) for row in rows} | {f"alone: {name}": [name] for name in alone}
    job = json.dumps({"shared": shared, "groups": groups, "ours": OURS})
    command = [sys.executable, "-c", PROBE]
    run = subprocess.run(
        command, input=job, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=unmeasured(), check=True, timeout=120
    )
    return {group: set(names) for group, names in json.loads(run.stdout).items()}


@pytest.fixture(scope="module")
def serving_loads():
    return probe("serving", SERVING_MUST_NOT_LOAD, [])


@pytest.fixture(scope="module")
def training_loads():
    return probe("training", TRAINING_MUST_NOT_LOAD, ["torch"])


def others(loaded: set[str], module: str) -> set[str]:
    """Return the modules of this project that were loaded beside this one and the packages around it."""
    ours = {name for name in loaded if name.split(".")[0] in OURS}
    return {name for name in ours if not f"{module}.".startswith(f"{name}.")}


@pytest.mark.parametrize("row", SERVING_MUST_NOT_LOAD)
def test_modules_of_serving_do_not_load_packages_that_they_do_not_need(serving_loads, row):
    assert all(members(part) for part in row.split())
    assert serving_loads[row] & SERVING_MUST_NOT_LOAD[row] == set()


@pytest.mark.parametrize("name", ALONE["serving"])
def test_a_leaf_of_serving_loads_nothing_else_of_this_project(serving_loads, name):
    assert others(serving_loads[f"alone: serving.{name}"], f"serving.{name}") == set()


@pytest.mark.trains
@pytest.mark.parametrize("row", TRAINING_MUST_NOT_LOAD)
def test_modules_of_training_do_not_load_packages_that_they_do_not_need(training_loads, row):
    assert all(members(part) for part in row.split())
    assert training_loads[row] & TRAINING_MUST_NOT_LOAD[row] == set()


@pytest.mark.trains
@pytest.mark.parametrize("name", ALONE["training"])
def test_a_leaf_of_training_loads_nothing_else_of_this_project(training_loads, name):
    assert others(training_loads[f"alone: training.{name}"], f"training.{name}") == set()


def is_declaration(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring, a list of exported names, or an import of names to export."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.ImportFrom(module=str(module)):
            return module.split(".")[0] in OURS
    return False


@pytest.mark.parametrize("package", [name_of(file) for part in OURS for file in files(part) if file.stem == "__init__"])
def test_a_package_has_no_logic(package):
    body = ast.parse(ROOT.joinpath(*package.split("."), "__init__.py").read_text()).body

    assert [ast.unparse(statement) for statement in body if not is_declaration(statement)] == []
    if package != "serving.client":  # the one package that others import names from
        assert len(body) <= 1


def imported(file: Path) -> Iterator[str]:
    """Yield the absolute names that a file imports, of a from-import with and without the name."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))


def is_view(file: Path) -> bool:
    body = ast.parse(file.read_text()).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "blueprint" for node in body)


VIEWS = {name_of(file): file for file in files("serving/api") if is_view(file)}


def test_there_are_views():
    assert {"serving.api.classify", "serving.api.v2.blueprint"} < set(VIEWS)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_does_not_import_another_view(view):
    assert set(imported(VIEWS[view])) & set(VIEWS) == set()
