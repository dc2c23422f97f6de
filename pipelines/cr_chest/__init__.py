"""Findings on frontal chest radiographs by a model of the store, and checks of the picture without weights."""
