"""The page about messages shows what the node writes and reads."""

from __future__ import annotations

from support.message_examples import examples, shown


def test_every_message_on_the_page_is_what_the_node_writes() -> None:
    assert shown() == examples()
