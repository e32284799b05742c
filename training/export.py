"""python -m training.export: from a recipe to a model folder that the service takes as it is."""

from training.command import check_folder, exit_status, quit_on_ctrl_c

if __name__ == "__main__":
    quit_on_ctrl_c()

import argparse
import atexit
import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape

from serving.model.card import ContractError
from training.calibrated_model import CalibratedModel, DivergedError, calibrate
from training.datasets.formats import DataError
from training.datasets.image_folder import ImageFolder, OwnImages
from training.export_options import chosen, contradiction_in, default_models_dir, export_parser, rehearsal
from training.option_types import INT8
from training.pipeline import load_trained, save_trained, split, train
from training.progress import CONSOLE, say, stage
from training.publish.comparison import Release
from training.publish.publisher import Publisher
from training.publish.verification import ExportError
from training.recipe import Recipe, name_of
from training.recipes import RECIPES
from training.report import recipes_table
from training.sample_sizes import FULL_SIZE, SampleSizes
from training.survey import Survey, print_survey
from training.train.allocator import keep_memory
from training.train.checkpoint import CheckpointError
from training.train.devices import DeviceError, find_device
from training.train.distillation import CHECKPOINTS, TeacherError, find_teacher
from training.train.distributed import join_process_group
from training.train.head import with_best_normalization
from training.train.interrupt import CtrlC
from training.train.tensorboard import LogError, tensorboard
from training.train.trainer import RunContext

REFUSALS = (
    ContractError, DataError, DeviceError, CheckpointError, TeacherError, LogError, DivergedError, ExportError, OSError,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None, sizes: SampleSizes = FULL_SIZE) -> int:
    """Export each recipe named; returns the exit status. sizes: of the samples that the evaluation takes."""
    parser = export_parser()
    options = parser.parse_args(arguments)
    if contradiction := contradiction_in(options):
        parser.error(contradiction)
    options.models_dir = options.models_dir or default_models_dir(options.name)
    keep_memory()
    gc.freeze()  # what was imported is not garbage,
    atexit.register(gc.freeze)  # and a process that ends need not look for any, which takes a second
    how = "again" if options.checkpoint else "with --resume to resume after the last finished epoch"
    interrupted = (
        f"what is reported above as written is complete; all other models are unchanged. Run the same command {how}."
    )
    return exit_status("training.export", partial(_export_all, options, sizes), REFUSALS, interrupted)


def _export_all(options: argparse.Namespace, sizes: SampleSizes) -> None:
    device = find_device(options.device)
    if options.list:
        Console().print(recipes_table(recipe.on(device.type) for recipe in RECIPES.values()))
        return
    check_folder(options.models_dir, "--models-dir")
    if options.tensorboard:
        check_folder(options.tensorboard, "--tensorboard")
    with CtrlC() as ctrl_c, join_process_group(device.type) as group:
        console = Console(quiet=not group.is_main)
        CONSOLE.quiet = console.quiet
        context = RunContext(device, check=ctrl_c.check, resume=options.resume, compiled=options.compile, group=group)
        for planned in _planned(options, device.type):
            _train_and_export(planned, context, options, console, sizes)


class _Planned(NamedTuple):
    """A recipe to train. exported: a model is made of it. kept: its weights are written, for others to learn from."""

    recipe: Recipe
    exported: bool = True
    kept: bool = False


def _planned(options: argparse.Namespace, device: str) -> Iterator[_Planned]:
    """Yield the recipes, each once, and what is made of each.

    Before, their networks are built once and their folders checked: one that cannot be built, or written, is refused
    before others are trained. Raises DataError and OSError.
    """
    recipes = list(chosen(options, device))
    with_teachers = recipes if options.checkpoint else list(_with_teachers(recipes, options, device))
    for recipe in with_teachers:
        recipe.network()
        for name in _folders_for(recipe, options):
            check_folder(options.models_dir / name, "--models-dir")
    if options.checkpoint:
        yield from map(_Planned, recipes)
        return
    taught_by = {teacher for recipe in with_teachers for teacher in recipe.teachers}
    planned: list[Recipe] = []
    for recipe in _with_teachers(recipes, options, device):
        if recipe in planned:  # as a teacher
            continue
        planned.append(recipe)
        # A draft teaches nobody: of a teacher that must not be published the weights are kept.
        unpublished_teacher = options.publish is False and recipe.name in taught_by
        exported = not options.train_only and (recipe in recipes or not unpublished_teacher)
        yield _Planned(recipe, exported, unpublished_teacher or not exported)


