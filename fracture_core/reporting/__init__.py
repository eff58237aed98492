"""Word, tabulate, chart and export what the core computes."""
