"""Statistics of scores: plain numpy, explicit generators, axes by name. See the modules."""
