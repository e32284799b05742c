"""Forms as most clients write them are read without the parser: to the same parts, whatever is in them."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from serving.api.form_data import read_parts
from serving.errors import Refusal

MAX_PARTS = 3
FIELD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'


def joined(*pieces):
    """Return a strategy for up to four of these in a row."""
    return st.lists(st.sampled_from(pieces), max_size=4).map(b"".join)


NAMES = joined(b"a", b"\xc3\xa9", b"\xe9", b" ", b";", b"=", b"%22", b"%0D", b"\\", b"C:\\a", b"\x7f", b"\t", b'"')
KINDS = st.sampled_from([b"image/png", b"IMAGE/PNG", b"text/plain; charset=utf-8", b" image/png", b"", b"\xe9"])
CONTENT = joined(b"x", b"\r", b"\n", b"\r\n", b"--", b"--b", b"\r\n--b", b"\r\n--b-")
ENDS = st.sampled_from([b"--b--\r\n", b"--b--", b"--b-- and more\r\n--b\r\n", b"--b\r\n", b"--b", b"--", b"\r\n", b""])


@st.composite
def part(draw):
    head = b'Content-Disposition: form-data; name="%b"' % draw(NAMES)
    if draw(st.booleans()):
        head += b'; filename="%b"' % draw(NAMES)
    if draw(st.booleans()):
        head += b"\r\nContent-Type: " + draw(KINDS)
    return b"--b\r\n" + head + draw(st.sampled_from([b"\r\n\r\n"] * 9 + [b"\r\n", b"\n\n"])) + draw(CONTENT) + b"\r\n"


FORMS = st.tuples(st.lists(part(), max_size=MAX_PARTS + 1).map(b"".join), ENDS).map(b"".join)


def outcome(body):
    """Return the parts or, where the body is refused, the type of the refusal and what it says."""
    try:
        return read_parts(body, "b", MAX_PARTS)
    except Refusal as refusal:
        return type(refusal), str(refusal)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@example(FIELD.replace(b"--b", b"--c") + b"x\r\n--b--\r\n")
@example(FIELD + FIELD + b"x\r\n--b--\r\n")
@example((FIELD + b"x\r\n") * (MAX_PARTS + 1) + b"--b--\r\n")
@given(FORMS)
def test_a_form_has_the_same_parts_as_behind_an_empty_line_where_the_parser_reads_it(body):
    assert outcome(body) == outcome(b"\r\n" + body)
