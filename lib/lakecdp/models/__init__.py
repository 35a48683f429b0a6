"""Models: what is learned, reviewed, and said of customers in gold.score."""
