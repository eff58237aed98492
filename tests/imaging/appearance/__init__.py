"""Tests of what an image looks like."""
