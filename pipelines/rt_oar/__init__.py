"""Organs at risk on planning CT, as a structure set with TG-263 names. One pipeline for each protocol."""
