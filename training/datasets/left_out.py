"""Messages for what lies among own images and is not learned: links, and files that cannot be read, kind by kind."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from serving.imaging.suffixes import SUFFIXES
from training.datasets.folder_files import holds_folders, unfollowed_links
from training.datasets.image_file import printable

MAX_LISTED = 10  # names in a message, and findings of a kind: there may be thousands
BROKEN = "broken, since the target is missing; restore it, or remove the link"


def shortened(names: Sequence[str]) -> str:
    """Return the first names, and how many others there are."""
    others = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {others:,} more" if others > 0 else "")


def counted(files: Sequence[Path], why: str, noun: str = "image") -> tuple[str, ...]:
    """Return the message, where there are any, for files that are left out together; the noun's plural has an s."""
    count = f"{len(files):,} {noun}s" if len(files) > 1 else f"1 {noun}"
    return (f"{count}: {why}, such as {printable(files[0])}",) if files else ()


def link_messages(path: Path, folders: Iterable[Path]) -> tuple[str, ...]:
    """Return a message for the broken links in a folder and in folders of labels, and for those not followed."""
    below = chain.from_iterable(map(unfollowed_links, folders))
    links = sorted({*unfollowed_links(path, deep=False), *below})
    dead = [link for link in links if not link.exists()]
    to_folders = [link for link in links if link.exists()]
    return (
        *(f"{message} -> {printable(dead[0].readlink())}" for message in counted(dead, BROKEN, "link")),
        *counted(to_folders, "to a folder, which is not followed within a label; put the images there", "link"),
    )


def nesting_messages(folders: Iterable[Path]) -> tuple[str, ...]:
    """Return the message, where there are any, for folders of labels that have folders of images in them alone."""
    nesting = [folder for folder in folders if holds_folders(folder)]
    if not nesting:
        return ()
    others = f"; {len(nesting) - 1:,} more are like it" if len(nesting) > 1 else ""
    return (
        f"{printable(nesting[0])}: one label, whatever the folders in it are named; move these up if they are labels"
        f"{others}",
    )


def refusal_messages(refused: Mapping[Path, str]) -> Iterator[str]:
    """Yield the reason for each image that cannot be read, and one for all other files with the same suffix."""
    kinds: dict[str, list[Path]] = defaultdict(list)
    for file in refused:
        kinds[file.suffix.lower()].append(file)
    for suffix, files in kinds.items():
        if suffix in SUFFIXES or len(files) == 1:
            yield from (refused[file] for file in files)
        else:
            named = f"files named *{suffix}" if suffix else "files with no suffix"
            yield (
                f"{len(files):,} {printable(named)}: not images that can be read, such as {printable(min(files))}; if "
                "they are photos, convert them to JPEG or PNG"
            )
