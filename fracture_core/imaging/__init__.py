"""Read any image file into a `Radiograph` and fit it to the network's input."""
