"""Recordings as people keep them: archives, folders, manifests, audio files."""
