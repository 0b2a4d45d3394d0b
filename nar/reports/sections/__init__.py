"""The sections of a report, one question each: a function from a ReportContext to a Section, or None without an answer.

Each is written once, for one run and for many, for the page and for Markdown.
"""
