"""Marks for masses and micro-calcification clusters on the four views of a screening mammography. No trained weights."""
