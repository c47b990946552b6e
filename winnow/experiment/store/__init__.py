"""Finished runs, the images and weights that they were made from: whole or absent."""
