"""How a document of blocks.py is written: html.py and its templates (page, chart, figure files), markdown.py."""
