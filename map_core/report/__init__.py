"""A palette as a document that can be taken away: what was asked, the answer, the evidence, and how to do it again.

contents        everything that a report says
compute         computes it, once
sentences       the answers of a report in sentences
evidence        the study of delivery that may speak for a table
sample_replies  replies of a few prompts, straight from the table
svg_charts      lines and marks placed in a small drawing, without a browser
figures         the drawings of a report
commands        commands over several lines, and what values that were added in the app need
snippets        the weights for the command line and for a server
trainer_snippet the weights as a program for a trainer
export          everything as JSON values and as CSV
document        the self-contained HTML document

Constraint: results in, documents out; nothing here is shown on a screen, and no model is asked.
"""

from map_core.report.compute import compute_report
from map_core.report.contents import Report, ReportOptions, ReportSource
from map_core.report.document import html
from map_core.report.evidence import find_study
from map_core.report.export import as_dict, as_json, csv_files, zipped
from map_core.report.snippets import Snippet, snippets

__all__ = [
    "Report",
    "ReportOptions",
    "ReportSource",
    "Snippet",
    "as_dict",
    "as_json",
    "compute_report",
    "csv_files",
    "find_study",
    "html",
    "snippets",
    "zipped",
]
