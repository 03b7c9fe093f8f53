"""From a plan to Core ML packages and the manifest that says how they fit together."""
