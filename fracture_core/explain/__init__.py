"""Compute heatmaps (`heatmap_methods.METHODS`) and boxes from a forward pass, and draw them on the radiograph."""
