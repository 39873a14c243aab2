"""`unlearn init`: a folder of recordings becomes a manifest and a first sweep."""
