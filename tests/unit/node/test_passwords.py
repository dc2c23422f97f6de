"""How passwords are kept, and which are taken."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from radnode.node.security import passwords


def test_a_password_is_kept_as_argon2id_with_the_parameters_of_rfc_9106() -> None:
    kept = passwords.hashed("a long enough secret")
    found = extract_parameters(kept)
    assert found.type is Type.ID
    assert (found.memory_cost, found.time_cost, found.salt_len) == (65536, 3, 16)
    assert passwords.is_right(kept, "a long enough secret")
    assert not passwords.is_right(kept, "a long enough secre")
    assert not passwords.is_right(None, "a long enough secret"), "no account, as much work"
    assert not passwords.is_outdated(kept)
    assert passwords.is_outdated(PasswordHasher(time_cost=1, memory_cost=64).hash("x"))


@pytest.mark.parametrize("password", ["short", "x" * 129, "aaaaaaaabbbb", "my name is Ann Miller", "radnode is great"])
def test_a_password_that_is_soon_guessed_is_not_taken(password: str) -> None:
    assert passwords.objection(password, "ann")


def test_any_long_password_is_taken() -> None:
    for password in ("correct horse battery", "пароль из двух слов", "  spaces  count  ", "x1!y2?z3:w4;"):
        assert passwords.objection(password, "ann") == "", password
