"""Turn predictions into figures; compare bundles; check for leakage and shortcuts."""
