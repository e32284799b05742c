import base64

from training.figure import TEXT_COLOR
from training.lecture.plots import draw


def decode_svg(url: str) -> str:
    kind, _, content = url.partition(",")
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(content).decode()


def paint_line(axes) -> None:
    for place in axes:
        place.plot([0, 1], [0, 1], color=TEXT_COLOR, label="line")
        place.set(xlabel="x", ylabel="y")
        place.legend()


def test_a_plot_is_an_svg_whose_text_follows_the_readers_theme():
    svg = decode_svg(draw(paint_line, "a line", "A line.", columns=2).url)

    assert svg.startswith("<svg ")
    assert "prefers-color-scheme:dark" in svg
    assert svg.count("currentColor") > 10
    assert svg.count(TEXT_COLOR) == 1  # in the style that sets currentColor


def test_the_same_figure_is_the_same_file():
    assert draw(paint_line, "a line", "A line.") == draw(paint_line, "a line", "A line.")
