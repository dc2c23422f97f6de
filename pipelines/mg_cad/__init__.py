"""Marks for masses and micro-calcification clusters on screening mammograms. No trained weights."""
