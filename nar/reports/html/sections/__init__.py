"""The sections of the page, a file each, in the order in which page.py lists them."""
