"""Compute heatmaps from a forward pass and draw them over the radiograph."""
