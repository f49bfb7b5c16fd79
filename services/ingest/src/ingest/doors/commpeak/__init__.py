"""CommPeak's door: messages in bulk with a stream's token, each with its text or an event key of the stream."""
