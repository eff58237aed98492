"""The parts of the pages, one folder per page, and what they share."""
