"""The formats that can be read, in words, for messages and labels; without imports, so that anyone can say them."""

FORMAT_NAMES = ("JPEG", "PNG", "TIFF", "BMP", "WebP", "AVIF", "HEIC", "JPEG 2000", "JPEG XL", "DICOM")
ALL_FORMATS = f"{', '.join(FORMAT_NAMES[:-1])} and {FORMAT_NAMES[-1]}"
ANY_FORMAT = f"{', '.join(FORMAT_NAMES[:-1])} or {FORMAT_NAMES[-1]}"
