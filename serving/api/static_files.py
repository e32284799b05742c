"""The files of the web pages, below a path that names their content: a browser that has them asks for none again."""

import hashlib
import re
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request, send_from_directory
from werkzeug.exceptions import NotFound

STATIC = Path(__file__).parent.parent / "static"
VERSION_DIGITS = 12
IMMUTABLE = "public, max-age=31536000, immutable"


def add_static_files(pages: Blueprint) -> None:
    """Add the route of the files, and for all templates `static`, the folder's URL, and `modules`."""
    current = _version()

    @pages.get("/static/<path:filename>")
    def static(filename: str) -> Response:
        version, _, name = filename.rpartition("/")
        # A page of another version, which is open or comes from another machine, gets the files of this one.
        if version and not re.fullmatch(f"[0-9a-f]{{{VERSION_DIGITS}}}", version):
            raise NotFound
        response = send_from_directory(STATIC, name)
        if version == current:
            response.headers["Cache-Control"] = IMMUTABLE
        return response

    @pages.app_context_processor
    def names() -> dict[str, object]:
        return {"static": f"{request.script_root}/static/{current}", "modules": modules}


@cache
def modules(script: str) -> list[str]:
    """Return the scripts that a script imports, directly or not, so that a browser can load all at once."""
    found = [script]
    for name in found:
        imports = re.findall(r'^(?:import|\}).* from "\./([^"]+)";$', (STATIC / name).read_text("utf-8"), re.MULTILINE)
        found += [other for other in imports if other not in found]
    return found[1:]


def _version() -> str:
    """Return hexadecimal digits that change with the name or the content of any file."""
    digest = hashlib.sha256()
    for file in sorted(STATIC.iterdir()):
        if file.is_file():
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:VERSION_DIGITS]
