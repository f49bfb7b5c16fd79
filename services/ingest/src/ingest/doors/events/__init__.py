"""The door for facts about contacts: `POST /api/v1/events`, singly and in bulk."""