def _folders_for(recipe: Recipe, options: argparse.Namespace) -> Iterator[str]:
    """Yield the names of the folders that a recipe's export writes in among the models."""
    if not options.checkpoint:
        yield CHECKPOINTS
    if not options.train_only:
        yield recipe.name
    if options.int8:
        yield f"{recipe.name}-{INT8}"


def _with_teachers(recipes: Iterable[Recipe], options: argparse.Namespace, device: str) -> Iterator[Recipe]:
    """Yield the recipes, before each those of its teachers that have no model yet: short ones for a short training.

    A model that was trained with --limit counts with --limit alone.
    """
    for recipe in recipes:
        for teacher in recipe.teachers:
            name = teacher.partition(":")[0]
            try:
                find_teacher(teacher, options.models_dir, RECIPES, options.limit)
            except TeacherError:
                if name in RECIPES:
                    teaching = RECIPES[name].on(device)
                    if recipe.epochs < RECIPES[recipe.name].on(device).epochs:
                        teaching = replace(teaching, epochs=min(teaching.epochs, recipe.epochs))
                    yield from _with_teachers([replace(teaching, minutes=recipe.minutes)], options, device)
        yield recipe


def _train_and_export(
    planned: _Planned, context: RunContext, options: argparse.Namespace, console: Console, sizes: SampleSizes
) -> None:
    recipe = planned.recipe
    console.print(f"[bold]{recipe.name}[/]: {escape(recipe.title)}, on {context.device}")
    stage(f"Reading {recipe.source.title}")
    data = recipe.source.load(options.data_dir, options.limit)
    if isinstance(recipe.source, ImageFolder) and isinstance(data, OwnImages) and context.group.is_main:
        sheet = options.models_dir / CHECKPOINTS / f"{recipe.name}-thumbnails.png"
        print_survey(Survey(recipe.source, data), console, sheet)
    if recipe.normalizations:
        recipe = with_best_normalization(recipe, *split(recipe, data))
        how = name_of(recipe.normalize).replace("_", " ")
        console.print(f"Pixels are normalized {how}, which is the most accurate on validation images")
    logging = options.tensorboard is not None and context.group.is_main
    with tensorboard(options.tensorboard / recipe.name) if logging else nullcontext(context.on_epoch) as on_epoch:
        logged = replace(context, on_epoch=on_epoch)
        if options.checkpoint:
            trained = load_trained(recipe, data, options.checkpoint, console)
        else:
            trained = train(recipe, data, logged, options.models_dir, console)
    if context.group.is_main and planned.kept:
        file = save_trained(recipe, data, trained, options.models_dir)
        say(console, f"Written to {file}")
    if context.group.is_main and planned.exported:
        release = Release(options.publish, rehearsal(options, recipe, context.device.type))
        _publish(calibrate(recipe, data, trained), release, options, console, sizes)
    context.group.barrier()  # the next recipe may learn from the model just published


def _publish(
    model: CalibratedModel, release: Release, options: argparse.Namespace, console: Console, sizes: SampleSizes
) -> None:
    """Publish a model and, where that is asked for, its int8 version beside it; what is published already stays."""
    recipe = model.recipe
    taken = sizes.at_most(recipe.sample_sizes)
    publisher = Publisher(model, options.models_dir, options.data_dir, console, taken, release)
    int8 = recipe.int8 and not (options.float or options.int8)
    if not (options.resume and publisher.has_published(recipe.name, int8)):
        publisher.export(int8)
    if options.int8 and not (options.resume and publisher.has_published(f"{recipe.name}-{INT8}", int8=True)):
        publisher.export_int8()


if __name__ == "__main__":
    sys.exit(main())
