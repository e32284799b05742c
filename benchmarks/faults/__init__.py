"""Faults, measured: long use, hostile uploads, and what breaks around a running service."""
