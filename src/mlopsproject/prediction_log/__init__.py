"""The prediction log: every answer of the API becomes a row, durable before the answer is sent.

A row is durable when the SQLite database of this machine has committed it; rows that wait together share a commit.
By default that database is the log. With `DATABASE_URL` on PostgreSQL it is the queue that one process per machine, the
drainer, empties into PostgreSQL by upserts.
"""
