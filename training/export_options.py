"""The command line of the export."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from training import option_types
from training.datasets.folder_files import is_read_among
from training.datasets.formats import DataError
from training.datasets.image_file import printable
from training.datasets.image_folder import ImageFolder
from training.networks.efficientnet import has_pretrained
from training.option_types import BACKBONES, INT8, NO_BACKBONE, ONNX_SUFFIX
from training.own_recipe import PHOTO_SIDE, SIDES, own_recipe
from training.progress import stage
from training.recipe import Recipe
from training.recipes import DEFAULT, RECIPES
from training.train.devices import DEVICES
from training.train.distributed import started_processes

MODELS, OWN_MODELS = Path("models"), Path("own-models")


def export_parser() -> argparse.ArgumentParser:
    """Return the parser of python -m training.export."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export",
        description="Train a network and export it as a model folder that the service takes.",
    )
    _add_what_is_trained(parser)
    _add_training(parser)
    _add_publishing(parser)
    parser.add_argument("--list", action="store_true", help="list the recipes")
    return parser


def _add_what_is_trained(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipes", nargs="*", type=option_types.recipe, metavar="RECIPE", help=f"default: {' '.join(DEFAULT)}"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="train on own images: a folder for each label in it, or a CSV"
    )
    parser.add_argument("--multi-label", action="store_true", help="the CSV may give an image several labels, or none")
    parser.add_argument("--name", type=option_types.name, help="the name for the model of own images")
    parser.add_argument(
        "--backbone",
        type=option_types.backbone,
        metavar="|".join((*BACKBONES, "FILE.onnx")),
        help="the network to start from for own images: a pretrained one, another classifier without its last layer, "
        f"or none (default: {BACKBONES[0]} for photos of {PHOTO_SIDE} pixels and more)",
    )
    parser.add_argument(
        "--fine-tune",
        action="store_true",
        help=f"have the last blocks of {BACKBONES[0]} learn from own images too: minutes instead of seconds",
    )
    parser.add_argument(
        "--side",
        type=int,
        choices=SIDES,
        help="width and height of the input for own images, in pixels (default: what the images fill, at most 224 with "
        "a backbone and 64 without); a smaller one keeps less detail, and takes less time",
    )
    parser.add_argument("--data-dir", type=Path, help="where to look for the data first")
    parser.add_argument("--limit", type=option_types.at_least_one, metavar="N", help="use only N images: a rehearsal")


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("auto", *DEVICES), default="auto", help="default: the fastest available")
    parser.add_argument("--epochs", type=option_types.at_least_one, metavar="N", help="default: the recipe's number")
    parser.add_argument(
        "--minutes",
        type=option_types.minutes,
        metavar="N",
        help="train for N minutes instead of a number of epochs; the schedule adapts to the time",
    )
    parser.add_argument("--seed", type=option_types.seed, metavar="N", help="the random seed (default: 1)")
    parser.add_argument(
        "--resume", action="store_true", help="resume after the last finished epoch of the same command"
    )
    parser.add_argument("--compile", action="store_true", help="have PyTorch compile the network first; pays on a GPU")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="also write logs for TensorBoard")
    parser.add_argument(
        "--train-only", action="store_true", help="publish nothing; write a file for --checkpoint, on any machine"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="export these weights without training: a file of --train-only, or a state_dict",
    )


def _add_publishing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models-dir", type=Path, help=f"where to write (default: {MODELS}, and {OWN_MODELS} for own images)"
    )
    parser.add_argument(
        "--publish",
        action=argparse.BooleanOptionalAction,
        help="always publish, or always keep a draft (default: publish; but while a version answers, keep a rehearsal "
        "or a clearly worse model as a draft)",
    )
    parser.add_argument(
        "--int8", action="store_true", help="publish NAME in float32, and NAME-int8 if that is faster and as good"
    )
    parser.add_argument("--float", action="store_true", help="publish float32 even if the recipe takes int8")


def default_models_dir(name: str | None) -> Path:
    """Return the folder for models of own images where a name is one of them, otherwise that for the recipes' models.

    A model of own images that lies among the recipes' models already stays there.
    """
    is_own = name and name.removesuffix(f"-{INT8}") not in RECIPES and not (MODELS / name).is_dir()
    return OWN_MODELS if is_own else MODELS


