"""Reading .mlpackage folders: programs, weights, types. Nothing in them is trusted."""
