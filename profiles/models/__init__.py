"""What models are made of: units, their operations and bytes, by architecture or by list."""
