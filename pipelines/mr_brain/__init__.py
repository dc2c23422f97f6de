"""Structures and tumours of the brain on MR, as far as models of the store segment them."""
