"""The fastest plan within a memory budget: choices, candidates, their exact scores, and a bound on all of them."""
