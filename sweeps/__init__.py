"""Search spaces, designs, execution and the sensitivity report."""
