"""Synthetic speech by eSpeak NG: speakers and conditions are sampled, then rendered."""
