"""Alarms: what is wrong is found, kept, shown and told.

    facts ──decision (pure)──▶ alarms ──watch──▶ rows ──tellers──▶ mail, webhook
"""
