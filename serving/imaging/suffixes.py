"""The endings of the names of images: in a folder of other files too, these are sent, and learned from."""

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
        *(".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heics", ".heif", ".heifs", ".hif"),
    )
)
