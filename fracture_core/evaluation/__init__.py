"""Make predictions.csv and turn it into metrics; compare bundles; check for leaked test images and for shortcuts."""
