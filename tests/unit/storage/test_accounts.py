"""Accounts, sessions, tokens and audit messages are the same on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from support.rows import NOW

from radnode.storage import accounts, audit
from radnode.storage.audit import NewMessage

if TYPE_CHECKING:
    from radnode.storage.database import Database

HOUR = timedelta(hours=1)


def _message(text: str) -> NewMessage:
    return NewMessage(at=NOW, event="Query", outcome=0, who="ann", study_instance_uid=None, message=text)


def test_a_link_sets_a_password_once_before_it_ends_and_ends_every_session(database: Database) -> None:
    with database.begin() as session:
        accounts.add_account(session, "ann", "admin", NOW)
        with pytest.raises(accounts.NameTaken):
            accounts.add_account(session, "ann", "auditor", NOW)
        assert accounts.is_empty(session)
        accounts.set_link(session, "ann", "secret", NOW + HOUR)
        found = accounts.account(session, "ann")
        assert found is not None
        accounts.begin_login(session, "cookie", "csrf", NOW, name="ann", roles=["admin"], account_id=found.account_id)
        assert accounts.use_link(session, "secret", "hash", NOW + HOUR) is None, "too late"
        assert accounts.use_link(session, "secret", "hash", NOW) == "ann"
        assert accounts.use_link(session, "secret", "hash", NOW) is None, "used"
        assert accounts.login(session, "cookie") is None
        assert not accounts.is_empty(session)


def test_the_roles_of_a_session_are_those_that_its_account_has_now(database: Database) -> None:
    with database.begin() as session:
        accounts.add_account(session, "ann", "admin", NOW)
        found = accounts.account(session, "ann")
        assert found is not None
        accounts.begin_login(session, "local", "csrf", NOW, name="ann", roles=["admin"], account_id=found.account_id)
        accounts.begin_login(session, "vouched", "csrf", NOW, name="ann", roles=["auditor"], account_id=None)
        accounts.set_role(session, "ann", "radiologist")
        local, vouched = accounts.login(session, "local"), accounts.login(session, "vouched")
        assert local is not None
        assert vouched is not None
        assert (local.roles, vouched.roles) == (("radiologist",), ("auditor",))
        accounts.disable(session, "ann", NOW)
        assert accounts.login(session, "local") is None
        assert accounts.login(session, "vouched") is not None
        assert accounts.forget_logins(session, NOW + HOUR, HOUR / 2, HOUR * 9) == 1


def test_a_token_gives_its_name_away_once_it_has_ended(database: Database) -> None:
    with database.begin() as session:
        accounts.add_token(session, "viewer", "service", "one", NOW, NOW + HOUR)
        with pytest.raises(accounts.NameTaken):
            accounts.add_token(session, "viewer", "service", "two", NOW, NOW + HOUR)
        assert accounts.token(session, "one", NOW + HOUR) is None
        accounts.add_token(session, "viewer", "service", "two", NOW + HOUR, NOW + 2 * HOUR)
        found = accounts.token(session, "two", NOW + HOUR)
        assert found is not None
        assert accounts.revoke(session, "viewer", NOW + HOUR)
        assert not accounts.revoke(session, "viewer", NOW + HOUR)
        assert accounts.token(session, "two", NOW + HOUR) is None


def test_what_is_old_is_forgotten_a_portion_at_a_time_and_the_chain_holds_after_each(database: Database) -> None:
    with database.begin() as session:
        audit.append(session, [_message(str(number)) for number in range(10)])
    forgotten = []
    while not forgotten or forgotten[-1]:
        with database.begin() as session:
            forgotten.append(audit.forget(session, NOW - HOUR, most=2, at_once=3))
            assert audit.broken_at(session) is None
    assert forgotten == [3, 3, 2, 0]


def test_writers_of_audit_messages_at_once_make_one_chain(database: Database) -> None:
    def write(writer: int) -> None:
        for number in range(5):
            with database.begin() as session:
                audit.append(session, [_message(f"{writer} {number} <é\0>"), _message("x")])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    with database.begin() as session:
        assert audit.waits(session) == (60, NOW)
        assert audit.broken_at(session) is None
        audit.sent(session, [each.message_id for each in audit.waiting(session, 50)], NOW)
        assert audit.waits(session)[0] == 10
        assert audit.forget(session, NOW - HOUR, most=20) == 40
        assert audit.broken_at(session) is None
        assert audit.forget(session, NOW + HOUR, most=20) == 20
        audit.append(session, [_message("after all were forgotten")])
        assert audit.broken_at(session) is None
