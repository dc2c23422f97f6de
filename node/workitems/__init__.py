"""Work items: Unified Procedure Steps (PS3.4 Annex CC) that are ordered here, performed here, and shown here."""
