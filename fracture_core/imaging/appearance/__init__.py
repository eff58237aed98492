"""What an image looks like, beyond what its file says: a photo of a screen, or a film on its side."""
