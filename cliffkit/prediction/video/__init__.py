"""Depth of videos: frames are read, predicted and written one after the other, so that length costs no memory."""
