"""Load FracAtlas and user datasets; audit, split and cache them."""
