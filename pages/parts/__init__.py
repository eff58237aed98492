"""What the pages share: the frame round each of them, the loaded model, and the radiograph viewer."""
