"""From received images to a gap-free volume, or to a refusal that says what is wrong with them."""
