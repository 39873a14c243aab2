"""Speech models as a frozen frontend and a trainable classifier, one file a family; plug-ins of the orchestrator."""
