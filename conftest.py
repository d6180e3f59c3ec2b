"""What pytest never looks into, from whichever folder it is started."""

# Links to folders of the package, which would be collected twice; a script that wrote files with version 0.1.0;
# this file.
collect_ignore = ["zoo", "training", "serving", "tests/saved_by_0.1", "conftest.py"]
