"""Predict how a block-partitioned Core ML model runs on an iPhone, and run the same plan."""

__version__ = "0.2.0"
