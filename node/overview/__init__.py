"""What an administrator sees at a glance: gathered at most every two seconds, and only while somebody looks."""
