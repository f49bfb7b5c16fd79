"""The door of streams: events come in with a stream's own token, and run its workflow or send its template.

The path, the body and the answer are those of Peach's "Trigger automation"; what a stream is beside that is CommPeak's.
"""
