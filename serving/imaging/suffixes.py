"""Which files of a folder are images, by their names: the client sends those, and training learns from them."""

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
        *(".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heics", ".heif", ".heifs", ".hif"),
    )
)

# Of macOS in a zip file, of Synology, of Windows and Linux on a drive: what they hold is deleted, or not the owner's.
SYSTEM_FOLDERS = frozenset(
    ("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found")
)


def is_hidden(name: str) -> bool:
    """Return whether a system hides files and folders of this name, or adds them itself."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS
