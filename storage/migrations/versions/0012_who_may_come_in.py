"""Accounts, sessions and tokens of who may come in over HTTP, and audit messages."""

import sqlalchemy as sa
from alembic import op

from radnode.storage.tables import BigKey

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.Text()),
        sa.Column("link", sa.String(64), unique=True),
        sa.Column("link_until", _AT),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("last_login_at", _AT),
        sa.Column("disabled_at", _AT),
    )
    op.create_table(
        "logins",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("account_id", sa.Integer(), sa.ForeignKey("accounts.id")),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.Column("began_at", _AT, nullable=False),
        sa.Column("seen_at", _AT, nullable=False),
    )
    op.create_index("ix_logins_account_id", "logins", ["account_id"])
    op.create_index("ix_logins_seen_at", "logins", ["seen_at"])
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("expires_at", _AT, nullable=False),
        sa.Column("used_at", _AT),
        sa.Column("revoked_at", _AT),
    )
    op.create_table(
        "audit_messages",
        sa.Column("id", BigKey, primary_key=True),
        sa.Column("at", _AT, nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("outcome", sa.Integer(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("study_instance_uid", sa.String(64)),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("sent_at", _AT),
    )
    op.create_index("ix_audit_messages_at", "audit_messages", ["at"])
    op.create_index("ix_audit_messages_study_instance_uid", "audit_messages", ["study_instance_uid"])
    op.create_index("ix_audit_messages_sent_at", "audit_messages", ["sent_at", "id"])
    op.create_table(
        "audit_marks",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.String(64), nullable=False),
    )


def downgrade() -> None:
    for table in ("audit_marks", "audit_messages", "api_tokens", "logins", "accounts"):
        op.drop_table(table)
