"""Predict how a block-partitioned Core ML model runs on an iPhone, and run the same plan."""
