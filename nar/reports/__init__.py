"""Reports of finished runs, made from what `nar.results` reads: no model, no torch, no matplotlib.

report.py is the door: it gathers the sections of sections/ (what is said and shown, as the plain data of blocks.py)
into a document, and rendering/ writes that document as a page and as Markdown. charts/ turns numbers into panels.
"""
