"""Puts `gaussian_scene`, which lies beside this file, in reach of the tests of every stage."""
