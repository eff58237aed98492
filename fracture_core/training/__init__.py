"""Train a network from a recipe into a run folder, and package it as a bundle."""
