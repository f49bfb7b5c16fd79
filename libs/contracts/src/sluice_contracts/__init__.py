"""What crosses a wire: topics, messages, statuses and the pure functions that derive one from counts."""
