"""The bodies that callers read, each a pure function of rows. Keys and their order are the reference's."""
