"""Organs and body composition on CT."""
