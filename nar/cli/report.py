"""`nar report RUNS...`: the report of one run into its directory, or of many runs into a directory of their own."""

import dataclasses

from nar.cli import console
from nar.text_format import printable


@dataclasses.dataclass
class Report:
    """Settings of `nar report RUNS...`."""

    out: str | None = None
    """Directory for the report. Without it, the report of one run goes into its own directory, and of several runs
    only the table is printed."""
    against: str | None = None
    """Compare all networks with this one, named as in the tables of the report. By default with triplet_gmpnn."""


def main(argv: list[str]) -> None:
    """Reads result files alone: no model is loaded, and runs may come from other machines."""
    paths, settings = console.parse_named(
        Report, argv, "nar report", "The report of runs, from their result files: nar report RUNS... [--out DIR]",
        "run directories or folders of them: nar report runs --out report", several=True,
    )  # fmt: skip
    from nar.reports import report
    from nar.results import comparability, study

    found = study.read(paths)
    report.check_against(found, settings.against)
    if settings.out is None and settings.against is not None:
        raise ValueError("--against is for the whole report: name a directory for it, --out report")
    if settings.out is None and len(found.runs) == 1:
        path = printable(report.write_report(found.runs[0].path))
        print("\n".join([*found.left_out, f"report: {path}"]))
        return
    if settings.out is None:
        last = f"These are {len(found.runs)} runs: name a directory for the whole report, --out report"
    else:
        last = f"report: {printable(report.write(found, settings.out, settings.against))}"
    parts = [report.study_table(found), "\n".join(comparability.of_study(found)), last]
    print("\n\n".join(part for part in parts if part))
