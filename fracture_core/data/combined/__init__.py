"""FracAtlas and a site's own films, used together as one dataset."""
