"""A site's own review set: readers' verdicts on films, kept in a folder, and their export."""
