"""Intake: what a peer sends becomes durable bytes and one ledger row before it is answered with Success."""
