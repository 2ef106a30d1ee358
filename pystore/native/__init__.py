"""The wing for servers and desktops: a log is an SQLite file."""
