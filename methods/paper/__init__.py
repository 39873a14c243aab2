"""Presets that follow the words of arXiv 2506.00848, section 4.3, where a method's own paper and code say otherwise."""
