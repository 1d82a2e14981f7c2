"""Faces in: sources, checks, the manifest, leak-free splits and the decoded cache. Never imports torch."""
