"""One module per revision; revisions are numbers that sort as text."""
