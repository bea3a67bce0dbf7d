"""Evaluate optimizers on reinforcement learning."""
