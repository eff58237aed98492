"""Words and charts of a calibration to a site."""
