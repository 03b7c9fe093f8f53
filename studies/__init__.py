"""Checks that need a checkout, not the installed package: agreement on this machine, reference vectors."""
