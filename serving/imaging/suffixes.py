"""The suffixes of image files: of a folder, the client sends the files that have one, and training learns from them."""

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
        *(".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heics", ".heif", ".heifs", ".hif"),
    )
)
