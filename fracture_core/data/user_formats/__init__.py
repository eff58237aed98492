"""The ways in which people keep labelled radiographs: csv files, class folders, COCO, YOLO and public datasets."""
