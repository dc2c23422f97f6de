"""`radnode doctor`: what is wrong with this node, in words, and how to mend it. It changes nothing."""
