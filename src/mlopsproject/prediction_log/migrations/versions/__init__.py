"""One module per revision; revisions are numbers that sort as text.

They only add, with defaults: while one version replaces another, the older one goes on writing to the new tables.
"""
