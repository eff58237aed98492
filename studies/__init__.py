"""Programs that write the results under docs/ and in README."""
