"""PNG, BMP, WebP, AVIF and HEIC: everyday image files, taken apart before a decoder sees them."""
