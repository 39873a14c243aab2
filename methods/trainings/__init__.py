"""Training kinds: how originals and Retrain are trained, and what is kept for later requests; one file each."""