def contradiction_in(options: argparse.Namespace) -> str | None:
    """Return the reason why the options contradict each other; None where they do not."""
    if (options.images is None) != (options.name is None):
        return "--images DIR and --name NAME go together: the images, and the name for their model"
    if options.images and options.recipes:
        return f"--images has its own recipe: leave {' '.join(options.recipes)} out, or export it in another command"
    if not options.images and (own := _given(options, "backbone", "fine_tune", "multi_label", "side")):
        return f"{own[0]} is for own images: name them with --images DIR"
    if options.fine_tune and options.backbone not in (None, BACKBONES[0]):
        return f"--fine-tune trains blocks of {BACKBONES[0]}: leave --backbone {options.backbone} out"
    length = "--epochs" if options.epochs else "--minutes" if options.minutes else None
    if options.backbone not in (None, NO_BACKBONE) and length and not options.fine_tune:
        return f"--backbone {options.backbone} has no epochs: leave {length} out, or take --backbone none"
    if options.checkpoint and len(options.recipes) != 1 and not options.images:
        return "--checkpoint holds the weights of one network: name its recipe"
    if options.minutes and options.epochs:
        return "--minutes and --epochs both say how long to train: leave one of them out"
    if length and (ready := [name for name in options.recipes if not RECIPES[name].epochs]):
        return f"{' '.join(ready)} is pretrained and has no epochs: leave {length} out"
    if options.minutes and started_processes() > 1:
        return "--minutes is for one process, since the clocks of several differ: take --epochs"
    given = _given(options, "epochs", "minutes", "resume", "compile", "tensorboard", "train_only")
    if options.checkpoint and given:
        return f"--checkpoint exports without training: leave {' and '.join(given)} out"
    return _publishing_contradiction(options)


def _publishing_contradiction(options: argparse.Namespace) -> str | None:
    given = _given(options, "publish", "int8", "float")
    if options.train_only and given:
        return f"--train-only publishes nothing: leave {' and '.join(given)} out"
    if options.float and options.int8:
        return "--int8 publishes NAME in float32 too: leave --float out"
    return None


def _given(options: argparse.Namespace, *names: str) -> list[str]:
    """Return those of the options that were given, as a command line has them."""
    return [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) not in (None, False)]


def chosen(options: argparse.Namespace, device: str) -> Iterator[Recipe]:
    """Yield the recipes as a device of this type trains them, with the length and seed asked for. Raises DataError."""
    if options.images:
        _refuse_outputs_among_images(options)
        folder = ImageFolder.open(options.images, options.name, multi_label=options.multi_label, side=options.side)
        recipes = [_own_recipe(folder, options)]
    else:
        recipes = [RECIPES[name].on(device) for name in options.recipes or DEFAULT]
    yield from (_as_asked(recipe, options) for recipe in recipes)


def _refuse_outputs_among_images(options: argparse.Namespace) -> None:
    """Raise DataError where what is written would be read as a label the next time."""
    root = options.images.resolve()
    for option, folder in (("--models-dir", options.models_dir), ("--tensorboard", options.tensorboard)):
        if folder and is_read_among(options.images, folder):
            name = folder.resolve().name
            outside = root.with_name(name if name != root.name else f"{name}-models")
            raise DataError(
                f"{printable(folder)}: among the images, where it would be a label; name a folder outside of them, "
                f"such as {option} {printable(outside)}"
            )


def _own_recipe(folder: ImageFolder, options: argparse.Namespace) -> Recipe:
    if options.backbone and options.backbone.endswith(ONNX_SUFFIX):
        from training.grafted import grafted_recipe  # it loads onnx, which other exports need later

        return grafted_recipe(folder, Path(options.backbone))
    return own_recipe(folder, takes_pretrained(options, folder), options.fine_tune)


def _as_asked(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    if options.seed is not None:
        recipe = replace(recipe, seed=options.seed)
    if options.epochs:
        return replace(recipe, epochs=options.epochs, patience=0.0)  # so many, and not fewer
    return replace(recipe, minutes=options.minutes) if recipe.epochs else recipe


def takes_pretrained(options: argparse.Namespace, folder: ImageFolder) -> bool:
    """Return whether own images start from a pretrained network: as asked, otherwise where they are photos."""
    if options.fine_tune:
        return True
    if options.backbone or options.epochs or folder.typical_side < PHOTO_SIDE:
        return bool(options.backbone == BACKBONES[0])
    if not has_pretrained():
        stage(
            "Training the compact network. A pretrained one learns such photos in seconds, and more accurately: "
            "pip install '.[backbones]' in Thimble's folder."
        )
    elif options.minutes:
        stage(
            "--minutes is not needed: a pretrained network learns these photos in seconds. It has an effect with "
            "--fine-tune or --backbone none."
        )
    else:
        stage(
            "Only the last layer of a pretrained network learns these photos, in seconds. --fine-tune trains its last "
            "blocks too, in minutes, and is usually more accurate."
        )
    return has_pretrained()


def rehearsal(options: argparse.Namespace, recipe: Recipe, device: str) -> str:
    """Return what makes an export a rehearsal: few images, or fewer than half of the usual epochs; "" for none.

    device: the type of the one that trained.
    """
    if options.limit:
        return f"--limit {options.limit}"
    if isinstance(recipe.source, ImageFolder):
        usual = own_recipe(recipe.source, recipe.frozen, recipe.epochs > 0)
    else:
        usual = RECIPES[recipe.name].on(device)
    return f"{recipe.epochs} of {usual.epochs} epochs" if 2 * recipe.epochs < usual.epochs else ""
