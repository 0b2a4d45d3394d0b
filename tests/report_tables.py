"""The tables of a report as they are read: rows by the tables' names, cells without what makes them stand out."""

from nar.reports import report
from nar.reports.blocks import Details, Shaded, Span, Table

SCORES = "Scores of every algorithm, label and size"


def plain(text):
    """A cell without what makes it stand out."""
    if isinstance(text, Shaded | Span):
        return plain(text.text)
    return text if isinstance(text, str) else "".join(map(plain, text))


def tables_of(blocks):
    for block in blocks:
        if isinstance(block, Table):
            yield block
        yield from tables_of(block.blocks if isinstance(block, Details) else getattr(block, "numbers", ()))


def tables(found, against=None):
    """The rows of all tables of a report, by the tables' names, as dicts by column."""
    made = report.document(found, against)
    blocks = [*made.glance, *(block for section in made.sections for block in section.blocks)]
    return {
        table.name: [dict(zip(table.header, map(plain, row), strict=True)) for row in table.rows]
        for table in tables_of(blocks)
    }
