"""What pytest never looks into, from whichever folder it is started."""

collect_ignore = [
    "zoo", "training", "serving",  # links to folders of the package, which would be collected twice
    "tests/saved_by_0.1", "tests/toy",  # a script that wrote files with version 0.1.0; a task that tests put in place
    "conftest.py", "site",  # this file; what `make docs` builds
]  # fmt: skip
