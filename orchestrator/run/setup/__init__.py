"""What a trial needs before it starts: corpus, features, weights, and the problem that a method sees."""
