import base64

from training.lecture.plots import INK, draw


def picture(url: str) -> str:
    kind, _, content = url.partition(",")
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(content).decode()


def a_line(axes) -> None:
    for place in axes:
        place.plot([0, 1], [0, 1], color=INK, label="line")
        place.set(xlabel="x", ylabel="y")
        place.legend()


def test_a_plot_is_an_svg_whose_ink_follows_the_page():
    svg = picture(draw(a_line, "a line", "A line.", columns=2).url)

    assert svg.startswith("<svg ")
    assert "prefers-color-scheme:dark" in svg
    assert svg.count("currentColor") > 10
    assert svg.count(INK) == 1  # where it is said what the page's colour is


def test_the_same_figure_is_the_same_file():
    assert draw(a_line, "a line", "A line.") == draw(a_line, "a line", "A line.")
