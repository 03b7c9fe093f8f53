"""The published models' weights: what is fetched from where, fetching it, and looking at what is there."""
