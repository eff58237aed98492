"""Compute heatmaps (all methods: `gradcam.METHODS`) and boxes from a forward pass, and draw them on the radiograph."""
