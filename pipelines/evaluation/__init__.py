"""A pipeline measured against references: over every study of a folder, with a report that says what it rests on."""
