"""Routes that are being written: the form of one, what is odd about several, what they would have made of the past."""
