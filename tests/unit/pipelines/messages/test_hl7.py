"""HL7 v2 is read in the character set that it declares, and never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.messages import header, order

from radnode.pipelines.messages import hl7

# Letters whose second byte is that of a separator: | ^ ~ \ in GB 18030, and | in JIS X 0208.
TRAPS = {"gb18030": "亅乗亊乗", "iso2022_jp": "淫緯蔭移"}


def named(name: str, charset: str, codec: str) -> bytes:
    """A message of a patient of that name."""
    return (f"{header('ADT^A08', charset=charset)}\rPID|1||P-1||{name}^X||19600102|F\r").encode(codec)


@pytest.mark.parametrize(
    ("charset", "codec", "name"),
    [
        ("", "ascii", "Doe"),
        ("ASCII", "ascii", "Doe"),
        ("8859/1", "latin-1", "Müller"),
        ("8859/15", "iso8859-15", "Œuvré€"),
        ("8859/5", "iso8859-5", "Иванов"),
        ("UNICODE UTF-8", "utf-8", "Łukasz王"),
        ("GB 18030-2000", "gb18030", "王小东"),
        ("GB 18030-2000", "gb18030", TRAPS["gb18030"]),
        ("ASCII~ISO IR87", "iso2022_jp", "山田"),
        ("~ISO IR87", "iso2022_jp", TRAPS["iso2022_jp"]),
    ],
)
def test_a_name_is_read_in_the_declared_character_set(charset: str, codec: str, name: str) -> None:
    pid = hl7.read(named(name, charset, codec)).first("PID")

    assert pid is not None
    assert (pid.get(5), pid.get(5, 2), pid.get(7)) == (name, "X", "19600102")


def test_the_letters_of_the_traps_do_hold_bytes_of_separators() -> None:
    assert {byte for letter in TRAPS["gb18030"] for byte in letter.encode("gb18030")[1:]} & set(b"|^~\\")
    assert b"|" in TRAPS["iso2022_jp"].encode("iso2022_jp")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (named("Müller", "", "utf-8"), "102"),
        (named("Müller", "UNICODE UTF-8", "latin-1"), "102"),
        (named("Doe", "KS X 1001", "ascii"), "103"),
        (b"PID|1||P-1\r", "100"),
        (b"MSH|^~", "100"),
        (b"MSH|^^^^|a|b\r", "102"),
        (named("Doe", "", "ascii") + b"x|1\r", "100"),
    ],
)
def test_what_cannot_be_read_is_refused_without_a_guess_and_without_a_quotation(content: bytes, code: str) -> None:
    with pytest.raises(hl7.NotReadable) as refused:
        hl7.read(content)

    assert refused.value.code == code
    assert "ller" not in str(refused.value)


def test_a_sender_that_declares_no_character_set_may_have_one_configured() -> None:
    pid = hl7.read(named("Müller", "", "latin-1"), undeclared="8859/1").first("PID")

    assert pid is not None
    assert pid.get(5) == "Müller"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"))))
def test_any_text_comes_back_from_a_field(text: str) -> None:
    content = hl7.written([hl7.segment("MSH", {2: "^~\\&", 9: "ORU^R01", 18: "UNICODE UTF-8"}),
                           hl7.segment("NTE", {1: "1", 3: hl7.composed("a", text, "b")})])
    note = hl7.read(content).first("NTE")

    assert note is not None
    assert (note.get(3), note.get(3, 2), note.get(3, 3)) == ("a", text.strip(), "b")


def test_a_message_with_separators_of_its_own_is_read_by_them() -> None:
    usual = order().decode()
    swap = str.maketrans("|^~\\&", "!@#$%")
    message = hl7.read(usual.translate(swap).encode())

    assert [one.get(3) for one in message.all("PID")] == ["P-1"]
    assert message.header.get(9, 2) == "O01"
