"""What keeps a trial from failing silently: hangs, memory, device errors, a suspended machine."""
