"""The tests of FracAtlas and a site's films together."""
