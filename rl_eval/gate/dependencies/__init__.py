"""What a run depends on: everything that was imported and read to build its optimizer."""
