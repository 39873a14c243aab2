"""Unlearning methods, one file each; plug-ins of the orchestrator."""
