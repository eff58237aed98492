"""Programs that write the figures and pages under docs/ and in README."""
