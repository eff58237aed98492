"""The dataset page, a file a section."""
