"""Formats of labelled radiographs: csv files, class folders, COCO, YOLO and public datasets."""
